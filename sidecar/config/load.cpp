#include "sidecar/config/load.hpp"

#include <utility>

namespace tulle::config {

Loaded load(const std::string& path, const Snapshot* previous) {
  Loaded loaded;
  BootstrapRead read = read_bootstrap_file(path);
  loaded.problems = std::move(read.problems);
  loaded.bootstrap = std::move(read.bootstrap);
  if (!loaded.bootstrap) return loaded;
  // Compile even when a file is missing, so that all problems are seen at once.
  const Materials materials =
      read_materials(loaded.bootstrap->identity, loaded.bootstrap->resources, loaded.problems);
  Compiled compiled = compile(loaded.bootstrap->resources, materials, previous);
  for (Problem& problem : compiled.problems) loaded.problems.push_back(std::move(problem));
  if (loaded.problems.empty()) loaded.snapshot = std::move(compiled.snapshot);
  return loaded;
}

}  // namespace tulle::config
