// isolate: turns the plan of a mesh on loopback into the plan of the same mesh in namespaces. Pure.
//
// What changes: everybody listens on well-known ports of an address of its own; services are reached
// by virtual addresses instead of proxy variables; sidecars capture, and run as a user of their own;
// every program is started through `tulle enter` (cli/isolate/entrance.hpp).
#pragma once

#include "cli/isolate/isolation.hpp"
#include "cli/up/plan.hpp"

namespace tulle::cli {

// `self`: the path of this program. `user`: who applications run as, where the file does not say;
// empty: as we are.
void isolate(Plan& plan, const MeshFile& file, const Isolation& isolation, const RunDirectory& run,
             const std::string& self, const std::string& user);

}  // namespace tulle::cli
