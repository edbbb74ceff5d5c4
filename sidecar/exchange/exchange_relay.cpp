// Exchange: what is carried between the two streams while an attempt runs.
#include <algorithm>

#include "core/http/forms.hpp"
#include "core/http/grpc_status.hpp"
#include "core/net/loop.hpp"
#include "core/net/tls.hpp"
#include "sidecar/exchange/exchange.hpp"
#include "sidecar/exchange/outcome.hpp"
#include "sidecar/routing/field_changes.hpp"

namespace tulle::exchange {
namespace {

// Moves what the receiver has room for. The sender's window reopens by exactly that much. With
// Replay::pump() the one place where bytes pass from side to side: a tee or a transformer would
// stand here.
bool pump(Stream& from, Stream& to) {
  bool moved = false;
  // Asking for room and getting none is what makes the receiver wake us, so ask until then.
  while (from.readable() > 0) {
    const size_t room = to.room();
    if (room == 0) break;
    to.send(from.receive(room));
    moved = true;
  }
  return moved;
}

// Whatever the client lets us pass on: it fits one small chunk, and less would hold one as well.
constexpr size_t kLeastFetched = 1536;

bool is_mesh_peer(const Stream& stream) {
  return stream.peer() != nullptr && !stream.peer()->spiffe_id.empty();
}

// Whether an answer to a gRPC call that ends with `fields` leaves open how the call ended. Silence
// must not pass for success (an answer of another kind has an HTTP status that says enough).
bool lacks_status(const Head& answer, const Fields& fields) {
  return answer.status == 200 && is_grpc(answer) && !fields.has(FieldId::grpc_status);
}

}  // namespace

bool Exchange::relay() {
  Stream& up = attempt().stream();
  limit_reading(up);
  // An answer that broke before any of it was passed on can still become an honest one of ours.
  if (up.failure() != nullptr && !up.arrived() && !down_->head_sent()) return judge(*up.failure());
  bool moved = pump_response(up);
  if (phase_ != Phase::relaying) return true;
  if (up.failure() != nullptr && up.readable() == 0) {
    if (tunnel_ != Tunnel::open || !down_->finished()) return judge(*up.failure());
    // It had said all it had to say, and does not listen any more: so ends half a tunnel.
    request_sent_ = true;
  }
  moved |= pump_request(up);
  if (moved) last_progress_ = loop_.now();
  if (tunnel_ == Tunnel::open && request_sent_ && down_->finished()) {
    phase_ = Phase::finishing;
    return true;
  }
  return false;  // both pumps have moved all they can; the streams wake us when there is more
}

// What the client would not take from us need not be fetched.
void Exchange::limit_reading(Stream& up) {
  if (!down_->narrow() && !up.narrow_inbound()) return;
  const size_t most = down_->narrow() ? down_->outbound_limit() : SIZE_MAX;
  up.limit_inbound(most == 0 ? 0 : std::max(most, kLeastFetched));
}

bool Exchange::pump_request(Stream& up) {
  if (request_sent_) return false;
  const bool moved = replay_.pump(*down_, up);
  if (!down_->ended() || !replay_.caught_up()) return moved;
  if (tunnel_ == Tunnel::none) forward_trailers(down_->trailers(), up.draft_trailers());
  up.finish();
  request_sent_ = true;
  return true;
}

bool Exchange::pump_response(Stream& up) {
  bool moved = false;
  while (!down_->head_sent() && up.interim() != nullptr) {
    forward_response(*up.interim(), down_->draft(), {.via = host_.via()});
    down_->send_interim();
    up.drop_interim();
    moved = true;
  }
  if (up.head() == nullptr) return moved;
  if (!down_->head_sent()) {
    if (judge_answer(up)) return true;
    begin_response(up);
    moved = true;
  }
  if (down_->finished()) {
    if (tunnel_ == Tunnel::open) return moved;  // the other direction goes on
    phase_ = Phase::finishing;
    return true;
  }
  moved |= pump(up, *down_);
  if (!up.ended()) return moved;
  if (tunnel_ == Tunnel::open) {
    down_->finish();
    return true;
  }
  Fields& trailers = down_->draft_trailers();
  forward_trailers(up.trailers(), trailers, is_mesh_peer(up));
  const bool told = up.head()->fields.has(FieldId::grpc_status);
  if (grpc_ && !told && lacks_status(*up.head(), trailers)) say_that_status_lacks(trailers);
  down_->finish();
  phase_ = Phase::finishing;
  return true;
}

// The head of an answer is here. True: it will not do, the request is sent again.
bool Exchange::judge_answer(Stream& up) {
  attempt_deadline_ = kNever;
  upstream_latency_ = loop_.now() - attempt().started();
  attempt().observe(upstream_latency_, loop_.now());
  // An answer without a message may be here whole: then the status in its trailers counts as well.
  const Fields& last = up.ended() && !up.head()->ended ? up.trailers() : up.head()->fields;
  const policies::RetryPlan plan = tell_outcome(answer_outcome(*up.head(), last, is_mesh_peer(up)));
  if (!plan.wanted) return false;
  trace_attempt(nullptr);
  return retry(plan);
}

void Exchange::begin_response(Stream& up) {
  replay_.forget();
  Head& head = down_->draft();
  const bool from_mesh = is_mesh_peer(up);
  forward_response(*up.head(), head, {.via = host_.via(), .peer_is_mesh = from_mesh});
  routing::apply(target_->changes.response, head.fields);
  if (grpc_ && head.ended && lacks_status(head, head.fields)) say_that_status_lacks(head.fields);
  if (head.status >= 500 || head.fields.has(FieldId::grpc_status)) mark_exhausted(head);
  if (tunnel_ != Tunnel::none) begin_tunnel(up, head);
  down_->send_head();
}

// What limits a request must not cut a tunnel: it lasts as long as something is said in it.
void Exchange::begin_tunnel(Stream& up, const Head& answer) {
  if (!opens_tunnel(*down_->head(), answer)) {
    tunnel_ = Tunnel::none;
    return up.finish();
  }
  tunnel_ = Tunnel::open;
  request_sent_ = up.finished();
  request_.deadline = request_deadline_ = kNever;
  idle_limit_ = forward_->idle_timeout.value_or(kTunnelIdle);
  last_progress_ = loop_.now();
  arm_timer();
}

void Exchange::say_that_status_lacks(Fields& fields) {
  error_ = Error{Code::upstream_protocol_error, Origin::upstream,
                 "the answer ended without a grpc-status"};
  add_status(fields, {GrpcCode::unknown, error_->detail});
  fields.add(FieldId::tulle_error, to_string(error_->code));
}

// A caller in the mesh hears that what this request called on was tried again already.
void Exchange::mark_exhausted(Head& answer) {
  if (listener_.config->direction != config::Direction::inbound) return;
  ExhaustedRequests* exhausted = host_.exhausted_requests();
  if (exhausted == nullptr || !exhausted->knows(*down_->head(), loop_.now())) return;
  answer.fields.set(FieldId::tulle_retried, "1");
}

}  // namespace tulle::exchange
