#include "sidecar/exchange/exchange.hpp"

#include <algorithm>
#include <string>

#include "core/http/forms.hpp"
#include "core/http/reply.hpp"
#include "core/net/loop.hpp"
#include "core/net/tls.hpp"
#include "sidecar/exchange/trace_id.hpp"
#include "sidecar/routing/destination_name.hpp"
#include "sidecar/routing/field_changes.hpp"

namespace tulle::exchange {
namespace {

// An attempt that failed teaches the balancer this latency, so that an endpoint which refuses
// quickly does not look like the fastest of all.
constexpr Duration kFailureLatency = 1s;

// How long an exchange waits for the control plane to say where its destination is.
constexpr Duration kDestinationWait = 5s;

// Moves what the receiver has room for. The sender's window reopens by exactly that much. The one
// place where bytes pass from side to side: a tee or a transformer would stand here.
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

// What a codec or pool calls an upstream's end, in the words of an exchange.
Error as_upstream_error(const Error& error) {
  switch (error.code) {
    case Code::closed:
    case Code::cancelled:
    case Code::refused_stream:
    case Code::idle_timeout:
    case Code::draining:
      return {Code::upstream_reset, Origin::upstream, error.detail};
    case Code::protocol_error:
    case Code::bad_request:
    case Code::header_too_large:
      return {Code::upstream_protocol_error, Origin::upstream, error.detail};
    default:
      return error;
  }
}

}  // namespace

Exchange::Exchange(ExchangeHost& host, const ListenerView& listener, StreamRef down)
    : Task(host.loop()),
      host_(host),
      listener_(listener),
      down_(std::move(down)),
      attempts_{Attempt(*this)},
      generation_(&host.pin()),
      wait_(*this),
      timer_(*this),
      started_(loop_.now()),
      last_progress_(started_) {
  down_->set_owner(this);
}

Exchange::~Exchange() {
  // The connection is torn down under us (shutdown): end as every exchange ends.
  if (phase_ != Phase::over) {
    if (!error_) error_ = Error{Code::draining, Origin::local, "the sidecar is shutting down"};
    conclude();
  }
}

void Exchange::run() {
  while (step()) {
  }
}

// Moves the exchange on. False means: nothing more can happen until somebody wakes us.
bool Exchange::step() {
  if (phase_ == Phase::over) return false;
  if (down_->failure() != nullptr) {
    error_ = *down_->failure();
    conclude();
    return false;
  }
  if (timer_.fired() && check_time()) return true;
  switch (phase_) {
    case Phase::admitting: return admit();
    case Phase::locating: return locate();
    case Phase::choosing: return choose();
    case Phase::opening: return open();
    case Phase::relaying: return relay();
    case Phase::replying: return reply();
    case Phase::finishing: return finish();
    case Phase::over: return false;
  }
  UNREACHABLE();
}

bool Exchange::admit() {
  const Head& request = *down_->head();
  if (listener_.removed) {
    return refuse({Code::config_missing, Origin::local, "the listener has been removed"});
  }
  if (request.method == Method::connect || request.method == Method::trace) {
    return refuse({Code::not_implemented, Origin::downstream,
                   "method " + request.method_text + " is not forwarded"});
  }
  const config::HttpOptions& http = listener_.config->http;
  if (http.request_timeout > Duration{0}) request_deadline_ = started_ + http.request_timeout;
  idle_limit_ = http.stream_idle_timeout;
  phase_ = listener_.config->on_demand ? Phase::locating : Phase::choosing;
  return true;
}

// Whose routes hold: the listener's own where one matches, else those of the destination that the
// request names. A destination that nobody has asked for yet is asked for, and comes with a later
// generation. Silence never means that there is none: no answer is config_missing.
bool Exchange::locate() {
  const auto request = routing::RequestView::of(*down_->head());
  const routing::RouteTable& own = *listener_.config->routes;
  if (!own.virtual_hosts().empty() && own.match(request, host_.rng().next()) != nullptr) {
    phase_ = Phase::choosing;
    return true;
  }
  if (wait_until_ != kNever) generation_ = &host_.repin(*generation_);
  const routing::DestinationName name(request.authority, request.scheme);
  destination_ = generation_->snapshot->find_destination(name.text());
  if (destination_ == nullptr) return await_destination(name.text());
  host_.destination_used(*destination_);
  if (destination_->kind == config::Destination::Kind::refused) {
    return refuse({Code::denied, Origin::local,
                   destination_->name + " is not in the mesh, and egress is denied"});
  }
  wait_.unlink();
  wait_until_ = kNever;
  phase_ = Phase::choosing;
  return true;
}

bool Exchange::await_destination(std::string_view name) {
  const bool late = loop_.now() >= wait_until_;
  if (late || !host_.await_destination(name, wait_)) {
    wait_.unlink();
    return refuse({Code::config_missing, Origin::local,
                   std::string(name) + (late ? ": the control plane has not answered in time"
                                             : ": no such destination is configured")});
  }
  if (wait_until_ == kNever) {
    began_with_ = generation_->snapshot;
    wait_until_ = loop_.now() + kDestinationWait;
    arm_timer();
  }
  return false;
}

bool Exchange::choose() {
  const Head& request = *down_->head();
  const uint64_t random = host_.rng().next();
  const routing::RouteTable& routes =
      destination_ != nullptr ? *destination_->routes : *listener_.config->routes;
  route_ = routes.match(routing::RequestView::of(request), random);
  if (route_ == nullptr) {
    return refuse({Code::no_route, Origin::local,
                   "no route for " + request.authority + request.path});
  }
  forward_ = std::get_if<routing::Forward>(&route_->action);
  if (forward_ == nullptr) return answer_directly(*route_);
  return forward(*forward_, forward_->pick(random));
}

bool Exchange::forward(const routing::Forward& forward, const routing::Target& target) {
  target_ = &target;
  routing::Cluster* cluster = host_.cluster(target.cluster);
  if (cluster == nullptr) return refuse({Code::invalid_backend, Origin::local, "unknown cluster"});
  cluster_ = cluster;
  cluster_->exchange_started();
  if (forward.timeout && *forward.timeout > Duration{0}) deadline_ = started_ + *forward.timeout;
  if (forward.idle_timeout) idle_limit_ = *forward.idle_timeout;
  arm_timer();
  if (!cluster_->admission().take_request()) {
    return refuse({Code::circuit_open, Origin::local,
                   "cluster " + cluster_->config().name + " has reached max_requests"});
  }
  holds_request_permit_ = true;
  const routing::PickHint hint{loop_.now(), last_endpoint_};
  last_endpoint_ = cluster_->pick(hint, host_.rng());
  if (last_endpoint_ == nullptr) {
    return refuse({Code::no_endpoint, Origin::local,
                   "cluster " + cluster_->config().name + " has no endpoint"});
  }
  ++attempts_made_;
  attempt().start(*last_endpoint_, loop_.now());
  phase_ = Phase::opening;
  return true;
}

bool Exchange::open() {
  switch (attempt().opening()) {
    case Attempt::Opening::waiting: return false;
    case Attempt::Opening::failed: return judge(attempt().refusal());
    case Attempt::Opening::open: break;
  }
  send_request();
  phase_ = Phase::relaying;
  return true;
}

void Exchange::send_request() {
  const Head& request = *down_->head();
  Head& head = attempt().stream().draft();
  const ForwardingContext form{.via = host_.via(),
                               .peer_is_mesh = down_->peer() != nullptr,
                               .peer = down_->peer(),
                               .client_ip = {}};
  forward_request(request, head, form);
  if (forward_->prefix_rewrite || forward_->path_rewrite) {
    head.path = rewritten_path(*route_, *forward_, request.path);
  }
  if (!target_->host_rewrite.empty()) head.authority = target_->host_rewrite;
  if (forward_->auto_host_rewrite && !last_endpoint_->hostname().empty()) {
    head.authority = last_endpoint_->hostname();
  }
  routing::apply(target_->changes.request, head.fields);
  attempt().stream().send_head();
  request_sent_ = head.ended;
}

bool Exchange::relay() {
  Stream& up = attempt().stream();
  bool moved = pump_response(up);
  if (phase_ != Phase::relaying) return true;
  if (up.failure() != nullptr && up.readable() == 0) return judge(*up.failure());
  moved |= pump_request(up);
  if (moved) last_progress_ = loop_.now();
  return false;  // both pumps have moved all they can; the streams wake us when there is more
}

bool Exchange::pump_request(Stream& up) {
  if (request_sent_) return false;
  const bool moved = pump(*down_, up);
  if (!down_->ended()) return moved;
  forward_trailers(down_->trailers(), up.draft_trailers());
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
    upstream_latency_ = loop_.now() - attempt().started();
    attempt().observe(upstream_latency_, loop_.now());
    Head& head = down_->draft();
    forward_response(*up.head(), head, {.via = host_.via()});
    routing::apply(target_->changes.response, head.fields);
    down_->send_head();
    moved = true;
  }
  if (down_->finished()) {
    phase_ = Phase::finishing;
    return true;
  }
  moved |= pump(up, *down_);
  if (!up.ended()) return moved;
  forward_trailers(up.trailers(), down_->draft_trailers());
  down_->finish();
  phase_ = Phase::finishing;
  return true;
}

