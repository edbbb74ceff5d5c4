// compile(): xDS resources to a Snapshot, or every reason why not. Pure: no I/O, no clock.
//
// The same function compiles the bootstrap's static resources and what a control plane pushes, and
// it is what the control plane runs to validate a write. What the sidecar cannot enforce is refused
// as unsupported, never ignored. Security fails closed: no verification without something to
// verify, no matcher without a condition.
#pragma once

#include <memory>

#include "sidecar/config/materials.hpp"
#include "sidecar/config/problem.hpp"
#include "sidecar/config/snapshot.hpp"
#include "xds/resource_set.hpp"

namespace tulle::config {

struct Compiled {
  std::shared_ptr<const Snapshot> snapshot;  // null exactly when there are problems
  Problems problems;
};

// `previous` (may be null) lends the nodes whose content has not changed.
Compiled compile(const xds::ResourceSet& resources, const Materials& materials,
                 const Snapshot* previous);

}  // namespace tulle::config
