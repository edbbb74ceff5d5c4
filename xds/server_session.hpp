// ServerSession: one state-of-the-world ADS stream as its server sees it. A pure state machine.
//
// The side that pushes says what a type's resources are now (offer()); the session decides whether,
// when and what to send. One response of a type is in flight; what is offered meanwhile replaces
// what was offered before, so a slow client skips states and no queue grows. Resources are shared
// pointers: serialized once, whoever they go to. A rejection is recorded and never answered with
// the same content again. Unknown type URLs are ignored and never end the stream.
//
//   while (message arrives)  session.receive(message, now)
//   for (type of session.take_changed_subscriptions())  session.offer(type, build(...))
//   while (the stream takes one more)  session.next_response(now)
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "xds/messages.hpp"
#include "xds/resource_set.hpp"
#include "xds/subscription.hpp"

namespace tulle::xds {

// What the subscription of one type comes to. Answers the subscription as it is when offered.
struct Offer {
  ResourceSet::Named resources;             // all that exist and are wanted
  std::map<std::string, Status> errors;     // explicit names that cannot be answered otherwise
};

class ServerSession {
 public:
  struct Options {
    std::string control_plane;          // ControlPlane.identifier
    // RDS, EDS and SDS responses are cut here, so that a client with gRPC's usual limit of 4 MiB
    // per message takes them. A single larger resource still goes alone.
    size_t cut_at = 1024 * 1024;
  };
  explicit ServerSession(Options options);

  // One DiscoveryRequest. An Error ends the stream: malformed, or beyond a bound.
  Result<void> receive(std::string_view message, Instant now);

  // From the first request; its metadata is what the node says about itself, not who it is.
  const std::optional<Node>& node() const { return node_; }

  // Types whose subscription asks for something new since the last call, in the order of sending:
  // offer() is due for each. Until then nothing of such a type is sent.
  std::vector<ResourceType> take_changed_subscriptions();
  const Subscription& subscription(ResourceType type) const { return states_[index(type)].wants; }

  // The complete present state of the type, for this node and subscription. Resources that the
  // subscription does not cover are left out of responses. Equal to what was sent: nothing happens.
  void offer(ResourceType type, Offer offer);
  // One name of what was offered is something else now: a resource, or else an error (or neither).
  // Costs that name, except for listeners and clusters, which are always told whole.
  void amend(ResourceType type, const std::string& name, std::shared_ptr<const Resource> resource,
             std::optional<Status> error);

  // The next message, if one is due. Call when the stream can take one: what is not asked for stays
  // replaceable.
  std::optional<std::string> next_response(Instant now);
  bool wants_send() const;

  // What is known about a type, for status.
  struct Rejection {
    std::string version;
    std::string text;
    Instant at;
  };
  struct TypeState {
    bool subscribed = false;
    std::string sent_version;       // of the last response
    std::string accepted_version;   // of the last one that was acknowledged
    bool in_flight = false;         // sent, not yet answered
    bool waiting = false;           // something newer is to be sent
    Instant sent_at{};
    std::optional<Rejection> rejection;  // of the present content; gone when a newer one is accepted
  };
  TypeState state(ResourceType type) const;
  // The type that the last request has rejected; once.
  std::optional<ResourceType> take_rejection() { return std::exchange(new_rejection_, {}); }
  // Everything offered has been sent and accepted.
  bool synced() const;

 private:
  struct State {
    explicit State(ResourceType type) : wants(type) {}
    Subscription wants;
    bool offer_due = false;         // the subscription has changed, nothing was offered since
    bool offer_asked = false;       // take_changed_subscriptions() has told
    bool answer_due = false;        // even if the content is the same
    Offer offered;
    ResourceSet::Named sent;        // what the client has been told
    // Not of whole sets: names whose offered form the client has not been told, and what the
    // version is made of, so that neither has to be found by looking at everything.
    std::set<std::string, std::less<>> unsent;
    ContentHash sum;
    std::map<std::string, Status> errors_sent;
    std::string nonce;              // of the last response
    bool in_flight = false;
    std::string sent_version;
    std::string accepted_version;
    Instant sent_at{};
    std::optional<Rejection> rejection;
  };
  static size_t index(ResourceType type) { return static_cast<size_t>(type); }
  State& state_of(ResourceType type) { return states_[index(type)]; }
  void answer(State& state, const DiscoveryRequest& request, Instant now);
  static void forget_unwanted(State& state);
  bool differs(ResourceType type, const State& state) const;
  bool sendable(ResourceType type, const State& state) const;
  bool keeps_removed(ResourceType type) const;
  std::string compose(ResourceType type, State& state);
  ResourceSet::Named whole_of(ResourceType type, const State& state) const;
  static void append_all(const ResourceSet::Named& resources, std::string& response);
  void append_changes(State& state, std::string& response) const;
  static void recount(State& state);

  Options options_;
  std::optional<Node> node_;
  std::array<State, kResourceTypes.size()> states_;
  std::optional<ResourceType> new_rejection_;
  uint64_t nonce_ = 0;
};

}  // namespace tulle::xds
