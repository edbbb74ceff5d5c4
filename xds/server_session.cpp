#include "xds/server_session.hpp"

#include <algorithm>
#include <utility>

namespace tulle::xds {

namespace {

// What a status page shows of a rejection; clients may write novels.
constexpr size_t kMaxRejectionText = 4096;

bool same(const std::shared_ptr<const Resource>& a, const std::shared_ptr<const Resource>& b) {
  return a == b || a->hash == b->hash;
}

bool same(const ResourceSet::Named& a, const ResourceSet::Named& b) {
  return std::ranges::equal(a, b, [](const auto& left, const auto& right) {
    return left.first == right.first && same(left.second, right.second);
  });
}

std::string version_of(const ResourceSet::Named& resources) {
  HashBuilder builder;
  for (const auto& [name, resource] : resources) builder.add(name).add(resource->hash);
  return builder.finish().hex();
}

// In any order, and to be taken back: the sum over names and contents.
ContentHash part_of(const std::string& name, const Resource& resource) {
  return HashBuilder().add(name).add(resource.hash).finish();
}

void add(ContentHash& sum, const ContentHash& part) {
  sum.high += part.high;
  sum.low += part.low;
}

void take(ContentHash& sum, const ContentHash& part) {
  sum.high -= part.high;
  sum.low -= part.low;
}

template <class Container>
void keep_wanted(Container& named, const Subscription& wants) {
  std::erase_if(named, [&](const auto& entry) { return !wants.wants(entry.first); });
}

}  // namespace

ServerSession::ServerSession(Options options)
    : options_(std::move(options)),
      states_{State(kResourceTypes[0]), State(kResourceTypes[1]), State(kResourceTypes[2]),
              State(kResourceTypes[3]), State(kResourceTypes[4])} {}

Result<void> ServerSession::receive(std::string_view message, Instant now) {
  Result<DiscoveryRequest> decoded = decode_request(message);
  if (!decoded) {
    decoded.error().origin = Origin::downstream;
    return decoded.error();
  }
  DiscoveryRequest& request = *decoded;
  if (!node_) node_ = request.node ? std::move(*request.node) : Node{};
  const std::optional<ResourceType> type = type_of_url(request.type_url);
  if (!type) return {};
  State& state = state_of(*type);
  // An answer to something older than what was sent last: another one is on its way. A nonce of an
  // earlier stream is not older than anything on this one.
  if (state.wants.begun() && !request.response_nonce.empty() &&
      request.response_nonce != state.nonce) {
    return {};
  }
  answer(state, request, now);
  Result<Subscription::Change> change = state.wants.replace(request.resource_names);
  if (!change) return change.error();
  const bool more = change->first || change->wildcard_added || !change->added.empty();
  if (change->removed) {
    forget_unwanted(state);
    if (!whole_set(*type)) recount(state);
  }
  if (!more) return {};
  state.offer_due = true;
  state.offer_asked = false;
  if (change->first || whole_set(*type)) state.answer_due = true;
  // Asked for now, so it is told again, whatever was told before the name was given up.
  for (const std::string& name : change->added) state.sent.erase(name);
  return {};
}

void ServerSession::answer(State& state, const DiscoveryRequest& request, Instant now) {
  // The first answer counts; later requests with the same nonce change the subscription only.
  if (!state.in_flight || request.response_nonce != state.nonce) return;
  state.in_flight = false;
  if (request.error_detail) {
    new_rejection_ = state.wants.type();
    state.rejection = Rejection{state.sent_version,
                                request.error_detail->message.substr(0, kMaxRejectionText), now};
  } else {
    state.accepted_version = state.sent_version;
    state.rejection.reset();
  }
}

void ServerSession::forget_unwanted(State& state) {
  keep_wanted(state.sent, state.wants);
  keep_wanted(state.offered.resources, state.wants);
  std::erase_if(state.errors_sent,
                [&](const auto& entry) { return !state.wants.names().contains(entry.first); });
  std::erase_if(state.offered.errors,
                [&](const auto& entry) { return !state.wants.names().contains(entry.first); });
}

std::vector<ResourceType> ServerSession::take_changed_subscriptions() {
  std::vector<ResourceType> changed;
  for (const ResourceType type : kSendOrder) {
    State& state = state_of(type);
    if (state.offer_due && !std::exchange(state.offer_asked, true)) changed.push_back(type);
  }
  return changed;
}

void ServerSession::offer(ResourceType type, Offer offer) {
  State& state = state_of(type);
  if (!state.wants.begun()) return;
  state.offered = std::move(offer);
  state.offer_due = false;
  state.offer_asked = false;
  forget_unwanted(state);
  if (whole_set(type)) return;
  // What is gone is not told: nothing refers to it any more. It is told again when it comes back.
  std::erase_if(state.sent, [&](const auto& entry) {
    return !state.offered.resources.contains(entry.first);
  });
  std::erase_if(state.errors_sent, [&](const auto& entry) {
    return !state.offered.errors.contains(entry.first);
  });
  recount(state);
}

void ServerSession::recount(State& state) {
  state.sum = {};
  state.unsent.clear();
  for (const auto& [name, resource] : state.offered.resources) {
    add(state.sum, part_of(name, *resource));
    const auto sent = state.sent.find(name);
    if (sent == state.sent.end() || !same(sent->second, resource)) state.unsent.insert(name);
  }
}

void ServerSession::amend(ResourceType type, const std::string& name,
                          std::shared_ptr<const Resource> resource, std::optional<Status> error) {
  State& state = state_of(type);
  if (!state.wants.begun() || !state.wants.wants(name)) return;
  const bool whole = whole_set(type);
  ResourceSet::Named& offered = state.offered.resources;
  if (const auto former = offered.find(name); former != offered.end()) {
    if (!whole) take(state.sum, part_of(name, *former->second));
    offered.erase(former);
  }
  if (error) {
    state.offered.errors.insert_or_assign(name, std::move(*error));
  } else {
    state.offered.errors.erase(name);
    if (!whole) state.errors_sent.erase(name);
  }
  const auto sent = state.sent.find(name);
  if (resource == nullptr) {
    if (whole) return;
    if (sent != state.sent.end()) state.sent.erase(sent);
    state.unsent.erase(name);
    return;
  }
  if (!whole) {
    add(state.sum, part_of(name, *resource));
    const bool told = sent != state.sent.end() && same(sent->second, resource);
    if (told) {
      state.unsent.erase(name);
    } else {
      state.unsent.insert(name);
    }
  }
  offered.insert_or_assign(name, std::move(resource));
}

// Listeners and routes that have not arrived (or were refused) may still use clusters that are gone
// from what is offered: those go last.
bool ServerSession::keeps_removed(ResourceType type) const {
  if (type != ResourceType::cluster) return false;
  for (const ResourceType user : {ResourceType::listener, ResourceType::route}) {
    const State& state = states_[index(user)];
    if (!state.wants.begun()) continue;
    if (state.in_flight || state.offer_due || state.rejection || differs(user, state)) return true;
  }
  return false;
}

bool ServerSession::differs(ResourceType type, const State& state) const {
  if (state.answer_due) return true;
  const ResourceSet::Named& offered = state.offered.resources;
  if (state.offered.errors != state.errors_sent) return true;
  if (!whole_set(type)) return !state.unsent.empty();
  if (!keeps_removed(type)) return !same(offered, state.sent);
  return std::ranges::any_of(offered, [&](const auto& entry) {
    const auto sent = state.sent.find(entry.first);
    return sent == state.sent.end() || !same(entry.second, sent->second);
  });
}

bool ServerSession::sendable(ResourceType type, const State& state) const {
  return state.wants.begun() && !state.in_flight && !state.offer_due && differs(type, state);
}

bool ServerSession::wants_send() const {
  return std::ranges::any_of(kSendOrder, [&](ResourceType type) {
    return sendable(type, states_[index(type)]);
  });
}

std::optional<std::string> ServerSession::next_response(Instant now) {
  for (const ResourceType type : kSendOrder) {
    State& state = state_of(type);
    if (!sendable(type, state)) continue;
    std::string response = compose(type, state);
    state.sent_at = now;
    return response;
  }
  return std::nullopt;
}

// What a whole set is now: with clusters that are gone, while something may still use them.
ResourceSet::Named ServerSession::whole_of(ResourceType type, const State& state) const {
  ResourceSet::Named whole = state.offered.resources;
  if (keeps_removed(type)) whole.insert(state.sent.begin(), state.sent.end());
  return whole;
}

std::string ServerSession::compose(ResourceType type, State& state) {
  ResourceSet::Named whole;
  if (whole_set(type)) whole = whole_of(type, state);
  DiscoveryResponse envelope;
  envelope.version_info = whole_set(type) ? version_of(whole) : state.sum.hex();
  envelope.type_url = type_url(type);
  envelope.nonce = std::to_string(++nonce_);
  envelope.control_plane = options_.control_plane;
  for (const auto& [name, status] : state.offered.errors) {
    const auto sent = state.errors_sent.find(name);
    const bool known = sent != state.errors_sent.end() && sent->second == status;
    if (whole_set(type) || !known) envelope.resource_errors.push_back({name, status});
  }
  std::string response = encode(envelope);
  if (whole_set(type)) {
    append_all(whole, response);
    state.sent = std::move(whole);
  } else {
    append_changes(state, response);
  }
  state.errors_sent = state.offered.errors;
  state.nonce = std::move(envelope.nonce);
  state.sent_version = std::move(envelope.version_info);
  state.in_flight = true;
  state.answer_due = false;
  return response;
}

void ServerSession::append_all(const ResourceSet::Named& resources, std::string& response) {
  size_t size = response.size();
  for (const auto& [name, resource] : resources) size += wire_size(*resource);
  response.reserve(size);
  for (const auto& [name, resource] : resources) append_resource(response, *resource);
}

// What does not fit stays different and goes when this part has been answered.
void ServerSession::append_changes(State& state, std::string& response) const {
  for (bool any = false; !state.unsent.empty(); any = true) {
    const auto first = state.unsent.begin();
    const auto found = state.offered.resources.find(*first);
    const std::shared_ptr<const Resource>& resource = found->second;
    if (any && response.size() + wire_size(*resource) > options_.cut_at) return;
    append_resource(response, *resource);
    state.sent.insert_or_assign(found->first, resource);
    state.unsent.erase(first);
  }
}

ServerSession::TypeState ServerSession::state(ResourceType type) const {
  const State& state = states_[index(type)];
  TypeState shown;
  shown.subscribed =
      state.wants.begun() && (state.wants.wildcard() || !state.wants.names().empty());
  shown.sent_version = state.sent_version;
  shown.accepted_version = state.accepted_version;
  shown.in_flight = state.in_flight;
  shown.waiting = state.wants.begun() && (state.offer_due || differs(type, state));
  shown.sent_at = state.sent_at;
  shown.rejection = state.rejection;
  return shown;
}

bool ServerSession::synced() const {
  return std::ranges::all_of(kSendOrder, [&](ResourceType type) {
    const State& state = states_[index(type)];
    return !state.wants.begun() ||
           (!state.in_flight && !state.offer_due && !state.rejection && !differs(type, state));
  });
}

}  // namespace tulle::xds
