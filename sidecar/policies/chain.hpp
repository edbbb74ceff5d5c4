// Chain: a worker's policies for one route or cluster, by their place in the catalog.
//
// Which of them take part in a moment is a bit set, so a moment that concerns nobody costs a test.
// Policies are shared between the chains of successive generations while their configuration is
// equal: that is what keeps their state (and the one use of shared_ptr here; touched only when
// configuration changes).
#pragma once

#include <array>
#include <memory>
#include <string>

#include "sidecar/policies/catalog.hpp"

namespace tulle::policies {

class Chain {
 public:
  // Makes what `entries` ask for; what `former` (may be this) has with equal configuration is kept.
  void adopt(const Entries& entries, const Site& site, const Chain* former);
  // Puts one in by hand; for tests of the seam.
  void put(size_t index, std::shared_ptr<Policy> policy, Moments moments);
  uint32_t taking_part(Moment moment) const { return taking_part_[static_cast<size_t>(moment)]; }
  bool has(size_t index) const { return policies_[index].policy != nullptr; }
  Policy& at(size_t index) const { return *policies_[index].policy; }

 private:
  void take_part(size_t index, Moments moments);
  struct Place {
    std::shared_ptr<const PolicyConfig> config;
    std::shared_ptr<Policy> policy;
  };
  std::array<Place, kMostPolicies> policies_;
  std::array<uint32_t, kMoments> taking_part_{};
};

// Asks the policies of `route` and `cluster` (either may be null) in the catalog's order, beginning
// at `next`. Stops at the first verdict that is not "proceed" and leaves `next` there, so that the
// same policy is asked again; otherwise `next` is 0 again.
Verdict ask_request(const Chain* route, const Chain* cluster, Request& request, uint8_t& next);
Verdict ask_attempt(const Chain* route, const Chain* cluster, Request& request, AttemptPlan& plan,
                    uint8_t& next);
RetryPlan tell_outcome(const Chain* route, const Chain* cluster, Request& request,
                       const Outcome& outcome);
void tell_end(const Chain* route, const Chain* cluster, Request& request);

}  // namespace tulle::policies
