#include "sidecar/tcp/relay.hpp"

#include <algorithm>
#include <utility>

#include "core/http/head.hpp"
#include "core/net/loop.hpp"
#include "core/net/tls.hpp"

namespace tulle::tcp {
namespace {

// As with exchanges: an endpoint that refuses quickly must not look like the fastest of all.
constexpr Duration kFailureLatency = 1s;

// What policies see of a connection that has no requests.
const Head& no_head() {
  static const Head head{};
  return head;
}

const Head& success() {
  struct Success : Head {
    Success() { status = 200; }
  };
  static const Success head;
  return head;
}

// An end before anything was said is no way to open a connection.
Error why_unopened(Side& side, const Address& to) {
  if (side.failure()) return *side.failure();
  return {Code::connect_failed, Origin::upstream,
          to.to_string() + " closed the connection before it was open"};
}

}  // namespace

Relay::Relay(exchange::ExchangeHost& host, telemetry::TcpStats& stats, Task& owner,
             Assignment assignment)
    : Task(host.loop()),
      host_(host),
      stats_(stats),
      owner_(&owner),
      assignment_(std::move(assignment)),
      search_(host, *this),
      down_(*this),
      up_(*this),
      proxy_(assignment_.proxy),
      request_(*this),
      timer_(*this) {
  request_.head = &no_head();
  request_.started = assignment_.accepted;
  wake();
}

Relay::~Relay() {
  if (phase_ == Phase::over) return;
  // The listener is torn down under us: end as every relay ends.
  if (!error_) error_ = Error{Code::draining, Origin::local, "the sidecar is shutting down"};
  conclude();
}

void Relay::attach(std::unique_ptr<ByteStream> client) {
  ASSERT(!down_.has_stream());
  had_client_ = true;
  stats_.began(assignment_.stat_slot);
  if (assignment_.tls != nullptr) {
    client = make_tls_stream(loop_, std::move(client), assignment_.tls);
    phase_ = Phase::greeting;
    deadline_ = loop_.now() + assignment_.tls_handshake_timeout;
    timer_.arm_at(deadline_);
  }
  down_.begin(std::move(client));
  wake();
}

void Relay::run() {
  while (step()) {
  }
}

// Moves the relay on. False means: nothing more can happen until somebody wakes us.
bool Relay::step() {
  if (phase_ == Phase::over) return false;
  if (error_) {
    if (had_client_) conclude();
    return false;
  }
  if (timer_.fired() && check_time()) return true;
  if (down_.failure() && phase_ < Phase::relaying) {
    // TLS with the client has words of its own.
    const bool greeting = phase_ == Phase::greeting;
    return refuse(greeting ? *down_.failure()
                           : Error{Code::closed, Origin::downstream, down_.failure()->detail});
  }
  switch (phase_) {
    case Phase::greeting: return greet();
    case Phase::locating: return locate();
    case Phase::dialling: return connected();
    case Phase::securing: return secured();
    case Phase::relaying: return relay();
    case Phase::flushing: return flush();
    case Phase::over: return false;
  }
  UNREACHABLE();
}

// Nobody is dialled before the client has shown who it is.
bool Relay::greet() {
  if (!down_.open()) {
    if (!down_.ended()) return false;
    return refuse({Code::closed, Origin::downstream, "closed before the TLS handshake was over"});
  }
  request_.caller = down_.stream().peer_identity();
  deadline_ = kNever;
  timer_.disarm();
  phase_ = Phase::locating;
  return true;
}

bool Relay::locate() {
  if (!proxy_->on_demand) return choose(*proxy_);
  const bool named = !proxy_->destination.empty();
  if (!named && !assignment_.original_destination.is_set()) {
    return refuse({Code::denied, Origin::local,
                   "connected to the sidecar itself: there is no original destination"});
  }
  const std::string name =
      named ? proxy_->destination : assignment_.original_destination.to_string();
  switch (search_.look_for(name)) {
    case DestinationSearch::State::waiting: return false;
    case DestinationSearch::State::failed: return refuse(search_.error());
    case DestinationSearch::State::nobody_to_ask:
      return refuse({Code::config_missing, Origin::local,
                     name + ": no such destination is configured"});
    case DestinationSearch::State::found: break;
  }
  const config::Destination& found = search_.found();
  if (found.tcp == nullptr) {
    return refuse({Code::no_route, Origin::local, name + " takes HTTP only"});
  }
  proxy_ = found.tcp;
  assignment_.config_version = found.version;
  assignment_.external = found.kind == config::Destination::Kind::external;
  search_.let_go();
  return choose(*proxy_);
}

bool Relay::choose(const config::TcpProxy& proxy) {
  const routing::Target& target = proxy.forward()->pick(host_.rng().next());
  cluster_ = host_.cluster(target.cluster);
  if (cluster_ == nullptr) return refuse({Code::invalid_backend, Origin::local, "unknown cluster"});
  cluster_->exchange_started();
  if (cluster_->config().original_destination && !assignment_.original_destination.is_set()) {
    return refuse({Code::denied, Origin::local,
                   "connected to the sidecar itself: there is no original destination"});
  }
  if (!cluster_->admission().take_connection()) {
    return refuse({Code::circuit_open, Origin::local,
                   "cluster " + cluster_->config().name + " has reached max_connections"});
  }
  permitted_ = true;
  return dial();
}

routing::Endpoint* Relay::pick() {
  if (!cluster_->config().original_destination) {
    const size_t tried = std::min<size_t>(attempts_, kAvoided);
    return cluster_->pick({loop_.now(), {tried_.data(), tried}}, host_.rng());
  }
  return cluster_->original(assignment_.original_destination);
}

// A connection that comes back to where it came from would go round until there are no more ports.
bool Relay::refuses_loop(const routing::Endpoint& endpoint) const {
  return endpoint.address() == assignment_.listens_at ||
         (cluster_->config().original_destination && host_.is_own(endpoint.address()));
}

// A new attempt, at an endpoint that was not tried yet if there is one.
bool Relay::dial() {
  routing::Endpoint* endpoint = pick();
  if (endpoint == nullptr) {
    return refuse({Code::no_endpoint, Origin::local,
                   "cluster " + cluster_->config().name + " has no endpoint"});
  }
  last_endpoint_ = endpoint;
  if (refuses_loop(*endpoint)) {
    return refuse({Code::denied, Origin::local,
                   endpoint->address().to_string() + " is this sidecar itself"});
  }
  tried_[attempts_++ % kAvoided] = endpoint;
  endpoint_ = endpoint;
  probe_ = endpoint->health().ejected;
  endpoint->attempt_started(unanswered_, loop_.now());
  dialled_ = loop_.now();
  deadline_ = dialled_ + cluster_->config().connect_timeout;
  timer_.arm_at(deadline_);
  up_.begin(cluster_->connect(*endpoint));
  // The first bytes are for TLS.
  if (cluster_->config().tls != nullptr) up_.want_read(false);
  phase_ = Phase::dialling;
  return true;
}

bool Relay::connected() {
  // One that accepts, says its last word and leaves has been there.
  if (up_.failure() || (up_.ended() && !up_.open())) {
    return attempt_failed(why_unopened(up_, endpoint_->address()));
  }
  if (!up_.open()) return false;
  std::shared_ptr<const TlsContext> tls = cluster_->tcp_tls();
  if (tls == nullptr) return begin_relaying();
  up_.want_read(true);
  up_.begin(make_tls_stream(loop_, up_.take_stream(), std::move(tls)));
  deadline_ = loop_.now() + cluster_->config().tls_handshake_timeout;
  timer_.arm_at(deadline_);
  phase_ = Phase::securing;
  return true;
}

bool Relay::secured() {
  if (up_.failure() && !up_.open()) return attempt_failed(*up_.failure());
  return up_.open() && begin_relaying();
}

bool Relay::begin_relaying() {
  connect_latency_ = loop_.now() - dialled_;
  unanswered_.unlink();
  endpoint_->observe_latency(connect_latency_, loop_.now());
  tell_outcome(nullptr);
  deadline_ = kNever;
  last_progress_ = loop_.now();
  timer_.disarm();
  if (proxy_->idle_timeout > Duration{0}) timer_.arm(proxy_->idle_timeout);
  phase_ = Phase::relaying;
  return true;
}

bool Relay::attempt_failed(Error error) {
  endpoint_->observe_latency(std::max(kFailureLatency, Duration(loop_.now() - dialled_)),
                             loop_.now());
  tell_outcome(&error);
  leave_endpoint();
  up_.reset();
  if (attempts_ < proxy_->connect_attempts) return dial();
  return refuse(std::move(error));
}

// The policies of the cluster hear of every attempt: refusing connections gets an endpoint ejected.
void Relay::tell_outcome(const Error* error) {
  stats_.dialled(cluster_->config().name, error);
  policies::Outcome outcome;
  outcome.end = error == nullptr ? policies::End::answered : policies::End::unconnected;
  outcome.answer = error == nullptr ? &success() : nullptr;
  outcome.status = error == nullptr ? success().status : 0;
  outcome.error = error;
  outcome.endpoint = &endpoint_->health();
  outcome.now = loop_.now();
  outcome.probe = probe_;
  policies::tell_outcome(nullptr, &cluster_->policies(), request_, outcome);
}

void Relay::leave_endpoint() {
  if (endpoint_ == nullptr) return;
  unanswered_.unlink();
  std::exchange(endpoint_, nullptr)->attempt_ended();
}

bool Relay::refuse(Error error) {
  error_ = std::move(error);
  timer_.disarm();
  if (!had_client_) {
    // Nobody keeps the endpoint for the time until there is one.
    last_endpoint_ = nullptr;
    owner_->wake();
  }
  return true;
}

}  // namespace tulle::tcp
