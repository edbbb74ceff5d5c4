// Worker: one thread's share of the data plane: a loop, the present snapshot, clusters, gateways.
//
// Shares nothing with other workers but immutable snapshots and the Admissions. Everything runs on
// the loop it was given; adopt(), drain() and stop arrive there as messages (see sidecar.cpp), or
// directly in the simulator, where several workers live on one loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/rng.hpp"
#include "core/base/stats.hpp"
#include "core/net/loop.hpp"
#include "core/net/memory_watch.hpp"
#include "core/net/network.hpp"
#include "core/net/timer.hpp"
#include "sidecar/accept/gateway.hpp"
#include "sidecar/destination_requests.hpp"
#include "sidecar/exchange/exchange_host.hpp"
#include "sidecar/policies/broadcast.hpp"
#include "sidecar/policies/route_chains.hpp"
#include "sidecar/routing/cluster.hpp"
#include "sidecar/telemetry/access_log.hpp"
#include "sidecar/telemetry/request_stats.hpp"

namespace tulle {

// What all workers of a process are given.
struct WorkerEnvironment {
  std::string node_id;
  StatRegistry& stats;
  routing::Admissions& admissions;
  telemetry::AccessLog* access_log = nullptr;
  bool reuse_port = true;
  DestinationRequests* destinations = nullptr;  // null: there is nobody to ask
  policies::Broadcast* broadcast = nullptr;     // null: the worker is the only one
  exchange::ExhaustedRequests* exhausted = nullptr;  // null: not kept
  size_t max_connections = 10000;               // of one listener in one worker
  tracing::SpanSink* spans = nullptr;           // null: spans are not kept
  std::string service{};                        // whose spans, where the configuration is silent
};

// Listener name to the address it is really bound to.
using BoundAddresses = std::map<std::string, Address, std::less<>>;

class Worker final : private Task,
                     private exchange::ExchangeHost,
                     private policies::PolicyHost,
                     private policies::Broadcast::Receiver {
 public:
  Worker(Loop& loop, Network& network, const WorkerEnvironment& environment, uint64_t seed);
  ~Worker() override;

  // Switches to a new snapshot at once: requests that begin from now on see it, and only it. An
  // address that cannot be bound is an Error and leaves that one listener out; the rest is adopted.
  // `bound` gives the real address of listeners that were configured with port 0.
  Result<void> adopt(std::shared_ptr<const config::Snapshot> snapshot,
                     const BoundAddresses& bound = {});
  // Inbound first: stop accepting, say goodbye, finish what runs. Outbound goes on serving the
  // application until inbound is quiet, then drains as well.
  void drain();
  bool drained() const;
  void set_owner(Task* owner) { owner_ = owner; }   // woken when drained() becomes true

  const config::Snapshot* snapshot() const { return generation_ ? generation_->snapshot.get() : nullptr; }
  size_t exchanges() const { return exchanges_; }
  routing::ClusterTable& clusters() { return clusters_; }
  std::vector<std::unique_ptr<accept::Gateway>>& gateways() { return gateways_; }

 private:
  void run() override;
  ExchangeHost& host() { return *this; }
  PolicyHost& policy_host() { return *this; }
  Receiver& receiver() { return *this; }
  Loop& loop() override { return loop_; }
  Rng& rng() override { return rng_; }
  exchange::Generation& pin() override;
  void unpin(exchange::Generation& generation) override;
  exchange::Generation& repin(exchange::Generation& former) override;
  bool await_destination(std::string_view name, exchange::DestinationWait& wait) override;
  void destination_used(const config::Destination& destination) override;
  routing::Cluster* cluster(routing::ClusterIndex index) override { return clusters_.find(index); }
  const policies::Chain* policies_of(const routing::RouteTable& table,
                                     const routing::Route& route) override {
    return route_chains_.of(table, route);
  }
  bool is_own(const Address& address) const override;
  exchange::ExhaustedRequests* exhausted_requests() override { return environment_.exhausted; }
  tracing::SpanBuffer& spans() override { return spans_; }
  void ended(const exchange::Summary& summary) override;
  void refused(const exchange::RefusalSummary& summary) override;
  std::string_view via() const override { return "tulle"; }

  // PolicyHost, and what siblings say to our policies
  StatId counter(std::string_view family, std::string_view help, Labels labels) override;
  StatId gauge(std::string_view family, std::string_view help, Labels labels) override;
  void count(StatId id, int64_t by) override { shard_.add(id, by); }
  void tell_siblings(const policies::Site& from,
                     std::shared_ptr<const policies::Note> note) override;
  void take(const std::string& cluster, const policies::PolicyType& type,
            const policies::Note& note) override;
  void forget_route_chains();

  Result<void> adopt_listeners(const config::Snapshot& snapshot, const BoundAddresses& bound);
  Result<void> open_gateway(const std::shared_ptr<const config::ListenerConfig>& config,
                            const BoundAddresses& bound);
  void name_clusters();
  void sweep();
  void relieve_memory();
  void wake_waiting();
  void report_use();
  bool quiet(config::Direction direction) const;
  void drain_gateways(config::Direction direction);

  Network& network_;
  const WorkerEnvironment& environment_;
  Rng rng_;
  StatShard shard_;
  telemetry::RequestStats request_stats_;
  telemetry::TcpStats tcp_stats_;
  telemetry::AccessLogBuffer access_log_;
  tracing::SpanBuffer spans_;
  StatId active_exchanges_;
  routing::ClusterTable clusters_;
  policies::RouteChains route_chains_;
  std::unique_ptr<exchange::Generation> generation_;
  std::vector<std::unique_ptr<exchange::Generation>> former_;   // still pinned by exchanges
  std::vector<std::unique_ptr<accept::Gateway>> gateways_;
  std::vector<std::unique_ptr<accept::Gateway>> removed_;       // draining, no longer configured
  Task* owner_ = nullptr;
  Timer sweep_timer_;
  MemoryWatch memory_watch_;
  Timer relief_timer_;                                          // armed while memory is short
  Instant short_since_;
  uint32_t shed_turn_ = 0;                                      // when something was last ended
  // Exchanges whose destination is not in the snapshot yet, and which destinations had requests
  // since that was last reported; by Destination::index of the present snapshot.
  List<exchange::DestinationWait, exchange::DestinationTag> waiting_;
  std::vector<bool> used_;
  Timer use_timer_;
  size_t exchanges_ = 0;
  enum class Draining : uint8_t { no, inbound, outbound } draining_ = Draining::no;
};

}  // namespace tulle
