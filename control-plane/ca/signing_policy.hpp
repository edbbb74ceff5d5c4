// SigningPolicy: how often an identity gets a certificate, and which keys it may not have.
//
// Every instance of a service has the same identity, so the rate is generous: it protects the other
// identities from one that has gone mad. A key belongs to the first identity it was certified for.
// Memory only and bounded; a restart forgets, which is harmless: certificates are then refused
// again as soon as the first holder has renewed. Pure on the time that comes in.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "core/base/result.hpp"

namespace tulle::ca {

struct SigningLimits {
  double per_second = 20;
  double burst = 200;
  size_t identities = 65536;  // beyond: new ones are refused until old ones have been quiet
  size_t keys = 262144;       // beyond: those that expire soonest are forgotten
};

class SigningPolicy {
 public:
  explicit SigningPolicy(SigningLimits limits = {}) : limits_(limits) {}

  // Counts. `rate_limited` says when to come again.
  Result<void> admit(const std::string& identity, int64_t now_us);
  // `denied` when the key is another identity's, until `not_after`.
  Result<void> bind_key(const std::string& fingerprint, const std::string& identity,
                        int64_t not_after, int64_t now);

 private:
  struct Holder {
    std::string identity;
    int64_t not_after;
  };
  void forget_quiet(int64_t now_us);
  void forget_expired(int64_t now);

  const SigningLimits limits_;
  std::unordered_map<std::string, int64_t> free_at_;  // identity -> when all of its burst is back
  std::unordered_map<std::string, Holder> keys_;
};

}  // namespace tulle::ca
