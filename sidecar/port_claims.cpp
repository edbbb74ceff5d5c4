#include "sidecar/port_claims.hpp"

#include <utility>

namespace tulle {

// A listener that keeps its address keeps its claim, and the port that 0 once became.
Result<Address> PortClaims::claim(const config::ListenerConfig& listener) const {
  const auto held = bound_.find(listener.name);
  if (held != bound_.end() && (listener.address == held->second ||
                               listener.address == held->second.with_port(0))) {
    return held->second;
  }
  Address at = listener.address;
  Result<void> claimed = claim_port(at);
  if (!claimed) return claimed.error();
  return at;
}

Result<void> PortClaims::claim_all(const config::Snapshot& snapshot) {
  BoundAddresses bound;
  for (const auto& listener : snapshot.listeners) {
    Result<Address> claimed = claim(*listener);
    if (!claimed) {
      claimed.error().detail = "listener " + listener->name + ": " + claimed.error().detail;
      return claimed.error();
    }
    bound[listener->name] = *claimed;
  }
  bound_ = std::move(bound);
  return {};
}

std::map<std::string, std::string, std::less<>> PortClaims::claim_what_can_be(
    const config::Snapshot& snapshot) {
  BoundAddresses bound;
  std::map<std::string, std::string, std::less<>> refused;
  for (const auto& listener : snapshot.listeners) {
    Result<Address> claimed = claim(*listener);
    if (claimed) {
      bound[listener->name] = *claimed;
    } else {
      refused[listener->name] = claimed.error().detail;
    }
  }
  if (refused.empty()) bound_ = std::move(bound);
  return refused;
}

}  // namespace tulle
