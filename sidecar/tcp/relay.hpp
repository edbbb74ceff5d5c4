// Relay: one opaque connection, from the choice of an upstream to its last byte or its reset.
//
// Owns both byte streams. They wake it; it looks at data and moves on. relay.cpp tells how the
// upstream is found and connected, relay_pump.cpp what is carried and how it ends.
//
//   greeting -> locating -> dialling -> securing -> relaying -> flushing -> over
//   (TLS with the client)              (TLS upstream)
//
// Without a client (an early dial, see sidecar/accept/arrival.hpp) it stops before relaying until
// attach(), and fails silently. Bytes are never changed, joined or reordered; an orderly end of one
// direction is passed on as that, anything else as a reset. Exactly one summary per relay that had a
// client.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/list.hpp"
#include "core/base/pooled.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "sidecar/exchange/exchange_host.hpp"
#include "sidecar/policies/policy.hpp"
#include "sidecar/routing/cluster.hpp"
#include "sidecar/tcp/destination_search.hpp"
#include "sidecar/tcp/side.hpp"
#include "sidecar/telemetry/tcp_stats.hpp"

namespace tulle::tcp {

struct RelayTag {};

// What a relay is told by the listener that makes it. The shared nodes keep what it looks at alive.
struct Assignment {
  std::shared_ptr<const config::ListenerConfig> listener;
  uint32_t stat_slot = 0;                             // of the listener
  std::shared_ptr<const config::TcpProxy> proxy;
  Address original_destination;                       // unset: it came to the listener itself
  Address listens_at;                                 // the listener's own address
  std::shared_ptr<const TlsContext> tls;              // with the client; null: plaintext
  Duration tls_handshake_timeout = 5s;
  std::string server_name;                            // SNI, where it was looked at
  std::string config_version;                         // of the destination or the snapshot
  bool external = false;                              // to outside of the mesh
  Instant accepted{};
};

class Relay final : public Task, public ListNode<RelayTag>, public Pooled<Relay> {
 public:
  // `owner` is woken when the relay is over, and while there is no client when it has news.
  Relay(exchange::ExchangeHost& host, telemetry::TcpStats& stats, Task& owner,
        Assignment assignment);
  ~Relay() override;  // not over: both sides see a reset

  void attach(std::unique_ptr<ByteStream> client);
  void set_owner(Task& owner) { owner_ = &owner; }
  // Where it goes when it is over.
  void end_into(List<Relay, RelayTag>& ended) { ended_ = &ended; }

  bool over() const { return phase_ == Phase::over; }
  // Before attach(): the upstream has said something, or has ended.
  bool upstream_spoke() const { return up_.spoke(); }
  bool failed() const { return error_.has_value(); }

 private:
  enum class Phase : uint8_t { greeting, locating, dialling, securing, relaying, flushing, over };

  void run() override;
  bool step();

  // relay.cpp. False: nothing more can happen until somebody wakes us.
  bool greet();
  bool locate();
  bool choose(const config::TcpProxy& proxy);
  bool dial();
  bool connected();
  bool secured();
  bool begin_relaying();
  bool attempt_failed(Error error);
  bool refuse(Error error);
  bool refuses_loop(const routing::Endpoint& endpoint) const;
  routing::Endpoint* pick();
  void tell_outcome(const Error* error);
  void leave_endpoint();

  // relay_pump.cpp
  bool relay();
  bool pump(Side& from, Side& to);
  bool broken();
  bool flush();
  bool check_time();
  void conclude();

  exchange::ExchangeHost& host_;
  telemetry::TcpStats& stats_;
  Task* owner_;
  List<Relay, RelayTag>* ended_ = nullptr;
  Assignment assignment_;
  DestinationSearch search_;
  Side down_;
  Side up_;
  std::shared_ptr<const config::TcpProxy> proxy_;  // that decides: the chain's or the destination's
  routing::Cluster* cluster_ = nullptr;
  routing::Endpoint* endpoint_ = nullptr;          // an attempt is counted there
  routing::Endpoint* last_endpoint_ = nullptr;     // stays while the cluster counts us
  routing::Unanswered unanswered_;
  policies::Request request_;
  std::optional<Error> error_;
  Timer timer_;
  Instant deadline_ = kNever;                      // of the phase
  Instant dialled_{};
  Instant last_progress_{};
  Duration connect_latency_{};
  uint64_t counted_down_ = 0;                      // bytes that statistics have
  uint64_t counted_up_ = 0;
  static constexpr size_t kAvoided = 4;
  std::array<const routing::Endpoint*, kAvoided> tried_{};
  uint8_t attempts_ = 0;
  Phase phase_ = Phase::locating;
  bool permitted_ = false;                         // counts against the cluster's connections
  bool probe_ = false;
  bool had_client_ = false;
};

}  // namespace tulle::tcp
