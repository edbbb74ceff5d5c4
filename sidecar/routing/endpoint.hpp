// Endpoint: one address of a cluster as one worker sees it: its pool and its load.
//
// Owns the pool of connections to the address, made on first use: most endpoints of a large mesh
// are never called by this worker. Kept while the address stays in the configuration; afterwards
// retired, and destroyed when its pool is idle and no attempt refers to it.
#pragma once

#include <cstdint>
#include <memory>

#include "core/base/clock.hpp"
#include "core/http/pool.hpp"
#include "core/net/address.hpp"

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

class Endpoint;

// Makes pools the way the cluster's present configuration says.
class PoolSource {
 public:
  virtual std::unique_ptr<Pool> make_pool(const Endpoint& endpoint) = 0;

 protected:
  ~PoolSource() = default;
};

class Endpoint {
 public:
  // `source` outlives the endpoint.
  Endpoint(PoolSource& source, const Address& address, uint32_t weight, std::string hostname)
      : source_(source), address_(address), weight_(weight), hostname_(std::move(hostname)) {}

  const Address& address() const { return address_; }
  const std::string& hostname() const { return hostname_; }
  uint32_t weight() const { return weight_; }
  void set_weight(uint32_t weight) { weight_ = weight; }
  Pool& pool() {
    if (pool_ == nullptr) pool_ = source_.make_pool(*this);
    return *pool_;
  }
  Pool* pool_if_made() { return pool_.get(); }
  void retire() {
    if (pool_ != nullptr) pool_->retire();
  }
  bool unused() const { return outstanding_ == 0 && (pool_ == nullptr || pool_->idle()); }

  void attempt_started() { ++outstanding_; }
  void attempt_ended() { --outstanding_; }
  uint32_t outstanding() const { return outstanding_; }
  void observe_latency(Duration latency, Instant now) { latency_.observe(latency, now); }
  // What another request would cost here: expected latency times queue, by weight. Lower is better.
  double cost(Instant now) const {
    return latency_.value(now) * (outstanding_ + 1) / (weight_ == 0 ? 1 : weight_);
  }
  double latency_ns(Instant now) const { return latency_.value(now); }

 private:
  PoolSource& source_;
  Address address_;
  uint32_t weight_;
  std::string hostname_;
  std::unique_ptr<Pool> pool_;
  PeakEwma latency_;
  uint32_t outstanding_ = 0;
};

}  // namespace tulle::routing
