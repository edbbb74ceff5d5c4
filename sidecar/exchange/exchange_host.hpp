// ExchangeHost: what an exchange sees of its worker. Generation: a pinned snapshot.
//
// The worker implements it; tests of exchanges do as well.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/list.hpp"
#include "core/base/rng.hpp"
#include "core/net/address.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/exchange/exhausted_requests.hpp"
#include "sidecar/exchange/summary.hpp"
#include "sidecar/policies/chain.hpp"
#include "sidecar/routing/cluster.hpp"
#include "sidecar/tracing/span_buffer.hpp"

namespace tulle {
class Loop;
class Task;
}

namespace tulle::exchange {

// A snapshot that exchanges of one worker still use. Counted without atomics; the shared snapshot
// itself is counted once per worker and change.
struct Generation {
  std::shared_ptr<const config::Snapshot> snapshot;
  uint32_t exchanges = 0;
};

// What a listener tells its exchanges: configuration of the present generation.
struct ListenerView {
  const config::ListenerConfig* config = nullptr;
  std::string_view hop;           // "outbound@orders-1": who answers, in replies
  uint32_t stat_slot = 0;         // of the listener, for the worker's statistics
  // The configuration has no such listener any more; its connections are draining. Its routes must
  // not be used: cluster indexes mean something only in the snapshot they came with.
  bool removed = false;
};

struct DestinationTag {};

// An exchange's place among those that wait for a destination; dropping it stops waiting.
struct DestinationWait : ListNode<DestinationTag> {
  explicit DestinationWait(Task& waiter_task) : waiter(waiter_task) {}
  Task& waiter;
};

class ExchangeHost {
 public:
  virtual Loop& loop() = 0;
  virtual Rng& rng() = 0;
  virtual Generation& pin() = 0;                 // the present generation, counted
  virtual void unpin(Generation& generation) = 0;
  // Exchanges the pin for one of the present generation, which may be the same.
  virtual Generation& repin(Generation& former) = 0;
  // Asks for a destination that the present generation lacks; the next one wakes the waiter once.
  // False: there is nobody to ask, or too much is being asked for.
  virtual bool await_destination(std::string_view name, DestinationWait& wait) = 0;
  virtual void destination_used(const config::Destination& destination) = 0;
  virtual routing::Cluster* cluster(routing::ClusterIndex index) = 0;
  // Null: the route has no policies. Lives as long as a generation that has the table is pinned.
  virtual const policies::Chain* policies_of(const routing::RouteTable& table,
                                             const routing::Route& route) = 0;
  // One of this sidecar's listeners is at this address.
  virtual bool is_own(const Address& address) const = 0;
  virtual ExhaustedRequests* exhausted_requests() = 0;   // of the process; null: not kept
  virtual tracing::SpanBuffer& spans() = 0;
  virtual void ended(const Summary& summary) = 0;
  virtual std::string_view via() const = 0;      // pseudonym for the via field
  virtual void refused(const RefusalSummary& summary) = 0;  // before there was an exchange

 protected:
  ~ExchangeHost() = default;
};

}  // namespace tulle::exchange
