#include "sidecar/exchange/exchange.hpp"

#include <algorithm>
#include <string>

#include "core/base/memory_budget.hpp"
#include "core/http/authority.hpp"
#include "core/http/canonical_path.hpp"
#include "core/http/forms.hpp"
#include "core/http/grpc_status.hpp"
#include "core/http/grpc_timeout.hpp"
#include "core/net/loop.hpp"
#include "core/net/tls.hpp"
#include "sidecar/routing/destination_name.hpp"
#include "sidecar/routing/field_changes.hpp"

namespace tulle::exchange {
namespace {

// How long an exchange waits for the control plane to say where its destination is.
constexpr Duration kDestinationWait = 5s;

// Calls may be quiet for long where other exchanges would have been given up: watches, queues.
constexpr Duration kCallIdle = 1h;

// Routes, policies and the next hop see one spelling. Null, or why the request is refused.
const char* canonicalise(Head& request, const PathRules& rules) {
  canonicalise_authority(request.authority);
  return canonicalise_path(request.path, rules);
}

// A request that has been through so many of us is going in a circle: no chain of services passes
// `via` on, so only hops that directly follow each other add up.
constexpr size_t kMostPassages = 9;

Error no_original_destination() {
  return {Code::denied, Origin::local,
          "connected to the sidecar itself: there is no original destination"};
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
      request_(*this),
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
  if (down_->evicted() && phase_ != Phase::replying && !answered_by_mesh_) return evict();
  switch (phase_) {
    case Phase::admitting: return admit();
    case Phase::locating: return locate();
    case Phase::choosing: return choose();
    case Phase::asking: return ask();
    case Phase::starting: return start();
    case Phase::opening: return open();
    case Phase::relaying: return relay();
    case Phase::resting: return rest();
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
  // It would echo to scripts what only the application and its user know (cross-site tracing).
  if (request.method == Method::trace) {
    return refuse({Code::not_implemented, Origin::downstream, "TRACE is not forwarded"});
  }
  if (MemoryBudget::of_process().shedding()) {
    MemoryBudget::of_process().count(Shed::request);
    return refuse({Code::overloaded, Origin::local, "the sidecar's memory is nearly used up"});
  }
  if (passages(request.fields, host_.via()) > kMostPassages) {
    return refuse({Code::loop_detected, Origin::downstream,
                   "the request has passed " + std::to_string(kMostPassages + 1) + " sidecars"});
  }
  if (asks_for_tunnel(request)) tunnel_ = Tunnel::asked;
  const config::HttpOptions& http = listener_.config->http;
  if (const char* problem = canonicalise(down_->amend_head(), http.paths)) {
    return refuse({Code::bad_request, Origin::downstream, problem});
  }
  identify();
  if (http.request_timeout > Duration{0} && tunnel_ == Tunnel::none) {
    request_deadline_ = started_ + http.request_timeout;
  }
  idle_limit_ = http.stream_idle_timeout;
  grpc_ = tunnel_ == Tunnel::none && is_grpc(request);
  if (grpc_) {
    if (idle_limit_ > Duration{0}) idle_limit_ = std::max(idle_limit_, kCallIdle);
    if (take_deadline(request)) return refuse(deadline_error());
  }
  phase_ = listener_.config->on_demand ? Phase::locating : Phase::choosing;
  return true;
}

// The caller of a gRPC call says how long it will wait, whatever the call consists of. True: it does
// not even now.
bool Exchange::take_deadline(const Head& request) {
  const std::optional<Duration> timeout = grpc_timeout_in(request.fields);
  if (!timeout) return false;
  request_.deadline = caller_deadline_ = started_ + *timeout;
  arm_timer();
  return loop_.now() >= caller_deadline_;
}

// What is left of the time: the next hop and the application need not work for nobody.
void Exchange::pass_deadline_on(Head& request) const {
  if (request_.deadline == kNever) return;
  const Duration left = std::max(request_.deadline - loop_.now(), Duration{0});
  if (grpc_) return request.fields.set(FieldId::grpc_timeout, grpc_timeout(left));
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  request.fields.set(FieldId::x_envoy_expected_rq_timeout_ms, std::to_string(ms));
}

// By what this request can be found again, in logs and in traces, here and at every hop behind us.
void Exchange::identify() {
  const config::ListenerConfig& listener = *listener_.config;
  Fields& fields = down_->amend_head().fields;
  if (listener.make_request_id && !fields.has(FieldId::x_request_id)) {
    const auto id = tracing::to_text(host_.rng().next() | 1);
    fields.add(FieldId::x_request_id, {id.data(), id.size()});
  }
  trace_.begin(fields, listener.tracing, host_.rng());
}

// Whose routes hold: the listener's own where one matches, else those of the destination that the
// request names. A destination that nobody has asked for yet is asked for, and comes with a later
// generation. Silence never means that there is none: no answer is config_missing.
bool Exchange::locate() {
  const auto request = routing::RequestView::of(*down_->head());
  const routing::RouteTable& own = *listener_.config->routes;
  // Once it has waited, only a newer generation is pinned, not the one the listener's routes are of.
  const bool waited = wait_until_ != kNever;
  if (!waited && !own.virtual_hosts().empty() &&
      own.match(request, host_.rng().next()) != nullptr) {
    phase_ = Phase::choosing;
    return true;
  }
  if (down_->head()->method == Method::connect) return refuse_connect();  // nobody is asked about it
  if (waited) generation_ = &host_.repin(*generation_);
  // What was captured goes where it was going, whatever host the request names.
  const bool captured = listener_.config->by_original_destination;
  const OriginalDestination* original = captured ? down_->original_destination() : nullptr;
  if (captured && original == nullptr) return refuse(no_original_destination());
  const routing::DestinationName named(request.authority, request.scheme);
  const std::string_view name = captured ? std::string_view(original->name) : named.text();
  destination_ = generation_->snapshot->find_destination(name);
  if (destination_ == nullptr) return await_destination(name);
  host_.destination_used(*destination_);
  if (destination_->kind == config::Destination::Kind::refused) {
    return refuse({Code::denied, Origin::local,
                   destination_->name + " is not in the mesh, and egress is denied"});
  }
  if (destination_->routes == nullptr) {
    return refuse({Code::no_route, Origin::local, destination_->name + " does not take HTTP"});
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
    if (request.method == Method::connect) return refuse_connect();
    return refuse({Code::no_route, Origin::local,
                   "no route for " + request.authority + request.path});
  }
  route_policies_ = host_.policies_of(routes, *route_);
  forward_ = std::get_if<routing::Forward>(&route_->action);
  if (forward_ == nullptr) return answer_directly(*route_);
  if (tunnel_ != Tunnel::none && !check_tunnel()) return true;
  return forward(*forward_, forward_->pick(random));
}

bool Exchange::refuse_connect() {
  return refuse({Code::denied, Origin::downstream,
                 "CONNECT " + down_->head()->authority + " is not routed here"});
}

// False: refused.
bool Exchange::check_tunnel() {
  const Head& request = *down_->head();
  const routing::ConnectRule rule = rule_for(request, listener_.config->http, *forward_);
  opaque_ = rule == routing::ConnectRule::terminated;
  if (rule != routing::ConnectRule::refused) return true;
  if (request.method == Method::connect) {
    refuse_connect();
  } else {
    refuse({Code::denied, Origin::downstream,
            "an upgrade to " + request.protocol + " is not allowed here"});
  }
  return false;
}

bool Exchange::forward(const routing::Forward& forward, const routing::Target& target) {
  target_ = &target;
  routing::Cluster* cluster = host_.cluster(target.cluster);
  if (cluster == nullptr) return refuse({Code::invalid_backend, Origin::local, "unknown cluster"});
  cluster_ = cluster;
  cluster_->exchange_started();
  if (forward.idle_timeout) idle_limit_ = *forward.idle_timeout;
  request_.head = down_->head();
  request_.caller = down_->peer();
  request_.started = started_;
  phase_ = Phase::asking;
  return true;
}

// The policies of the route, then those of the cluster.
bool Exchange::ask() {
  asked_ = true;
  const bool first = next_policy_ == 0;
  policies::Verdict verdict =
      policies::ask_request(route_policies_, cluster_policies(), request_, next_policy_);
  if (first || verdict.kind == policies::Verdict::Kind::proceed) arm_timer();
  if (verdict.kind == policies::Verdict::Kind::proceed) {
    replay_.keep(request_.replay_limit, down_->head()->content_length);
  }
  return heed(std::move(verdict), Phase::starting);
}

bool Exchange::heed(policies::Verdict verdict, Phase next) {
  switch (verdict.kind) {
    case policies::Verdict::Kind::wait: return false;
    case policies::Verdict::Kind::reply: return refuse(std::move(*verdict.error));
    case policies::Verdict::Kind::proceed: break;
  }
  phase_ = next;
  return true;
}

// A new attempt, at an endpoint that was not tried yet if there is one.
bool Exchange::start() {
  policies::AttemptPlan plan{.now = loop_.now()};
  policies::Verdict verdict =
      policies::ask_attempt(route_policies_, cluster_policies(), request_, plan, next_policy_);
  if (!heed(std::move(verdict), Phase::opening)) return false;
  if (phase_ != Phase::opening) return true;
  last_endpoint_ = pick();
  if (last_endpoint_ == nullptr) {
    return refuse({Code::no_endpoint, Origin::local,
                   "cluster " + cluster_->config().name + " has no endpoint"});
  }
  ++request_.attempts;
  attempt_deadline_ = plan.deadline;
  attempt().drop();
  attempt().start(*last_endpoint_, loop_.now(), opaque_);
  trace_.attempt_began(host_.rng());
  if (attempt_deadline_ != kNever) arm_timer();
  return true;
}

routing::Endpoint* Exchange::pick() {
  if (cluster_->config().original_destination) [[unlikely]] {
    const OriginalDestination* original = down_->original_destination();
    if (original == nullptr || host_.is_own(original->address)) return nullptr;
    return cluster_->original(original->address);
  }
  const routing::PickHint hint{loop_.now(), {tried_.data(), tried_count_}};
  return cluster_->pick(hint, host_.rng());
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
  pass_deadline_on(head);
  routing::apply(target_->changes.request, head.fields);
  trace_.stamp(head.fields, attempt().stream().peer() != nullptr);
  limit_reading(attempt().stream());
  attempt().stream().send_head();
  // What comes behind the head of a tunnel is for its other end, which may not be there.
  request_sent_ = head.ended || tunnel_ == Tunnel::asked;
}

// The attempt has failed and is made again: at once, or after a pause.
bool Exchange::retry(const policies::RetryPlan& plan) {
  remember_tried(attempt().endpoint());
  attempt().give_up();
  replay_.rewind();
  request_sent_ = false;
  attempt_deadline_ = kNever;
  last_progress_ = loop_.now();
  resume_at_ = loop_.now() + plan.delay;
  phase_ = Phase::resting;
  if (plan.delay > Duration{0}) arm_timer();
  return true;
}

void Exchange::remember_tried(const routing::Endpoint& endpoint) {
  tried_[(request_.attempts - 1) % kAvoided] = &endpoint;
  tried_count_ = static_cast<uint8_t>(std::min<uint32_t>(request_.attempts, kAvoided));
}

bool Exchange::rest() {
  if (loop_.now() < resume_at_) return false;
  resume_at_ = kNever;
  phase_ = Phase::starting;
  return true;
}

}  // namespace tulle::exchange
