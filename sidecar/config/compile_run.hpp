// One run over a set of resources: every resource to its node, then the nodes to a snapshot.
//
// What compile() and hold back have in common; what becomes of a fault is the context's OnFault.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "sidecar/config/compile_context.hpp"

namespace tulle::config {

void compile_resources(CompileContext& context);

// Empties the context. `refused`: names of destinations that are answered with "denied".
std::shared_ptr<const Snapshot> assemble(CompileContext& context, const Snapshot* previous,
                                         const std::set<std::string, std::less<>>& refused);

// Several nodes may have met the same fault of a shared resource.
void remove_repetitions(Problems& problems);

}  // namespace tulle::config
