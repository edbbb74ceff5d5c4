// Detached: the two ends of `up --detach`: a child in a session of its own that runs the mesh, and
// a parent that shows what the child says until it has finished starting.
#pragma once

#include <memory>
#include <string_view>

#include "cli/run_directory.hpp"

namespace tulle::cli {

class Detached {
 public:
  // Forks: before any thread and any loop. The claim is the child's from then on.
  static Result<std::unique_ptr<Detached>> fork(RunClaim& claim);
  ~Detached();

  bool is_parent() const { return is_parent_; }
  int wait();                // parent: shows lines until finish(); the exit code
  int descriptor() const { return descriptor_; }  // child: what is written there is shown
  // Child: the parent may go, with this last line and exit code. Once; later calls do nothing.
  void finish(std::string_view text, int code);

 private:
  Detached(bool is_parent, int descriptor) : is_parent_(is_parent), descriptor_(descriptor) {}
  const bool is_parent_;
  int descriptor_;   // -1: finished
};

}  // namespace tulle::cli
