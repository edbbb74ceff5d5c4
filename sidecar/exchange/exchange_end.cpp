// Exchange: what goes wrong, what is made of it, and the end.
#include <algorithm>
#include <string>

#include "core/http/grpc_status.hpp"
#include "core/http/reply.hpp"
#include "core/net/loop.hpp"
#include "core/net/tls.hpp"
#include "sidecar/exchange/exchange.hpp"
#include "sidecar/exchange/outcome.hpp"
#include "sidecar/exchange/trace_id.hpp"
#include "sidecar/routing/field_changes.hpp"

namespace tulle::exchange {
namespace {

// An attempt that failed teaches the balancer this latency, so that an endpoint which refuses
// quickly does not look like the fastest of all.
constexpr Duration kFailureLatency = 1s;

}  // namespace

// The attempt has failed. With nothing sent downstream it may be made again, or it becomes our
// answer; otherwise the answer is broken off.
bool Exchange::judge(const Error& failure) {
  if (tunnel_ != Tunnel::open) {  // how long a tunnel stood is no latency
    attempt().observe(std::max(kFailureLatency, Duration(loop_.now() - attempt().started())),
                      loop_.now());
  }
  Error error = as_upstream_error(failure);
  const policies::RetryPlan plan = tell_outcome(failure_outcome(attempt(), failure));
  if (plan.wanted) {
    trace_attempt(&error);
    return retry(plan);
  }
  if (!down_->head_sent()) return refuse(std::move(error));
  return break_off(std::move(error), Code::upstream_reset);
}

// The answer has begun and cannot go on. A gRPC call still ends with a status. For anything else the
// only honest end is a broken stream, so that the client notices.
bool Exchange::break_off(Error error, Code why) {
  error_ = std::move(error);
  if (may_end_with_status()) {
    attempt().cancel();
    add_error_status(down_->draft_trailers(), *error_);
    down_->finish();
    // Only the client's reading is waited for, as long as it reads.
    request_.deadline = request_deadline_ = attempt_deadline_ = kNever;
    last_progress_ = loop_.now();
    arm_timer();
    phase_ = Phase::finishing;
    return true;
  }
  down_->cancel(why);
  conclude();
  return false;
}

// HTTP/1 clients know calls from hearsay, and a declared length must be kept.
bool Exchange::may_end_with_status() const {
  const Head* answer = down_->departing_head();
  return grpc_ && phase_ == Phase::relaying && !down_->finished() && answer != nullptr &&
         is_grpc(*answer) && !answer->content_length &&
         down_->head()->version == Version::http2;
}

// The policies hear of every attempt once; the first to be told is the one that counts.
policies::RetryPlan Exchange::tell_outcome(policies::Outcome outcome) {
  if (!attempt().take_outcome()) return {};
  outcome.endpoint = &attempt().endpoint().health();
  outcome.now = loop_.now();
  outcome.probe = attempt().is_probe();
  outcome.repeatable = may_retry();
  policies::RetryPlan plan =
      policies::tell_outcome(route_policies_, cluster_policies(), request_, outcome);
  if (request_.exhausted && listener_.config->direction == config::Direction::outbound) {
    ExhaustedRequests* exhausted = host_.exhausted_requests();
    if (exhausted != nullptr) exhausted->note(*down_->head(), loop_.now());
  }
  // Resting until the deadline would only make the answer later.
  if (request_.deadline - loop_.now() <= plan.delay) plan.wanted = false;
  return plan;
}

bool Exchange::refuse(Error error) {
  error_ = std::move(error);
  phase_ = Phase::replying;
  return true;
}

// Memory is short, and this exchange holds much of it.
bool Exchange::evict() {
  Error error{Code::overloaded, Origin::local,
              "ended while under way: the sidecar's memory is used up"};
  if (!down_->head_sent()) return refuse(std::move(error));
  error_ = std::move(error);
  down_->cancel(Code::internal);
  conclude();
  return false;
}

bool Exchange::reply() {
  answered_by_mesh_ = true;
  attempt().cancel();
  const Head& request = *down_->head();
  send_error_reply(*down_, request, *error_,
                   {.hop = listener_.hop, .trace_id = trace_id_of(request)});
  phase_ = Phase::finishing;
  return true;
}

bool Exchange::answer_directly(const routing::Route& route) {
  answered_by_mesh_ = true;
  const Head& request = *down_->head();
  Head& head = down_->draft();
  std::string_view body;
  const auto* direct = std::get_if<routing::DirectResponse>(&route.action);
  if (direct != nullptr && grpc_ && direct->status >= 400) {
    draft_grpc_answer(head, request, {code_for_http(direct->status), direct->body});
    routing::apply(route.changes.response, head.fields);
    down_->send_head();
    phase_ = Phase::finishing;
    return true;
  }
  if (direct != nullptr) {
    head.status = direct->status;
    body = direct->body;
    if (!body.empty()) head.fields.add(FieldId::content_type, "text/plain; charset=utf-8");
  } else {
    const auto& redirect = std::get<routing::Redirect>(route.action);
    head.status = redirect.status;
    head.fields.add(FieldId::location,
                    redirect_location(route, redirect, routing::RequestView::of(request)));
  }
  routing::apply(route.changes.response, head.fields);
  head.content_length = body.size();
  head.ended = body.empty() || request.method == Method::head;
  const bool ended = head.ended;
  down_->send_head();
  if (!ended) {
    // A direct response is configuration, bounded far below a stream's outbound queue.
    down_->send(Bytes(body));
    down_->finish();
  }
  phase_ = Phase::finishing;
  return true;
}

// The answer is complete, so what is left of the request is wanted by nobody. The exchange ends when
// the codec is done, so that a client which leaves before the last byte is seen leaving.
bool Exchange::finish() {
  if (!request_sent_) attempt().cancel();
  request_sent_ = true;
  if (!down_->departed()) return false;
  conclude();
  return false;
}

// ---- time ------------------------------------------------------------------------------------

// A deadline may have passed. True: it has, and the phase has changed.
bool Exchange::check_time() {
  const Instant now = loop_.now();
  timer_.disarm();
  if (now >= request_deadline_ && !down_->arrived()) {
    return run_out_of_time(
        {Code::request_timeout, Origin::downstream, "the request did not arrive in time"});
  }
  if (now >= request_.deadline) return run_out_of_time(deadline_error());
  if (idle_limit_ > Duration{0} && now >= last_progress_ + idle_limit_) {
    return run_out_of_time({Code::request_timeout, Origin::local, "idle for too long"});
  }
  const bool unanswered = phase_ == Phase::opening || phase_ == Phase::relaying;
  if (now >= attempt_deadline_ && unanswered && !down_->head_sent()) {
    attempt_deadline_ = kNever;
    arm_timer();
    return judge({Code::attempt_timeout, Origin::upstream,
                  "the attempt was not answered in time"});
  }
  arm_timer();
  return false;
}

Error Exchange::deadline_error() const {
  if (caller_deadline_ <= request_.deadline) {
    return {Code::deadline_exceeded, Origin::upstream, "the caller's grpc-timeout passed"};
  }
  return {Code::request_timeout, Origin::upstream, "the route's timeout passed"};
}

bool Exchange::run_out_of_time(Error error) {
  if (attempt().active() && tunnel_ != Tunnel::open) {
    attempt().observe(loop_.now() - attempt().started(), loop_.now());
    if (error.origin != Origin::downstream) tell_outcome(failure_outcome(attempt(), error));
  }
  if (phase_ < Phase::replying && !down_->head_sent()) return refuse(std::move(error));
  break_off(std::move(error), Code::cancelled);
  return true;
}

void Exchange::arm_timer() {
  Instant when = std::min(request_.deadline, down_->arrived() ? kNever : request_deadline_);
  if (idle_limit_ > Duration{0}) when = std::min(when, last_progress_ + idle_limit_);
  when = std::min(when, attempt_deadline_);
  if (resume_at_ > loop_.now()) when = std::min(when, resume_at_);
  if (phase_ == Phase::locating) when = std::min(when, wait_until_);
  if (when != kNever) timer_.arm_at(when);
}

// ---- the end ---------------------------------------------------------------------------------

int Exchange::grpc_status_sent() const {
  std::optional<GrpcStatus> status = status_in(down_->departing_head()->fields);
  if (!status && down_->finished()) status = status_in(down_->departing_trailers());
  return status ? static_cast<int>(status->code) : -1;
}

// The span of the attempt that ends now, if it leaves one.
void Exchange::trace_attempt(const Error* failure) {
  if (!trace_.sampled() || !attempt().active()) return;
  const Stream* up = attempt().has_stream() ? &attempt().stream() : nullptr;
  const Head* answer = up != nullptr ? up->head() : nullptr;
  const PeerIdentity* peer = up != nullptr ? up->peer() : nullptr;
  trace_.attempt_ended({.number = request_.attempts,
                        .after = attempt().started() - started_,
                        .took = loop_.now() - attempt().started(),
                        .status = answer != nullptr ? answer->status : 0,
                        .failure = failure,
                        .cluster = cluster_,
                        .endpoint = last_endpoint_,
                        .peer = peer != nullptr ? std::string_view(peer->spiffe_id) : ""},
                       *down_->head(), host_.spans());
}

void Exchange::conclude() {
  phase_ = Phase::over;
  tell_outcome({.end = policies::End::abandoned});
  trace_attempt(error_ ? &*error_ : nullptr);
  if (asked_) policies::tell_end(route_policies_, cluster_policies(), request_);
  Summary summary;
  summary.request = down_->head();
  summary.listener = listener_.config;
  summary.listener_stat_slot = listener_.stat_slot;
  summary.external =
      destination_ != nullptr && destination_->kind == config::Destination::Kind::external;
  summary.route = route_;
  summary.cluster = cluster_;
  summary.endpoint = last_endpoint_;
  summary.caller = down_->peer();
  if (attempt().has_stream() && attempt().stream().peer() != nullptr) {
    summary.callee = attempt().stream().peer()->spiffe_id;
  }
  summary.config_version = destination_ != nullptr && !destination_->version.empty()
                               ? destination_->version
                               : generation_->snapshot->version;
  summary.error = error_ ? &*error_ : nullptr;
  summary.answered_by_mesh = answered_by_mesh_;
  summary.status = down_->head_sent() && down_->departing_head() != nullptr
                       ? down_->departing_head()->status
                       : 0;
  if (grpc_ && summary.status != 0) summary.grpc_status = grpc_status_sent();
  summary.attempts = request_.attempts;
  summary.retries_exhausted = request_.exhausted;
  summary.bytes_received = down_->bytes_received();
  summary.bytes_sent = down_->bytes_sent();
  summary.duration = loop_.now() - started_;
  summary.upstream_latency = upstream_latency_;
  trace_.exchange_ended(summary, host_.spans());
  host_.ended(summary);

  timer_.disarm();
  request_.waiter.unlink();
  request_.waiter.pending.reset();
  request_.permits.give_all();
  replay_.forget();
  attempt().drop();
  if (cluster_ != nullptr) cluster_->exchange_ended();
  host_.unpin(*generation_);
  down_->set_owner(nullptr);
  down_.reset();
}

}  // namespace tulle::exchange
