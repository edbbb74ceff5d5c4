// Cluster and ClusterTable: the mutable side of the configuration's clusters, in one worker.
//
// A Cluster owns its endpoints (with pools and load) and its balancer. adopt() keeps endpoints whose
// address is unchanged, adds new ones and retires removed ones; retired ones live until nobody uses
// them. ClusterTable holds clusters by the index that routes carry.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/stats.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/routing/admission.hpp"
#include "sidecar/routing/balancer.hpp"
#include "sidecar/routing/endpoint.hpp"

namespace tulle {
class Loop;
class Network;
}  // namespace tulle

namespace tulle::routing {

class Cluster final : private PoolSource {
 public:
  Cluster(Loop& loop, Network& network, std::shared_ptr<Admission> admission);

  void adopt(std::shared_ptr<const config::ClusterConfig> config);
  void retire();
  void reap();                 // destroys retired endpoints that nobody uses any more
  bool unused() const;         // retired, and nothing refers to it
  bool settled() const { return retired_.empty(); }

  Endpoint* pick(const PickHint& hint, Rng& rng) { return balancer_->pick(usable_, hint, rng); }
  const config::ClusterConfig& config() const { return *config_; }
  const std::shared_ptr<const config::ClusterConfig>& config_node() const { return config_; }
  Admission& admission() { return *admission_; }
  size_t endpoint_count() const { return usable_.size(); }
  std::span<Endpoint* const> endpoints() const { return usable_; }

  // Exchanges that may still refer to this cluster or its endpoints.
  void exchange_started() { ++exchanges_; }
  void exchange_ended() { --exchanges_; }

  // Set by the worker's statistics: the first id of this cluster's block; see telemetry.
  uint32_t stat_slot = 0;

 private:
  PoolSource& pools() { return *this; }
  std::unique_ptr<Pool> make_pool(const Endpoint& endpoint) override;

  Loop& loop_;
  Network& network_;
  std::shared_ptr<Admission> admission_;
  std::shared_ptr<const config::ClusterConfig> config_;
  std::unique_ptr<LoadBalancer> balancer_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::unique_ptr<Endpoint>> retired_;
  std::vector<Endpoint*> usable_;
  uint32_t exchanges_ = 0;
  bool gone_ = false;
};

class ClusterTable {
 public:
  ClusterTable(Loop& loop, Network& network, Admissions& admissions);

  // Unchanged nodes cost a pointer comparison.
  void adopt(const config::Snapshot& snapshot);
  Cluster& at(ClusterIndex index) { return *clusters_[index]; }
  size_t size() const { return clusters_.size(); }
  Cluster* find(ClusterIndex index) { return index < size() ? clusters_[index].get() : nullptr; }
  void reap();                 // now and then: frees what was retired
  void retire_all();
  bool idle() const;           // nothing retired is left

 private:
  Loop& loop_;
  Network& network_;
  Admissions& admissions_;
  std::vector<std::unique_ptr<Cluster>> clusters_;  // by ClusterIndex; null: free
  std::vector<std::unique_ptr<Cluster>> retired_;
};

}  // namespace tulle::routing
