#include "control-plane/ca/signing_policy.hpp"

#include <algorithm>

namespace tulle::ca {

// GCRA: one number per identity.
Result<void> SigningPolicy::admit(const std::string& identity, int64_t now_us) {
  if (free_at_.size() >= limits_.identities && !free_at_.contains(identity)) {
    forget_quiet(now_us);
    if (free_at_.size() >= limits_.identities) {
      return Error{Code::rate_limited, Origin::downstream,
                   "too many identities ask for certificates at once"};
    }
  }
  const auto step = static_cast<int64_t>(1e6 / limits_.per_second);
  const auto tolerance = static_cast<int64_t>(1e6 * (limits_.burst - 1) / limits_.per_second);
  int64_t& free_at = free_at_[identity];
  const int64_t begin = std::max(free_at, now_us);
  if (begin - now_us > tolerance) {
    return Error{Code::rate_limited, Origin::downstream,
                 identity + " asks for certificates too often; again in " +
                     std::to_string((begin - now_us - tolerance) / 1000 + 1) + " ms"};
  }
  free_at = begin + step;
  return {};
}

void SigningPolicy::forget_quiet(int64_t now_us) {
  std::erase_if(free_at_, [&](const auto& each) { return each.second <= now_us; });
}

Result<void> SigningPolicy::bind_key(const std::string& fingerprint, const std::string& identity,
                                     int64_t not_after, int64_t now) {
  const auto found = keys_.find(fingerprint);
  if (found != keys_.end() && found->second.not_after > now &&
      found->second.identity != identity) {
    return Error{Code::denied, Origin::downstream,
                 "the key belongs to another identity: every workload needs a key of its own"};
  }
  if (found == keys_.end() && keys_.size() >= limits_.keys) forget_expired(now);
  keys_[fingerprint] = {identity, not_after};
  return {};
}

// At least an eighth goes, so that this happens seldom.
void SigningPolicy::forget_expired(int64_t now) {
  std::erase_if(keys_, [&](const auto& each) { return each.second.not_after <= now; });
  if (keys_.size() < limits_.keys) return;
  std::vector<int64_t> ends;
  for (const auto& [fingerprint, holder] : keys_) ends.push_back(holder.not_after);
  const auto eighth = ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 8);
  std::nth_element(ends.begin(), eighth, ends.end());
  const int64_t limit = *eighth;
  std::erase_if(keys_, [&](const auto& each) { return each.second.not_after <= limit; });
}

}  // namespace tulle::ca
