// IsolatedNetwork: the namespaces and links of an isolated mesh, as they are in the kernel.
//
// Owns them: what still runs inside is killed and everything is removed with it. Names carry the
// process that made them, and a lock that ends with that process says whether it still lives: so the
// next run finds and removes what a killed one has left. Blocks the thread while it builds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/isolate/isolation.hpp"
#include "cli/isolate/network_namespace.hpp"

namespace tulle::cli {

class IsolatedNetwork {
 public:
  // Why it cannot be done here at all: not root, a program is missing. Empty: it seems it can.
  static std::vector<std::string> obstacles();
  // Rules are installed in each site. Nothing is left when this fails.
  static Result<std::unique_ptr<IsolatedNetwork>> build(const Isolation& isolation);
  ~IsolatedNetwork();
  IsolatedNetwork(const IsolatedNetwork&) = delete;
  IsolatedNetwork& operator=(const IsolatedNetwork&) = delete;

  const NetworkNamespace& hub() const { return places_.front(); }
  const NetworkNamespace& site(size_t index) const { return places_[index + 1]; }

 private:
  explicit IsolatedNetwork(std::vector<std::string> names) : names_(std::move(names)) {}
  Result<void> lock(int process);
  Result<void> make(const Isolation& isolation);

  const std::vector<std::string> names_;
  std::string lock_path_;
  int lock_ = -1;
  std::vector<NetworkNamespace> places_;  // the hub, then the sites
};

// What runs that ended without removing theirs have left. Returns how many namespaces there were.
size_t remove_leftovers();

}  // namespace tulle::cli
