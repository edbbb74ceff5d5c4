#include "xds/client_session.hpp"

#include <algorithm>
#include <utility>

namespace tulle::xds {

namespace {

// A rejection goes into a status page and a log line of the server.
constexpr size_t kMaxProblems = 4096;

constexpr Duration kFirstDelay = 1s;
constexpr Duration kMaxDelay = 30s;

void add_problem(std::string& problems, std::string_view problem) {
  if (problems.size() + problem.size() + 2 > kMaxProblems) {
    if (!problems.ends_with(" ...")) problems += " ...";
    return;
  }
  if (!problems.empty()) problems += "; ";
  problems += problem;
}

std::string quoted(ResourceType type, std::string_view name) {
  return std::string(short_name(type)) + " \"" + std::string(name) + "\"";
}

}  // namespace

void ClientSession::want(ResourceType type, Names names) {
  State& state = state_of(type);
  if (state.wanted == names) return;
  // What was named and is no longer, and without "*" everything that is not named.
  Names dropped = state.wanted;
  if (state.wanted.contains(kWildcard)) {
    for (const auto& [name, resource] : resources_.all(type)) dropped.insert(name);
  }
  const bool keeps_rest = names.contains(kWildcard);
  for (const std::string& name : dropped) {
    if (names.contains(name) || (keeps_rest && !state.wanted.contains(name))) continue;
    if (state.begun) state.forgotten.insert(name);
    if (resources_.find(type, name) != nullptr) ++changes_;
    resources_.remove(type, name);
    state.replaced.erase(name);
    changes_ += state.unknown.erase(name);
  }
  state.wanted = std::move(names);
  // What was asked for may be sent at once; it says again whether the last response was rejected.
  state.request_due = true;
  state.due_at = {};
}

void ClientSession::begin_stream() {
  streaming_ = true;
  node_sent_ = false;
  heard_ = false;
  for (State& state : states_) {
    state.begun = false;
    state.nonce.clear();
    state.forgotten.clear();
    state.rejection.clear();
    state.due_at = {};
    state.request_due = !state.wanted.empty();
  }
}

void ClientSession::end_stream() {
  streaming_ = false;
  heard_ = false;
}

Result<void> ClientSession::receive(std::string_view message, Instant) {
  Result<DiscoveryResponse> decoded = decode_response(message);
  if (!decoded) return decoded.error();
  DiscoveryResponse& response = *decoded;
  heard_ = true;
  control_plane_ = std::move(response.control_plane);
  const std::optional<ResourceType> type = type_of_url(response.type_url);
  if (!type || !state_of(*type).begun) return {};  // nobody has asked
  State& state = state_of(*type);
  state.nonce = std::move(response.nonce);
  state.version = std::move(response.version_info);
  state.problems.clear();
  state.undecided = true;
  take_errors(*type, state, response);
  take_resources(*type, state, response);
  return {};
}

void ClientSession::take_errors(ResourceType type, State& state,
                                const DiscoveryResponse& response) {
  // A whole set answers every name anew: one that is neither in it nor an error is open again.
  Names unknown = whole_set(type) ? Names{} : state.unknown;
  for (const ResourceError& error : response.resource_errors) {
    // Other errors than "there is none" leave what we hold in force.
    if (error.status.code != kStatusNotFound || error.name == kWildcard) continue;
    if (!state.wanted.contains(error.name)) continue;
    unknown.insert(error.name);
    replace(state, type, error.name, nullptr);
  }
  if (unknown != state.unknown) ++changes_;
  state.unknown = std::move(unknown);
}

void ClientSession::take_resources(ResourceType type, State& state, DiscoveryResponse& response) {
  Names seen;
  bool all_named = true;
  for (size_t i = 0; i < response.resources.size(); ++i) {
    PackedResource& packed = response.resources[i];
    std::optional<std::string> name;
    if (packed.type_url == response.type_url) name = name_of(type, packed.bytes);
    if (!name || name->empty()) {
      all_named = false;
      add_problem(state.problems, "resources[" + std::to_string(i) + "] is not a " +
                                      std::string(short_name(type)) + " with a name");
      continue;
    }
    if (!state.wanted.contains(*name) && !state.wanted.contains(kWildcard)) continue;
    if (seen.size() == kMaxNames) {
      add_problem(state.problems, "more than " + std::to_string(kMaxNames) + " resources");
      all_named = false;
      break;
    }
    if (!seen.insert(*name).second) {
      add_problem(state.problems, quoted(type, *name) + " occurs twice");
      continue;
    }
    changes_ += state.unknown.erase(*name);
    const Resource* held = resources_.find(type, *name);
    if (held != nullptr && held->bytes == packed.bytes) continue;
    replace(state, type, *name, make_resource(type, *name, std::move(packed.bytes)));
  }
  if (!whole_set(type) || !all_named) return;
  Names gone;
  for (const auto& [name, resource] : resources_.all(type)) {
    if (!seen.contains(name)) gone.insert(name);
  }
  for (const std::string& name : gone) replace(state, type, name, nullptr);
}

// Remembers what a rejection would bring back: what was there before this response.
void ClientSession::replace(State& state, ResourceType type, const std::string& name,
                            std::shared_ptr<const Resource> with) {
  const ResourceSet::Named& held = resources_.all(type);
  const auto found = held.find(name);
  if (found == held.end() && with == nullptr) return;
  state.replaced.try_emplace(name, found == held.end() ? nullptr : found->second);
  ++changes_;
  if (with == nullptr) {
    resources_.remove(type, name);
  } else {
    resources_.put(std::move(with));
  }
}

bool ClientSession::undecided() const {
  return std::ranges::any_of(states_, [](const State& state) { return state.undecided; });
}

void ClientSession::decide(const std::vector<Refusal>& refusals, Instant now) {
  for (const Refusal& refusal : refusals) {
    const auto& [type, name] = refusal.resource;
    State& state = state_of(type);
    const auto replaced = state.replaced.find(name);
    if (!state.undecided || replaced == state.replaced.end()) continue;
    add_problem(state.problems, quoted(type, name) + ": " + refusal.text);
    ++changes_;
    if (replaced->second == nullptr) {
      resources_.remove(type, name);
    } else {
      resources_.put(replaced->second);
    }
    // Said once is enough.
    state.replaced.erase(replaced);
  }
  for (State& state : states_) {
    if (!state.undecided) continue;
    state.undecided = false;
    state.request_due = streaming_;
    state.replaced.clear();
    if (!state.problems.empty()) {
      reject(state, now);
      continue;
    }
    state.accepted_version = state.version;
    state.rejection.clear();
    state.last_rejected.clear();
    state.delay = {};
    state.due_at = {};
    ++accepted_;
  }
}

void ClientSession::reject(State& state, Instant now) {
  ++rejected_;
  state.rejection = std::move(state.problems);
  std::string rejected = state.version + '\n' + state.rejection;
  const bool again = rejected == state.last_rejected;
  state.last_rejected = std::move(rejected);
  state.delay = !again                      ? Duration{}
                : state.delay == Duration{} ? kFirstDelay
                                            : std::min(2 * state.delay, kMaxDelay);
  state.due_at = now + state.delay;
}

std::optional<std::string> ClientSession::next_request(Instant now) {
  if (!streaming_) return std::nullopt;
  for (const ResourceType type : kSendOrder) {
    State& state = state_of(type);
    if (!state.request_due || state.undecided || state.due_at > now) continue;
    if (!state.begun && state.wanted.empty()) {
      state.request_due = false;
      continue;
    }
    return request_for(type, state);
  }
  return std::nullopt;
}

std::string ClientSession::request_for(ResourceType type, State& state) {
  DiscoveryRequest request;
  if (!std::exchange(node_sent_, true)) request.node = node_;
  request.version_info = state.accepted_version;
  // What was forgotten and is wanted again has to be told again: the server must hear of both.
  bool again = false;
  for (const std::string& name : state.wanted) {
    if (state.forgotten.contains(name)) {
      again = true;
    } else {
      request.resource_names.push_back(name);
    }
  }
  state.forgotten.clear();
  state.request_due = again;
  request.type_url = type_url(type);
  request.response_nonce = state.nonce;
  if (!state.rejection.empty() && !state.nonce.empty()) {
    request.error_detail = Status{kStatusInvalidArgument, state.rejection};
  }
  state.begun = true;
  return encode(request);
}

Instant ClientSession::next_deadline() const {
  Instant earliest = kNever;
  if (!streaming_) return earliest;
  for (const State& state : states_) {
    if (state.request_due && !state.undecided) earliest = std::min(earliest, state.due_at);
  }
  return earliest;
}

}  // namespace tulle::xds
