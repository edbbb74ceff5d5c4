// Cluster and ClusterTable: the mutable side of the configuration's clusters, in one worker.
//
// A Cluster owns its endpoints (with pools and load), its balancer and its policies. adopt() keeps
// endpoints whose address is unchanged, adds new ones and retires removed ones; retired ones live
// until nobody uses them. ClusterTable holds clusters by the index that routes carry.
// Ejected endpoints are left out of what the balancer sees. When an ejection's time is over, the
// next request goes there, alone, and its outcome decides.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/stats.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/policies/chain.hpp"
#include "sidecar/routing/admission.hpp"
#include "sidecar/routing/balancer.hpp"
#include "sidecar/routing/endpoint.hpp"

namespace tulle {
class Loop;
class Network;
}  // namespace tulle

namespace tulle::routing {

struct AddressHash {
  size_t operator()(const Address& address) const { return address.hash(); }
};

class Cluster final : private PoolSource, private policies::PolicyCluster {
 public:
  Cluster(Loop& loop, Network& network, policies::PolicyHost& host,
          std::shared_ptr<Admission> admission);

  void adopt(std::shared_ptr<const config::ClusterConfig> config);
  void retire();
  void reap();                 // destroys retired endpoints that nobody uses any more
  bool unused() const;         // retired, and nothing refers to it
  bool settled() const { return retired_.empty(); }

  // Null: there is no endpoint. One that is ejected is picked as a probe.
  Endpoint* pick(const PickHint& hint, Rng& rng) {
    if (!ejected_.empty()) [[unlikely]] {
      if (Endpoint* probe = due_for_probe(hint)) return probe;
      if (usable_.empty()) return balancer_->pick(ejected_, hint, rng);
    }
    return balancer_->pick(usable_, hint, rng);
  }
  // Opaque TCP has connections of its own beside the pools: a new one, plaintext as yet.
  std::unique_ptr<ByteStream> connect(const Endpoint& endpoint);
  // What is to be spoken on it. Null: plaintext.
  std::shared_ptr<const TlsContext> tcp_tls();
  // Of a cluster that connects to wherever a connection was going. Null: too many places at a time.
  Endpoint* original(const Address& to);
  const config::ClusterConfig& config() const { return *config_; }
  const std::shared_ptr<const config::ClusterConfig>& config_node() const { return config_; }
  const policies::Chain& policies() const { return policies_; }
  Admission& admission() override { return *admission_; }
  size_t endpoint_count() const override { return endpoints_.size(); }
  size_t ejected_count() const override { return ejected_.size(); }
  std::span<Endpoint* const> usable_endpoints() const { return usable_; }
  // What another worker's policy says to ours.
  void take_note(const policies::PolicyType& type, const policies::Note& note);

  // Exchanges that may still refer to this cluster or its endpoints.
  void exchange_started() { ++exchanges_; }
  void exchange_ended() { --exchanges_; }

  // Set by the worker when it first sees the cluster; see telemetry.
  std::optional<uint32_t> stat_slot;

 private:
  PoolSource& pools() { return *this; }
  std::unique_ptr<Pool> make_pool(const Endpoint& endpoint, bool opaque) override;

  // PolicyCluster
  const std::string& name() const override { return config_->name; }
  policies::EndpointHealth* find(const Address& address) override;
  bool eject(policies::EndpointHealth& endpoint, Instant until) override;
  void readmit(policies::EndpointHealth& endpoint) override;
  void readmit_all() override;

  const Address& source_for(const Address& to) const;
  void retire_originals();
  Endpoint* due_for_probe(const PickHint& hint);
  void sort_endpoints();
  void forget_ejection(policies::EndpointHealth& endpoint);

  Loop& loop_;
  Network& network_;
  policies::PolicyHost& host_;
  std::shared_ptr<Admission> admission_;
  std::shared_ptr<const config::ClusterConfig> config_;
  std::unique_ptr<LoadBalancer> balancer_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::unique_ptr<Endpoint>> retired_;
  // Of original destinations, made when needed; those that nobody uses go when room is needed.
  std::unordered_map<Address, std::unique_ptr<Endpoint>, AddressHash> originals_;
  std::shared_ptr<const TlsContext> tcp_tls_;
  std::shared_ptr<const TlsContext> tcp_tls_of_;  // the context it was made of
  std::vector<Endpoint*> usable_;    // of endpoints_, in their order
  std::vector<Endpoint*> ejected_;   // the others
  policies::Chain policies_;
  StatId ejected_gauge_{};
  uint32_t exchanges_ = 0;
  bool gone_ = false;
};

class ClusterTable {
 public:
  ClusterTable(Loop& loop, Network& network, policies::PolicyHost& host, Admissions& admissions);

  // Unchanged nodes cost a pointer comparison.
  void adopt(const config::Snapshot& snapshot);
  Cluster& at(ClusterIndex index) { return *clusters_[index]; }
  size_t size() const { return clusters_.size(); }
  Cluster* find(ClusterIndex index) { return index < size() ? clusters_[index].get() : nullptr; }
  Cluster* find(std::string_view name);   // null: not there. Not for the hot path
  void reap();                 // now and then: frees what was retired
  void retire_all();
  bool idle() const;           // nothing retired is left

 private:
  Loop& loop_;
  Network& network_;
  policies::PolicyHost& host_;
  Admissions& admissions_;
  std::vector<std::unique_ptr<Cluster>> clusters_;  // by ClusterIndex; null: free
  std::vector<std::unique_ptr<Cluster>> retired_;
};

}  // namespace tulle::routing
