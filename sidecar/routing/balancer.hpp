// LoadBalancer: which endpoint gets the next attempt. Worker-local, pure on endpoint state.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/rng.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/routing/endpoint.hpp"

namespace tulle::routing {

struct PickHint {
  Instant now{};
  std::span<const Endpoint* const> avoid;  // tried already; taken only if nobody else is left

  bool avoids(const Endpoint* endpoint) const {
    return std::find(avoid.begin(), avoid.end(), endpoint) != avoid.end();
  }
};

class LoadBalancer {
 public:
  virtual ~LoadBalancer() = default;
  // Null when `endpoints` is empty.
  virtual Endpoint* pick(std::span<Endpoint* const> endpoints, const PickHint& hint, Rng& rng) = 0;
};

std::unique_ptr<LoadBalancer> make_balancer(config::Balancing kind);

}  // namespace tulle::routing
