// Exchange: the life of one request, from its complete head to the last byte of its answer.
//
// Owns the downstream StreamRef and the attempts. Both streams wake it; it looks at data and moves
// on. The phases are the story, in order:
//
//   admitting -> locating -> choosing -> opening -> relaying -> finishing -> over
//        \___________\___________\__________\_________/  replying: our own answer
//
// Exactly one end per exchange: conclude() runs once, writes the summary and lets go of everything.
// Made by Gateway::serve(), parked in the downstream stream, destroyed with it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/pooled.hpp"
#include "core/http/stream.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "sidecar/exchange/attempt.hpp"
#include "sidecar/exchange/exchange_host.hpp"
#include "sidecar/exchange/summary.hpp"
#include "sidecar/routing/cluster.hpp"

namespace tulle::exchange {

class Exchange final : public Task, public Pooled<Exchange> {
 public:
  Exchange(ExchangeHost& host, const ListenerView& listener, StreamRef down);
  ~Exchange() override;

 private:
  enum class Phase : uint8_t {
    admitting, locating, choosing, opening, relaying, replying, finishing, over
  };

  void run() override;
  bool step();

  bool admit();
  bool locate();
  bool await_destination(std::string_view name);
  bool choose();
  bool open();
  bool relay();
  bool reply();
  bool finish();

  bool forward(const routing::Forward& forward, const routing::Target& target);
  void send_request();
  bool pump_request(Stream& up);
  bool pump_response(Stream& up);
  bool judge(const Error& error);
  bool refuse(Error error);
  bool answer_directly(const routing::Route& route);
  bool check_time();
  void arm_timer();
  void conclude();

  Attempt& attempt() { return attempts_[0]; }

  ExchangeHost& host_;
  const ListenerView listener_;
  StreamRef down_;
  // Room for one at a time today; hedging and mirroring fill more without changing the phases.
  std::array<Attempt, 1> attempts_;
  Generation* generation_;                     // pinned: routes and configuration stay valid
  const config::Destination* destination_ = nullptr;  // null: the listener's own routes hold
  DestinationWait wait_;
  Instant wait_until_ = kNever;                // for the destination; never: has not been asked for
  // Where the listener's configuration comes from, once a newer generation is pinned.
  std::shared_ptr<const config::Snapshot> began_with_;
  const routing::Route* route_ = nullptr;
  const routing::Forward* forward_ = nullptr;
  const routing::Target* target_ = nullptr;
  routing::Cluster* cluster_ = nullptr;
  bool holds_request_permit_ = false;          // one of the cluster's max_requests

  std::optional<Error> error_;
  Timer timer_;
  Instant started_;
  Instant deadline_ = kNever;                  // of the whole exchange
  Instant request_deadline_ = kNever;          // for the request to have arrived whole
  Duration idle_limit_{};
  Instant last_progress_;
  Duration upstream_latency_{};
  routing::Endpoint* last_endpoint_ = nullptr;
  uint32_t attempts_made_ = 0;
  Phase phase_ = Phase::admitting;
  bool request_sent_ = false;                  // the whole request is with the upstream stream
  bool answered_by_mesh_ = false;
};

}  // namespace tulle::exchange
