// Exchange: the life of one request, from its complete head to the last byte of its answer.
//
// Owns the downstream StreamRef and the attempts. Both streams wake it; it looks at data and moves
// on. The phases are the story, in order; exchange.cpp tells it as far as the request is under way,
// exchange_relay.cpp carries the bytes, exchange_end.cpp has what goes wrong and how it ends.
//
//   admitting -> locating -> choosing -> asking -> starting -> opening -> relaying -> finishing -> over
//        |           |           |         |          ^  |________|__________|
//        |           |           |         |          |___ resting: the attempt is made again
//        |___________|___________|_________|_______________________ replying: our own answer
//
// Exactly one end per exchange: conclude() runs once, writes the summary and lets go of everything.
// Every attempt that was begun has exactly one outcome, told to the policies.
// Made by HttpChain::serve(), parked in the downstream stream, destroyed with it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/pooled.hpp"
#include "core/http/stream.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "sidecar/exchange/attempt.hpp"
#include "sidecar/exchange/exchange_host.hpp"
#include "sidecar/exchange/replay.hpp"
#include "sidecar/exchange/summary.hpp"
#include "sidecar/exchange/trace.hpp"
#include "sidecar/exchange/tunnel.hpp"
#include "sidecar/policies/chain.hpp"
#include "sidecar/routing/cluster.hpp"

namespace tulle::exchange {

class Exchange final : public Task, public Pooled<Exchange> {
 public:
  Exchange(ExchangeHost& host, const ListenerView& listener, StreamRef down);
  ~Exchange() override;

 private:
  enum class Phase : uint8_t {
    admitting, locating, choosing, asking, starting, opening, relaying, resting, replying,
    finishing, over
  };

  void run() override;
  bool step();

  // The phases. False: nothing more can happen until somebody wakes us.
  bool admit();
  void identify();
  void trace_attempt(const Error* failure);
  bool locate();
  bool await_destination(std::string_view name);
  bool choose();
  bool ask();
  bool start();
  routing::Endpoint* pick();
  bool open();
  bool relay();
  bool rest();
  bool reply();
  bool refuse_connect();
  bool check_tunnel();
  void begin_tunnel(Stream& up, const Head& answer);
  bool finish();

  bool forward(const routing::Forward& forward, const routing::Target& target);
  bool heed(policies::Verdict verdict, Phase next);
  void send_request();
  void limit_reading(Stream& up);
  bool pump_request(Stream& up);
  bool pump_response(Stream& up);
  void begin_response(Stream& up);
  void say_that_status_lacks(Fields& fields);
  void mark_exhausted(Head& answer);
  bool judge(const Error& error);
  bool judge_answer(Stream& up);
  policies::RetryPlan tell_outcome(policies::Outcome outcome);
  bool retry(const policies::RetryPlan& plan);
  bool refuse(Error error);
  bool evict();
  bool answer_directly(const routing::Route& route);
  bool check_time();
  bool run_out_of_time(Error error);
  bool take_deadline(const Head& request);
  void pass_deadline_on(Head& request) const;
  Error deadline_error() const;
  bool break_off(Error error, Code why);
  bool may_end_with_status() const;
  void arm_timer();
  void remember_tried(const routing::Endpoint& endpoint);
  int grpc_status_sent() const;
  void conclude();

  Attempt& attempt() { return attempts_[0]; }
  bool may_retry() const { return !down_->head_sent() && replay_.whole(); }
  const policies::Chain* cluster_policies() const {
    return cluster_ == nullptr ? nullptr : &cluster_->policies();
  }

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
  const policies::Chain* route_policies_ = nullptr;  // stays while the generation is pinned

  policies::Request request_;                  // what policies see and set
  Replay replay_;
  Trace trace_;
  std::optional<Error> error_;
  Timer timer_;
  Instant started_;
  Instant request_deadline_ = kNever;          // for the request to have arrived whole
  Instant caller_deadline_ = kNever;           // how long a gRPC call's caller said it would wait
  Instant attempt_deadline_ = kNever;          // for the head of the present attempt's answer
  Instant resume_at_ = kNever;                 // when resting is over
  Duration idle_limit_{};
  Instant last_progress_;
  Duration upstream_latency_{};
  routing::Endpoint* last_endpoint_ = nullptr;
  // Endpoints that were tried, the latest few: more are not avoided.
  static constexpr size_t kAvoided = 4;
  std::array<const routing::Endpoint*, kAvoided> tried_{};
  uint8_t tried_count_ = 0;
  uint8_t next_policy_ = 0;                    // where asking goes on after a wait
  Phase phase_ = Phase::admitting;
  bool asked_ = false;                         // policies have seen the request
  bool request_sent_ = false;                  // the whole request is with the upstream stream
  bool answered_by_mesh_ = false;
  Tunnel tunnel_ = Tunnel::none;
  bool opaque_ = false;                        // a CONNECT that ends at the endpoint
  bool grpc_ = false;                          // the request is a gRPC call
};

}  // namespace tulle::exchange
