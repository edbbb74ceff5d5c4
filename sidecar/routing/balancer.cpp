#include "sidecar/routing/balancer.hpp"

namespace tulle::routing {
namespace {

// Power of two choices (Mitzenmacher 2001) on peak-EWMA latency times outstanding requests.
class PeakEwmaBalancer final : public LoadBalancer {
 public:
  Endpoint* pick(std::span<Endpoint* const> endpoints, const PickHint& hint, Rng& rng) override {
    const size_t count = endpoints.size();
    if (count == 0) return nullptr;
    if (count == 1) return endpoints[0];
    if (!hint.avoid.empty()) return cheapest(endpoints, hint, rng);
    const size_t first = rng.below(count);
    size_t second = rng.below(count - 1);
    if (second >= first) ++second;
    Endpoint* a = endpoints[first];
    Endpoint* b = endpoints[second];
    return b->cost(hint.now) < a->cost(hint.now) ? b : a;
  }

 private:
  // For another attempt, which is rare: of all that were not tried yet; from a random one on, so
  // that equal ones share.
  static Endpoint* cheapest(std::span<Endpoint* const> endpoints, const PickHint& hint, Rng& rng) {
    const size_t count = endpoints.size();
    const size_t first = rng.below(count);
    Endpoint* best = nullptr;
    for (size_t i = 0; i < count; ++i) {
      Endpoint* each = endpoints[(first + i) % count];
      if (hint.avoids(each)) continue;
      if (best == nullptr || each->cost(hint.now) < best->cost(hint.now)) best = each;
    }
    return best != nullptr ? best : endpoints[first];
  }
};

// Smooth enough for equal weights; a weight of n takes n turns in a row.
class RoundRobinBalancer final : public LoadBalancer {
 public:
  Endpoint* pick(std::span<Endpoint* const> endpoints, const PickHint& hint, Rng&) override {
    if (endpoints.empty()) return nullptr;
    if (next_ >= endpoints.size()) advance(endpoints.size());
    for (size_t i = 0; i < endpoints.size() && hint.avoids(endpoints[next_]); ++i) {
      advance(endpoints.size());
    }
    Endpoint* chosen = endpoints[next_];
    if (++used_ >= chosen->weight()) advance(endpoints.size());
    return chosen;
  }

 private:
  void advance(size_t count) {
    next_ = next_ + 1 >= count ? 0 : next_ + 1;
    used_ = 0;
  }
  size_t next_ = 0;
  uint32_t used_ = 0;
};

}  // namespace

std::unique_ptr<LoadBalancer> make_balancer(config::Balancing kind) {
  switch (kind) {
    case config::Balancing::peak_ewma: return std::make_unique<PeakEwmaBalancer>();
    case config::Balancing::round_robin: return std::make_unique<RoundRobinBalancer>();
  }
  UNREACHABLE();
}

}  // namespace tulle::routing