// The attempt has failed. With nothing sent downstream it becomes our answer; otherwise the only
// honest end is to break the answer off, so that the client notices.
bool Exchange::judge(const Error& error) {
  attempt().observe(std::max(kFailureLatency, Duration(loop_.now() - attempt().started())),
                    loop_.now());
  if (!down_->head_sent()) return refuse(as_upstream_error(error));
  error_ = as_upstream_error(error);
  down_->cancel(Code::upstream_reset);
  conclude();
  return false;
}

bool Exchange::refuse(Error error) {
  error_ = std::move(error);
  phase_ = Phase::replying;
  return true;
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
  if (const auto* direct = std::get_if<routing::DirectResponse>(&route.action)) {
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

// A deadline may have passed. True: it has, and the phase has changed.
bool Exchange::check_time() {
  const Instant now = loop_.now();
  timer_.disarm();
  const bool request_late = now >= request_deadline_ && !down_->arrived();
  const bool idle = idle_limit_ > Duration{0} && now >= last_progress_ + idle_limit_;
  if (now < deadline_ && !request_late && !idle) {
    arm_timer();
    return false;
  }
  Error error = request_late ? Error{Code::request_timeout, Origin::downstream,
                                     "the request did not arrive in time"}
                : now >= deadline_
                    ? Error{Code::request_timeout, Origin::upstream, "the route's timeout passed"}
                    : Error{Code::request_timeout, Origin::local, "idle for too long"};
  if (attempt().active()) attempt().observe(now - attempt().started(), now);
  if (phase_ < Phase::replying && !down_->head_sent()) return refuse(std::move(error));
  error_ = std::move(error);
  down_->cancel(Code::cancelled);
  conclude();
  return true;
}

void Exchange::arm_timer() {
  Instant when = std::min(deadline_, down_->arrived() ? kNever : request_deadline_);
  if (idle_limit_ > Duration{0}) when = std::min(when, last_progress_ + idle_limit_);
  if (phase_ == Phase::locating) when = std::min(when, wait_until_);
  if (when != kNever) timer_.arm_at(when);
}

void Exchange::conclude() {
  phase_ = Phase::over;
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
  summary.attempts = attempts_made_;
  summary.bytes_received = down_->bytes_received();
  summary.bytes_sent = down_->bytes_sent();
  summary.duration = loop_.now() - started_;
  summary.upstream_latency = upstream_latency_;
  host_.ended(summary);

  timer_.disarm();
  attempt().drop();
  if (cluster_ != nullptr) {
    if (holds_request_permit_) cluster_->admission().give_request();
    cluster_->exchange_ended();
  }
  host_.unpin(*generation_);
  down_->set_owner(nullptr);
  down_.reset();
}

}  // namespace tulle::exchange
