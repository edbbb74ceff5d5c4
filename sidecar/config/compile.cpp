#include "sidecar/config/compile.hpp"

#include "sidecar/config/compile_run.hpp"

namespace tulle::config {

Compiled compile(const xds::ResourceSet& resources, const Materials& materials,
                 const Snapshot* previous) {
  Compiled compiled;
  CompileContext context(resources, materials, previous, OnFault::fail, compiled.problems);
  compile_resources(context);
  remove_repetitions(compiled.problems);
  if (compiled.problems.empty() && materials.complete) {
    compiled.snapshot = assemble(context, previous, {});
  }
  return compiled;
}

}  // namespace tulle::config
