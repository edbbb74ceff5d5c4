// Admission: what a person allows per cluster and sidecar: connections, pending, requests.
//
// One relaxed atomic per limit, shared by all workers: the only mutable state that workers share.
// Relaxed is enough, because a count guards nothing but itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/http/pool.hpp"
#include "sidecar/config/snapshot.hpp"

namespace tulle::routing {

class Admission final : public PoolLimits {
 public:
  explicit Admission(const config::ClusterLimits& limits) { set(limits); }

  void set(const config::ClusterLimits& limits);  // any thread
  bool take_request() { return take(requests_, max_requests_); }
  void give_request() { give(requests_); }
  bool take_connection() override { return take(connections_, max_connections_); }
  void give_connection() override { give(connections_); }
  bool take_pending() override { return take(pending_, max_pending_); }
  void give_pending() override { give(pending_); }

  uint32_t requests() const { return requests_.load(std::memory_order_relaxed); }
  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  uint32_t pending() const { return pending_.load(std::memory_order_relaxed); }

 private:
  using Count = std::atomic<uint32_t>;
  static bool take(Count& used, const Count& limit) {
    if (used.fetch_add(1, std::memory_order_relaxed) < limit.load(std::memory_order_relaxed)) {
      return true;
    }
    used.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  static void give(Count& used) { used.fetch_sub(1, std::memory_order_relaxed); }

  // A cache line of their own: the workers' hottest shared words.
  alignas(64) Count requests_{0};
  alignas(64) Count connections_{0};
  Count pending_{0};
  Count max_requests_{0}, max_connections_{0}, max_pending_{0};
};

// Cluster name to Admission, for the whole process. Workers ask when they adopt a snapshot, never
// per request. shared_ptr, because the last worker to retire a cluster ends its counts.
class Admissions {
 public:
  std::shared_ptr<Admission> of(const config::ClusterConfig& cluster);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Admission>> by_name_;
};

}  // namespace tulle::routing
