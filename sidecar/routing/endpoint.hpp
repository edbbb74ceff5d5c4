// Endpoint: one address of a cluster as one worker sees it: its pool and its load.
//
// Owns the pool of connections to the address, made on first use: most endpoints of a large mesh
// are never called by this worker. Kept while the address stays in the configuration; afterwards
// retired, and destroyed when its pool is idle and no attempt refers to it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "core/base/clock.hpp"
#include "core/http/pool.hpp"
#include "core/base/list.hpp"
#include "core/net/address.hpp"
#include "sidecar/policies/endpoint_health.hpp"

namespace tulle::routing {

// Peak-EWMA: an average of latency that jumps up at once and comes down slowly, so that an endpoint
// which has become slow is avoided after its first slow answer (Finagle's and Linkerd's estimator).
class PeakEwma {
 public:
  void observe(Duration sample, Instant now);
  double value(Instant now) const;  // nanoseconds, decayed to now

 private:
  static constexpr double kDecayNs = 10e9;         // forgets within tens of seconds
  static constexpr double kInitialNs = 1e6;        // unknown endpoints look fast, so they are tried
  double ewma_ns_ = kInitialNs;
  Instant updated_{};
};

// An attempt at the endpoint that has not been answered yet. A node of the endpoint's list.
struct UnansweredTag {};
struct Unanswered : ListNode<UnansweredTag> {
  Instant since{};
};

class Endpoint;

// Makes pools the way the cluster's present configuration says.
class PoolSource {
 public:
  // `opaque`: for tunnels without HTTP around them.
  virtual std::unique_ptr<Pool> make_pool(const Endpoint& endpoint, bool opaque) = 0;

 protected:
  ~PoolSource() = default;
};

class Endpoint {
 public:
  // `source` outlives the endpoint.
  Endpoint(PoolSource& source, const Address& address, uint32_t weight, std::string hostname)
      : source_(source), health_{.address = address}, weight_(weight), hostname_(std::move(hostname)) {}

  const Address& address() const { return health_.address; }
  policies::EndpointHealth& health() { return health_; }
  const policies::EndpointHealth& health() const { return health_; }
  const std::string& hostname() const { return hostname_; }
  uint32_t weight() const { return weight_; }
  void set_weight(uint32_t weight) { weight_ = weight; }
  Pool& pool() {
    if (pool_ == nullptr) pool_ = source_.make_pool(*this, false);
    return *pool_;
  }
  Pool* pool_if_made() { return pool_.get(); }
  // Whose connections carry one tunnel each, and no HTTP.
  Pool& tunnels() {
    if (tunnels_ == nullptr) tunnels_ = source_.make_pool(*this, true);
    return *tunnels_;
  }
  Pool* tunnels_if_made() { return tunnels_.get(); }
  void retire() {
    if (pool_ != nullptr) pool_->retire();
    if (tunnels_ != nullptr) tunnels_->retire();
  }
  bool unused() const {
    return outstanding_ == 0 && (pool_ == nullptr || pool_->idle()) &&
           (tunnels_ == nullptr || tunnels_->idle());
  }

  void attempt_started(Unanswered& attempt, Instant now) {
    ++outstanding_;
    attempt.since = now;
    unanswered_.push_back(attempt);
  }
  void attempt_ended() { --outstanding_; }
  uint32_t outstanding() const { return outstanding_; }
  void observe_latency(Duration latency, Instant now) {
    latency_.observe(latency, now);
    answered_at_ = now;
  }
  // What another request would cost here: expected latency times queue, by weight. Lower is better.
  double cost(Instant now) {
    const double latency = std::max(latency_.value(now), silence_ns(now));
    return latency * (outstanding_ + 1) / (weight_ == 0 ? 1 : weight_);
  }
  double latency_ns(Instant now) const { return latency_.value(now); }

 private:
  // How long somebody has waited here without anybody being answered: nothing else tells that an
  // endpoint hangs before its first answer. A slow answer beside quick ones is not silence.
  double silence_ns(Instant now) {
    if (unanswered_.empty()) return 0;
    const Instant since = std::max(unanswered_.front().since, answered_at_);
    return static_cast<double>((now - since).count());
  }

  PoolSource& source_;
  policies::EndpointHealth health_;
  uint32_t weight_;
  std::string hostname_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Pool> tunnels_;  // rare: made by the first CONNECT that ends here
  PeakEwma latency_;
  List<Unanswered, UnansweredTag> unanswered_;  // oldest first
  Instant answered_at_{};
  uint32_t outstanding_ = 0;
};

}  // namespace tulle::routing
