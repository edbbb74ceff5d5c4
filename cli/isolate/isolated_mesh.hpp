// IsolatedMesh: what `tulle up --isolate` does before and after the mesh runs.
//
// Owns the namespaces (IsolatedNetwork) while the mesh is up. Building turns the plan and writes the
// files that namespaces share; networks() is how the supervisor reaches what runs in them.
#pragma once

#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/isolate/isolated_network.hpp"
#include "cli/up/plan.hpp"

namespace tulle::cli {

// How control plane and instances are reached from here.
struct Networks {
  std::unique_ptr<Network> control_plane;
  std::vector<std::unique_ptr<Network>> instances;  // empty: as the control plane is
  std::vector<Network*> of_instances() const;
};

class IsolatedMesh {
 public:
  // Before any loop and any thread. Removes first what killed runs have left.
  static Result<std::unique_ptr<IsolatedMesh>> build(Plan& plan, const MeshFile& file,
                                                     const RunDirectory& run, bool prefers_ipv6);
  Networks networks(Loop& loop) const;
  std::string description() const { return description_; }  // for people

 private:
  std::unique_ptr<IsolatedNetwork> network_;
  size_t sites_ = 0;
  std::string description_;
};

// A Ctrl-C while namespaces are made waits until there is somebody to heed it.
class LaterSignals {
 public:
  LaterSignals();
  ~LaterSignals();
  LaterSignals(const LaterSignals&) = delete;
  LaterSignals& operator=(const LaterSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace tulle::cli
