// Admission: what the workers of a sidecar share about a cluster: its limits and who is ejected.
//
// One relaxed atomic per limit that a person states per sidecar (connections, pending, requests,
// retries): the only mutable state that workers share on the path of a request. Relaxed is enough,
// because a count guards nothing but itself. Ejections are rare and stand behind a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "core/http/pool.hpp"
#include "core/net/address.hpp"

namespace tulle::config {
struct ClusterConfig;
}

namespace tulle::routing {

class Admission final : public PoolLimits {
 public:
  struct Limits {
    uint32_t max_connections = 1024;
    uint32_t max_pending_requests = 1024;
    uint32_t max_requests = 1024;
    friend bool operator==(const Limits&, const Limits&) = default;
  };
  Admission() { set({}); }
  explicit Admission(const Limits& limits) { set(limits); }

  void set(const Limits& limits);  // any thread
  bool take_request() { return take(requests_, max_requests_.load(std::memory_order_relaxed)); }
  void give_request() { give(requests_); }
  bool take_connection() override {
    return take(connections_, max_connections_.load(std::memory_order_relaxed));
  }
  void give_connection() override { give(connections_); }
  bool take_pending() override { return take(pending_, max_pending_.load(std::memory_order_relaxed)); }
  void give_pending() override { give(pending_); }
  // How many are too many depends on the moment; see policies/retry_budget.
  bool take_retry(uint32_t most) { return take(retries_, most); }
  void give_retry() { give(retries_); }

  uint32_t requests() const { return requests_.load(std::memory_order_relaxed); }
  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  uint32_t pending() const { return pending_.load(std::memory_order_relaxed); }
  uint32_t retries() const { return retries_.load(std::memory_order_relaxed); }

  // True for the one worker that changes it first, so that it is counted once. Any thread.
  bool mark_ejected(const Address& endpoint);
  bool unmark_ejected(const Address& endpoint);

 private:
  using Count = std::atomic<uint32_t>;
  static bool take(Count& used, uint32_t limit) {
    if (used.fetch_add(1, std::memory_order_relaxed) < limit) return true;
    used.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  static void give(Count& used) { used.fetch_sub(1, std::memory_order_relaxed); }

  // A cache line of their own: the workers' hottest shared words.
  alignas(64) Count requests_{0};
  alignas(64) Count connections_{0};
  Count pending_{0};
  Count retries_{0};
  Count max_requests_{0}, max_connections_{0}, max_pending_{0};
  std::mutex mutex_;
  std::set<std::string> ejected_;  // addresses; guarded by mutex_
};

// What one exchange holds of an Admission. Given back at its death at the latest, whatever has
// become of the policy that took it.
class Permits {
 public:
  Permits() = default;
  ~Permits() { give_all(); }
  Permits(const Permits&) = delete;
  Permits& operator=(const Permits&) = delete;

  bool take_request(Admission& admission) {
    ASSERT(request_ == nullptr);
    if (!admission.take_request()) return false;
    request_ = &admission;
    return true;
  }
  bool take_retry(Admission& admission, uint32_t most) {
    ASSERT(retry_ == nullptr);
    if (!admission.take_retry(most)) return false;
    retry_ = &admission;
    return true;
  }
  void give_retry() {
    if (retry_ != nullptr) std::exchange(retry_, nullptr)->give_retry();
  }
  void give_all() {
    give_retry();
    if (request_ != nullptr) std::exchange(request_, nullptr)->give_request();
  }

 private:
  Admission* request_ = nullptr;
  Admission* retry_ = nullptr;
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
