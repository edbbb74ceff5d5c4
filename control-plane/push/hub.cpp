#include "control-plane/push/hub.hpp"

#include <algorithm>

#include "core/base/log.hpp"
#include "core/net/loop.hpp"

namespace tulle::push {

namespace {

// Every input of what the document says.
std::vector<build::Input> inputs_of(const model::Document& document) {
  const std::string& own = document.metadata.namespace_name;
  switch (document.kind()) {
    case model::Kind::service: return {build::service_input(own, document.metadata.name)};
    case model::Kind::workload:
      return {build::workloads_input(own, document.workload().service)};
    case model::Kind::http_route: break;
  }
  std::vector<build::Input> inputs;
  for (const model::ParentRef& parent : document.http_route().parent_refs) {
    inputs.push_back(build::routes_input(parent.namespace_name, parent.name));
  }
  return inputs;
}

}  // namespace

Hub::Hub(Loop& loop, store::Store& store, build::Mesh mesh, StatRegistry& stats, Options options)
    : Task(loop),
      options_(std::move(options)),
      store_(store),
      stats_(stats),
      cache_(std::move(mesh)),
      registrar_(loop, store, options_.leases),
      watch_(store.watch(*this)) {
  cache_.advance(store_.view());
}

Hub::~Hub() { ASSERT(all_.empty()); }

std::unique_ptr<Task> Hub::serve(StreamRef stream) {
  return std::make_unique<Session>(*this, std::move(stream));
}

void Hub::run() {
  if (store_.view().revision() != cache_.index().view().revision()) cache_.advance(store_.view());
  if (window_.fired()) release_waiting();
  push_ready();
}

void Hub::session_changed(Session& session, bool urgent) {
  if (changed_at_ == kNever) changed_at_ = loop_.now();
  auto& due = static_cast<tulle::ListNode<DueTag>&>(session);
  if (urgent) {
    due.unlink();
    ready_.push_back(session);
    wake();
    return;
  }
  if (due.linked()) return arm_window();
  waiting_.push_back(session);
  arm_window();
}

void Hub::arm_window() {
  if (first_change_ == kNever) first_change_ = loop_.now();
  const Instant end = std::min(loop_.now() + options_.window,
                               first_change_ + options_.longest_window);
  if (window_.deadline() != end) window_.arm_at(end);
}

void Hub::release_waiting() {
  window_.disarm();
  first_change_ = kNever;
  ready_.splice_back(waiting_);
}

void Hub::push_ready() {
  for (size_t i = 0; i < options_.sessions_per_turn; ++i) {
    Session* session = ready_.pop_front();
    if (session == nullptr) break;
    session->push();
  }
  stats_.built(cache_.builds() - builds_counted_);
  builds_counted_ = cache_.builds();
  if (!ready_.empty()) return defer();
  if (!waiting_.empty() || changed_at_ == kNever) return;
  stats_.pushed(loop_.now() - changed_at_);
  changed_at_ = kNever;
}

void Hub::set_trust_bundle(std::string pem) { cache_.set_trust_bundle(std::move(pem)); }

void Hub::shut_down() {
  shutting_down_ = true;
  registrar_.freeze();
  const GrpcStatus status{GrpcCode::unavailable, "the control plane is shutting down"};
  for (Session& session : all_) session.end(status);
}

Result<void> Hub::admit(Session& session) {
  if (shutting_down_) {
    return Error{Code::draining, Origin::local, "the control plane is shutting down"};
  }
  Usage& usage = by_identity_[session.identity()];
  if (usage.sessions >= options_.sessions_per_identity) {
    return Error{Code::overloaded, Origin::downstream,
                 session.identity() + " has too many streams"};
  }
  if (Result<void> registered = registrar_.arrive(session.node(), &session); !registered) {
    if (usage.sessions == 0) by_identity_.erase(session.identity());
    return registered;
  }
  ++usage.sessions;
  all_.push_back(session);
  stats_.session_opened();
  Session*& newest = by_node_[key_of(session)];
  Session* former = std::exchange(newest, &session);
  if (former != nullptr) {
    former->end({GrpcCode::aborted, "a newer stream of this node has replaced this one"});
  }
  return {};
}

void Hub::leave(Session& session, bool for_good) {
  static_cast<tulle::ListNode<SessionTag>&>(session).unlink();
  static_cast<tulle::ListNode<DueTag>&>(session).unlink();
  stats_.session_closed();
  const auto usage = by_identity_.find(session.identity());
  usage->second.names -= session.names();
  if (--usage->second.sessions == 0) by_identity_.erase(usage);
  const auto newest = by_node_.find(key_of(session));
  if (newest == by_node_.end() || newest->second != &session) return;
  by_node_.erase(newest);
  registrar_.leave(session.node(), &session, for_good);
}

bool Hub::want_more(const Session& session) {
  Usage& usage = by_identity_.find(session.identity())->second;
  if (usage.names >= options_.names_per_identity) return false;
  ++usage.names;
  return true;
}

void Hub::want_less(const Session& session, size_t names) {
  by_identity_.find(session.identity())->second.names -= names;
}

void Hub::session_refused(const Session& session, const std::string& why) {
  stats_.refused();
  const std::string& who = session.identity();
  log::warn("stream refused: " + why + (who.empty() ? "" : " peer=" + who));
}

void Hub::rejected(const Session& session, xds::ResourceType type, const std::string& why) {
  stats_.rejected();
  log::warn("sidecar " + session.node().node.id + " rejects " + std::string(short_name(type)) +
            ": " + why);
}

std::vector<SidecarStatus> Hub::sidecars() const {
  std::vector<SidecarStatus> statuses;
  statuses.reserve(by_node_.size());
  for (const auto& [key, session] : by_node_) statuses.push_back(session->status());
  return statuses;
}

DocumentAcceptance Hub::acceptance(const model::Document& document) const {
  std::map<const Session*, Acceptance> found;
  for (const build::Input& input : inputs_of(document)) {
    for (const Interest* interest : cache_.interests_in(input)) {
      const Session& session = Session::of(cache_.subscriber_of(*interest));
      Acceptance& worst = found.try_emplace(&session, Acceptance::accepted).first->second;
      worst = std::max(worst, session.acceptance(*interest));
    }
  }
  DocumentAcceptance acceptance;
  acceptance.sidecars = found.size();
  for (const auto& [session, state] : found) {
    if (state == Acceptance::accepted) ++acceptance.accepted;
    if (state != Acceptance::rejected) continue;
    ++acceptance.rejected;
    acceptance.last_error = session->node().node.id + ": " + session->status().last_error;
  }
  return acceptance;
}

Hub::NodeKey Hub::key_of(const Session& session) {
  return {session.node().node.namespace_name, session.node().node.id};
}

}  // namespace tulle::push
