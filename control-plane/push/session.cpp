#include "control-plane/push/session.hpp"

#include <algorithm>
#include <utility>

#include "control-plane/build/names.hpp"
#include "control-plane/push/hub.hpp"
#include "core/base/log.hpp"
#include "core/net/loop.hpp"
#include "core/net/tls.hpp"

namespace tulle::push {

namespace {

constexpr size_t kMaxRequest = 4 * 1024 * 1024;
constexpr size_t kRequestsPerRun = 16;
// A build is some 50 us: one run stays below what others on the loop would notice.
constexpr size_t kBuildsPerRun = 64;
constexpr Duration kFirstRequest = 10s;
// A message that a peer does not take, with windows of megabytes, is one that nobody reads.
constexpr Duration kSlowReader = 30s;

constexpr int kNotFound = static_cast<int>(GrpcCode::not_found);

GrpcCode refusal_of(Code code) {
  switch (code) {
    case Code::overloaded: return GrpcCode::resource_exhausted;
    case Code::draining: return GrpcCode::unavailable;
    default: return GrpcCode::permission_denied;
  }
}

// What a wildcard means to this node.
std::vector<std::string> own_names(const build::Node& node, ResourceType type) {
  if (type == ResourceType::listener) return build::own_listeners(node);
  std::vector<std::string> names;
  if (type != ResourceType::cluster) return names;
  for (const build::NodePort& port : node.ports) {
    names.push_back(build::inbound_cluster_name(port.port));
  }
  return names;
}

}  // namespace

Session::Session(Hub& hub, StreamRef stream)
    : Task(hub.loop()),
      hub_(hub),
      protocol_({.control_plane = hub.options().identifier}),
      connected_at_(hub.loop().now()) {
  if (const PeerIdentity* peer = stream->peer()) identity_ = peer->spiffe_id;
  call_.emplace(std::move(stream), *this, kMaxRequest);
  timer_.arm(kFirstRequest);
}

Session::~Session() { leave(false); }

void Session::run() {
  if (phase_ == Phase::over) return;
  builds_left_ = kBuildsPerRun;
  call_->advance();
  receive();
  if (phase_ == Phase::serving) {
    offer_due();
    send();
    watch_writing();
  } else if (phase_ == Phase::waiting && timer_.fired()) {
    finish(GrpcCode::deadline_exceeded, "no request has come");
  }
  if (!call_->over()) return;
  leave(false);
  phase_ = Phase::over;
  timer_.disarm();
  call_.reset();
}

void Session::receive() {
  for (size_t i = 0; i < kRequestsPerRun && phase_ < Phase::ending; ++i) {
    const std::optional<std::string> message = call_->receive();
    if (!message) {
      if (call_->ended()) {
        // The client's own end of the stream says that it goes for good.
        leave(call_->status().ok());
        finish(GrpcCode::ok, {});
      }
      return;
    }
    if (const Result<void> taken = protocol_.receive(*message, loop_.now()); !taken) {
      return finish(GrpcCode::invalid_argument, taken.error().detail);
    }
    if (phase_ == Phase::waiting && !admit()) return;
    note_rejections();
    follow_subscriptions();
  }
  if (phase_ < Phase::ending) defer();
}

// Who the connection is was established by its certificate; what the node says must agree.
bool Session::admit() {
  if (!verify_identity()) return false;
  Result<SidecarNode> read =
      read_node(*protocol_.node(), account_.namespace_name, account_.name);
  if (!read) {
    finish(GrpcCode::invalid_argument, read.error().detail);
    return false;
  }
  if (read->node.id.empty()) {
    finish(GrpcCode::invalid_argument, "node.id is missing");
    return false;
  }
  if (read->node.namespace_name != account_.namespace_name ||
      read->node.service != account_.name) {
    finish(GrpcCode::permission_denied,
           "the node says that it is " + read->node.namespace_name + "/" + read->node.service +
               ", and its certificate that it is " + identity_);
    return false;
  }
  node_ = std::move(*read);
  if (Result<void> admitted = hub_.admit(*this); !admitted) {
    finish(refusal_of(admitted.error().code), admitted.error().detail);
    return false;
  }
  known_to_hub_ = true;
  phase_ = Phase::serving;
  timer_.disarm();
  return true;
}

bool Session::verify_identity() {
  if (identity_.empty()) {
    finish(GrpcCode::unauthenticated, "a certificate of the mesh is needed");
    return false;
  }
  const auto account = account_of_spiffe_id(identity_, hub_.cache().mesh().trust_domain);
  if (!account) {
    finish(GrpcCode::permission_denied, identity_ + " is no workload of this mesh");
    return false;
  }
  account_ = *account;
  return true;
}

void Session::note_rejections() {
  while (std::optional<ResourceType> type = protocol_.take_rejection()) {
    hub_.rejected(*this, *type, protocol_.state(*type).rejection->text);
  }
}

void Session::follow_subscriptions() {
  for (const ResourceType type : protocol_.take_changed_subscriptions()) {
    if (!follow(type)) return;
    wanted(type).answer_due = true;
  }
  for (const ResourceType type : xds::kSendOrder) drop_unwanted(type);
}

// What is no longer wanted must not be built again, nor sent along because of a wildcard.
void Session::drop_unwanted(ResourceType type) {
  const xds::Subscription& subscription = protocol_.subscription(type);
  Wanted& all = wanted(type);
  std::vector<std::string> own;
  if (subscription.wildcard()) own = own_names(node_.node, type);
  if (all.interests.size() <= subscription.names().size() + own.size()) return;
  const size_t dropped = std::erase_if(all.interests, [&](const auto& each) {
    return !subscription.names().contains(each.first) && !std::ranges::count(own, each.first);
  });
  if (dropped == 0) return;
  names_ -= dropped;
  hub_.want_less(*this, dropped);
  all.answer_due = true;
}

bool Session::follow(ResourceType type) {
  const xds::Subscription& subscription = protocol_.subscription(type);
  for (const std::string& name : subscription.names()) {
    if (!add_interest(type, name)) return false;
  }
  if (!subscription.wildcard()) return true;
  for (const std::string& name : own_names(node_.node, type)) {
    if (!add_interest(type, name)) return false;
  }
  return true;
}

bool Session::add_interest(ResourceType type, const std::string& name) {
  Wanted& all = wanted(type);
  if (all.interests.contains(name)) return true;
  if (!hub_.want_more(*this)) {
    finish(GrpcCode::resource_exhausted, "too many names are wanted by " + identity_);
    return false;
  }
  Subscriber& subscriber = *this;
  const auto added = all.interests.try_emplace(name, hub_.cache(), subscriber, node_.node, type,
                                               name);
  all.changed.push_back(added.first->second);
  ++names_;
  return true;
}

void Session::resource_changed(Interest& interest, bool urgent) {
  Wanted& all = wanted(interest.type());
  if (!interest.changed()) all.changed.push_back(interest);
  hub_.session_changed(*this, urgent);
}

void Session::push() {
  for (Wanted& each : wanted_) {
    if (!each.changed.empty()) each.due = true;
  }
  wake();
}

void Session::offer_due() {
  for (const ResourceType type : xds::kSendOrder) {
    Wanted& all = wanted(type);
    if (!all.due && !all.answer_due) continue;
    if (!build_changed(type, all)) return defer();
    all.due = false;
    if (std::exchange(all.answer_due, false)) offer(type, all);
  }
}

// False: the run's share of builds is used. What has been built is offered name by name, unless
// everything is going to be.
bool Session::build_changed(ResourceType type, Wanted& wanted) {
  while (!wanted.changed.empty()) {
    Interest& interest = wanted.changed.front();
    if (!interest.fresh()) {
      if (builds_left_ == 0) return false;
      --builds_left_;
    }
    const std::shared_ptr<const xds::Resource>& resource = interest.resource();
    interest.unlist();
    if (wanted.answer_due) continue;
    protocol_.amend(type, interest.name(), resource,
                    resource == nullptr ? error_of(type, interest.name()) : std::nullopt);
  }
  return true;
}

void Session::offer(ResourceType type, Wanted& wanted) {
  xds::Offer offer;
  for (auto& [name, interest] : wanted.interests) {
    if (const std::shared_ptr<const xds::Resource>& resource = interest.resource()) {
      offer.resources.emplace_hint(offer.resources.end(), name, resource);
    } else if (std::optional<xds::Status> error = error_of(type, name)) {
      offer.errors.emplace_hint(offer.errors.end(), name, std::move(*error));
    }
  }
  protocol_.offer(type, std::move(offer));
}

// Names that were asked for are answered; those of a wildcard just are not there.
std::optional<xds::Status> Session::error_of(ResourceType type, const std::string& name) const {
  if (!protocol_.subscription(type).names().contains(name)) return std::nullopt;
  return xds::Status{kNotFound,
                     "the mesh has no " + std::string(short_name(type)) + " \"" + name + "\""};
}

void Session::send() {
  while (call_->can_send()) {
    std::optional<std::string> response = protocol_.next_response(loop_.now());
    if (!response) return;
    hub_.sent(response->size());
    call_->send(std::move(*response));
  }
}

void Session::watch_writing() {
  if (call_->can_send() || call_->over()) {
    sending_since_ = kNever;
    timer_.disarm();
  } else if (sending_since_ == kNever) {
    sending_since_ = loop_.now();
    timer_.arm(kSlowReader);
  } else if (timer_.fired()) {
    log::warn("sidecar " + node_.node.id + " has not read for 30 seconds; its stream ends");
    finish(GrpcCode::aborted, "slow reader");
  }
}

void Session::finish(GrpcCode code, std::string message) {
  if (phase_ >= Phase::ending) return;
  if (code == GrpcCode::permission_denied || code == GrpcCode::unauthenticated ||
      code == GrpcCode::resource_exhausted) {
    hub_.session_refused(*this, message);
  }
  phase_ = Phase::ending;
  leave(false);
  call_->finish({code, std::move(message)});
}

void Session::end(const GrpcStatus& status) {
  if (phase_ == Phase::over) return;
  finish(status.code, status.message);
  wake();
}

void Session::leave(bool for_good) {
  if (std::exchange(known_to_hub_, false)) hub_.leave(*this, for_good);
  for (Wanted& each : wanted_) each.interests.clear();
  names_ = 0;
}

Acceptance Session::acceptance(ResourceType type) const {
  const xds::ServerSession::TypeState state = protocol_.state(type);
  if (state.in_flight || state.waiting) return Acceptance::pending;
  return state.rejection ? Acceptance::rejected : Acceptance::accepted;
}

SidecarStatus Session::status() const {
  SidecarStatus shown;
  shown.node = node_.node.id;
  shown.namespace_name = node_.node.namespace_name;
  shown.service = node_.node.service;
  shown.identity = identity_;
  shown.address = node_.workload.address;
  shown.connected = loop_.now() - connected_at_;
  for (const ResourceType type : xds::kSendOrder) {
    const xds::ServerSession::TypeState state = protocol_.state(type);
    if (!state.subscribed) continue;
    TypeStatus& entry = shown.types[std::string(short_name(type))];
    entry.names = wanted_[static_cast<size_t>(type)].interests.size();
    entry.sent_version = state.sent_version;
    entry.accepted_version = state.accepted_version;
    entry.state = acceptance(type);
    if (state.rejection) {
      entry.rejection = state.rejection->text;
      shown.last_error = entry.rejection;
    }
    shown.state = std::max(shown.state, entry.state);
  }
  return shown;
}

const char* to_string(Acceptance acceptance) {
  switch (acceptance) {
    case Acceptance::accepted: return "synced";
    case Acceptance::pending: return "pending";
    case Acceptance::rejected: return "rejected";
  }
  return "pending";
}

}  // namespace tulle::push
