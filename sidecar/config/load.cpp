#include "sidecar/config/load.hpp"

#include <utility>

#include "sidecar/config/hold_back.hpp"

namespace tulle::config {

Loaded load(const std::string& path, const Snapshot* previous) {
  Loaded loaded;
  BootstrapRead read = read_bootstrap_file(path);
  loaded.problems = std::move(read.problems);
  loaded.bootstrap = std::move(read.bootstrap);
  if (!loaded.bootstrap) return loaded;
  // Compile even when a file is missing, so that all problems are seen at once.
  const xds::ResourceSet& resources = loaded.bootstrap->resources;
  loaded.materials = read_materials(loaded.bootstrap->identity, resources, loaded.problems);
  std::shared_ptr<const Snapshot> snapshot;
  Problems problems;
  if (loaded.bootstrap->membership.control_plane && loaded.materials.complete) {
    Merged merged = compile_holding_back(resources, {}, loaded.materials, previous);
    snapshot = std::move(merged.snapshot);
    problems = std::move(merged.others);
  } else {
    Compiled compiled = compile(resources, loaded.materials, previous);
    snapshot = std::move(compiled.snapshot);
    problems = std::move(compiled.problems);
  }
  for (Problem& problem : problems) loaded.problems.push_back(std::move(problem));
  if (loaded.problems.empty()) loaded.snapshot = std::move(snapshot);
  return loaded;
}

}  // namespace tulle::config
