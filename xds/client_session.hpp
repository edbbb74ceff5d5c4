// ClientSession: state-of-the-world ADS as its client sees it, over any number of streams. A pure
// state machine.
//
// Owns what the server has said: the resources, the names answered to be unknown, the versions
// accepted. All of it survives streams: silence changes nothing. A response waits for the owner's
// verdict (decide()) before it is answered, and its type asks for nothing new until then; its
// resources are in resources() from the moment they arrive, and back out again when rejected.
//
//   session.begin_stream()                        a stream is open
//   session.receive(message, now)                 one DiscoveryResponse
//   if (session.undecided()) session.decide(...)  after looking at resources()
//   session.next_request(now)                     what to send; again at next_deadline()
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "xds/messages.hpp"
#include "xds/references.hpp"
#include "xds/resource_set.hpp"
#include "xds/subscription.hpp"

namespace tulle::xds {

// Why one resource of a response cannot be used.
struct Refusal {
  ResourceKey resource;
  std::string text;
};

class ClientSession {
 public:
  using Names = Subscription::Names;

  explicit ClientSession(Node node) : node_(std::move(node)) {}

  void set_node(Node node) { node_ = std::move(node); }  // for streams that begin from now on
  // Starts from these (a previous run's), as if the server had sent them.
  void restore(ResourceSet resources) { resources_ = std::move(resources); }

  // The whole wanted set of a type; "*" is the wildcard. What is no longer wanted is forgotten.
  void want(ResourceType type, Names names);
  const Names& wanted(ResourceType type) const { return states_[index(type)].wanted; }

  // A stream is open, or gone.
  void begin_stream();
  void end_stream();

  // One DiscoveryResponse. An Error ends the stream: it is not a message.
  Result<void> receive(std::string_view message, Instant now);

  const ResourceSet& resources() const { return resources_; }
  // Explicit names that the server has answered not to exist. Never by silence.
  const Names& unknown(ResourceType type) const { return states_[index(type)].unknown; }
  uint64_t changes() const { return changes_; }  // rises with resources() and unknown()

  // Responses that wait for a verdict.
  bool undecided() const;
  // Of all of them: what is refused goes back to what was accepted before and is reported; the rest
  // is accepted. Refusals of resources that no waiting response has brought are ignored.
  void decide(const std::vector<Refusal>& refusals, Instant now);

  std::optional<std::string> next_request(Instant now);
  Instant next_deadline() const;  // when next_request() will have a delayed one; kNever: none

  const std::string& accepted_version(ResourceType type) const {
    return states_[index(type)].accepted_version;
  }
  const std::string& control_plane() const { return control_plane_; }  // as it calls itself
  uint64_t accepted() const { return accepted_; }  // responses
  uint64_t rejected() const { return rejected_; }
  bool heard() const { return heard_; }            // a response has come on this stream
  // The text of the last rejection of a type; empty when the last response was accepted.
  const std::string& rejection(ResourceType type) const {
    return states_[index(type)].rejection;
  }

 private:
  struct State {
    Names wanted;
    Names unknown;
    std::string accepted_version;
    // Of this stream.
    bool begun = false;              // something has been asked for
    bool request_due = false;
    Names forgotten;                 // dropped since the last request
    std::string nonce;               // the last one received
    // Of the response that waits for its verdict.
    bool undecided = false;
    std::string version;
    // What it replaced: null where there was nothing before.
    std::map<std::string, std::shared_ptr<const Resource>> replaced;
    std::string problems;            // of its form
    // Of the last response, until the next.
    std::string rejection;           // empty: accepted
    // Repeated identical rejections wait: some servers answer them at once with the same again.
    std::string last_rejected;       // version and text
    Duration delay{};
    Instant due_at{};                // the request that is due must not go before
  };
  static size_t index(ResourceType type) { return static_cast<size_t>(type); }
  State& state_of(ResourceType type) { return states_[index(type)]; }
  void take_resources(ResourceType type, State& state, DiscoveryResponse& response);
  void take_errors(ResourceType type, State& state, const DiscoveryResponse& response);
  void replace(State& state, ResourceType type, const std::string& name,
               std::shared_ptr<const Resource> with);
  void reject(State& state, Instant now);
  std::string request_for(ResourceType type, State& state);

  Node node_;
  ResourceSet resources_;
  std::array<State, kResourceTypes.size()> states_;
  std::string control_plane_;
  uint64_t changes_ = 0;
  uint64_t accepted_ = 0;
  uint64_t rejected_ = 0;
  bool streaming_ = false;
  bool node_sent_ = false;
  bool heard_ = false;
};

}  // namespace tulle::xds
