// load(): from the path of a bootstrap file to a running configuration, in one call.
//
// Reads the file, then the files it mentions, then compiles. The start of the process and
// `--check` use it; a reload uses it again with the previous snapshot.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "sidecar/config/bootstrap.hpp"
#include "sidecar/config/compile.hpp"
#include "sidecar/config/materials.hpp"

namespace tulle::config {

struct Loaded {
  std::optional<Bootstrap> bootstrap;        // set when the file itself was good
  Materials materials;
  // Null exactly when there are problems. Of a member of a mesh: what the file alone makes possible,
  // without what waits for the control plane.
  std::shared_ptr<const Snapshot> snapshot;
  Problems problems;
};

Loaded load(const std::string& path, const Snapshot* previous = nullptr);

}  // namespace tulle::config
