// PortClaims: the addresses this process holds for its listeners, by listener name.
//
// A claim keeps a port for us before any worker listens, turns port 0 into a real one, and notices
// that somebody else (another sidecar of the same user included) has it. Main loop only.
#pragma once

#include <map>
#include <string>

#include "sidecar/worker.hpp"

namespace tulle {

class PortClaims {
 public:
  // All listeners of the snapshot, or none. The error names the listener.
  Result<void> claim_all(const config::Snapshot& snapshot);
  // All that can be had; why not, of the others, by name.
  std::map<std::string, std::string, std::less<>> claim_what_can_be(
      const config::Snapshot& snapshot);
  const BoundAddresses& bound() const { return bound_; }

 private:
  Result<Address> claim(const config::ListenerConfig& listener) const;

  BoundAddresses bound_;
};

}  // namespace tulle
