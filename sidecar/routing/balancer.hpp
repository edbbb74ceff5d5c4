// LoadBalancer: which endpoint gets the next attempt. Worker-local, pure on endpoint state.
#pragma once

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
  const Endpoint* avoid = nullptr;  // tried already by this exchange; taken only if nobody else is left
};

class LoadBalancer {
 public:
  virtual ~LoadBalancer() = default;
  // Null when `endpoints` is empty.
  virtual Endpoint* pick(std::span<Endpoint* const> endpoints, const PickHint& hint, Rng& rng) = 0;
};

std::unique_ptr<LoadBalancer> make_balancer(config::Balancing kind);

}  // namespace tulle::routing
