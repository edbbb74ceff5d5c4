#include "sidecar/policies/chain.hpp"

#include <bit>
#include <utility>

namespace tulle::policies {
namespace {

uint32_t taking_part(const Chain* chain, Moment moment) {
  return chain == nullptr ? 0 : chain->taking_part(moment);
}

// Calls each policy that takes part, lowest place first, until `visit` returns false.
template <class Visit>
void walk(const Chain* route, const Chain* cluster, Moment moment, uint8_t from, Visit visit) {
  const uint32_t of_route = taking_part(route, moment);
  uint32_t left = (of_route | taking_part(cluster, moment)) & (~uint32_t{0} << from);
  while (left != 0) {
    const auto index = static_cast<uint8_t>(std::countr_zero(left));
    left &= left - 1;
    const Chain* chain = (of_route >> index & 1) != 0 ? route : cluster;
    if (!visit(chain->at(index), index)) return;
  }
}

template <class Ask>
Verdict ask(const Chain* route, const Chain* cluster, Moment moment, Request& request,
            uint8_t& next, Ask one) {
  Verdict verdict;
  const uint8_t from = std::exchange(next, 0);
  walk(route, cluster, moment, from, [&](Policy& policy, uint8_t index) {
    verdict = one(policy);
    if (verdict.kind == Verdict::Kind::wait) {
      next = index;
    } else if (request.waiter.pending != nullptr) {
      request.waiter.pending.reset();
    }
    return verdict.kind == Verdict::Kind::proceed;
  });
  return verdict;
}

}  // namespace

void Chain::adopt(const Entries& entries, const Site& site, const Chain* former) {
  std::array<Place, kMostPolicies> fresh;
  taking_part_.fill(0);
  for (const Entry& entry : entries) {
    const size_t index = index_of(*entry.type);
    Place& place = fresh[index];
    if (former != nullptr) place = former->policies_[index];
    if (place.policy == nullptr || !place.config->equals(*entry.config)) {
      place = {entry.config, entry.type->make(entry.config, {site.host, site.cluster, entry.type})};
    }
    take_part(index, entry.type->moments);
  }
  if (former == this) {
    for (size_t index = 0; index < kMostPolicies; ++index) {
      const bool gone = policies_[index].policy != nullptr && fresh[index].policy == nullptr;
      if (gone) policies_[index].policy->on_removed();
    }
  }
  policies_ = std::move(fresh);
}

void Chain::put(size_t index, std::shared_ptr<Policy> policy, Moments moments) {
  policies_[index] = {nullptr, std::move(policy)};
  take_part(index, moments);
}

void Chain::take_part(size_t index, Moments moments) {
  for (size_t moment = 0; moment < kMoments; ++moment) {
    if ((moments >> moment & 1) != 0) taking_part_[moment] |= uint32_t{1} << index;
  }
}

Verdict ask_request(const Chain* route, const Chain* cluster, Request& request, uint8_t& next) {
  return ask(route, cluster, Moment::request, request, next,
             [&](Policy& policy) { return policy.on_request(request); });
}

Verdict ask_attempt(const Chain* route, const Chain* cluster, Request& request, AttemptPlan& plan,
                    uint8_t& next) {
  return ask(route, cluster, Moment::attempt, request, next,
             [&](Policy& policy) { return policy.on_attempt(request, plan); });
}

RetryPlan tell_outcome(const Chain* route, const Chain* cluster, Request& request,
                       const Outcome& outcome) {
  RetryPlan plan;
  walk(route, cluster, Moment::outcome, 0, [&](Policy& policy, uint8_t) {
    policy.on_outcome(request, outcome, plan);
    return true;
  });
  return plan;
}

void tell_end(const Chain* route, const Chain* cluster, Request& request) {
  walk(route, cluster, Moment::end, 0, [&](Policy& policy, uint8_t) {
    policy.on_end(request);
    return true;
  });
}

}  // namespace tulle::policies
