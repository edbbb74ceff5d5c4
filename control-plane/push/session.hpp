// Session: one ADS stream of one sidecar (or another xDS client), from its first request to its end.
//
// Owns the call, the protocol state and an Interest per wanted name. It builds what has changed of
// its own names only, a bounded number per run, and lets the ServerSession decide what goes when.
// Owned by its stream; the Hub knows it from admission until it leaves.
//
//   waiting (for the first request) -> serving -> ending -> over
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/push/node_metadata.hpp"
#include "control-plane/push/resource_cache.hpp"
#include "control-plane/push/sidecar_status.hpp"
#include "core/http/grpc_stream.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "xds/server_session.hpp"

namespace tulle::push {

class Hub;

struct DueTag {};
struct SessionTag {};

class Session final : public Task,
                      private Subscriber,
                      public ListNode<DueTag>,
                      public ListNode<SessionTag> {
 public:
  Session(Hub& hub, StreamRef stream);
  ~Session() override;

  void push();                          // what has changed goes now
  void end(const GrpcStatus& status);   // from outside its run(): replaced, or shutting down

  const SidecarNode& node() const { return node_; }
  const std::string& identity() const { return identity_; }
  size_t names() const { return names_; }
  SidecarStatus status() const;
  // What the sidecar has said about the present content.
  Acceptance acceptance(ResourceType type) const;
  Acceptance acceptance(const Interest& interest) const {
    return interest.changed() ? Acceptance::pending : acceptance(interest.type());
  }
  static const Session& of(const Subscriber& subscriber) {
    return static_cast<const Session&>(subscriber);
  }

 private:
  enum class Phase : uint8_t { waiting, serving, ending, over };
  // By name; the wildcard's are here as well.
  using Interests = std::map<std::string, Interest, std::less<>>;
  struct Wanted {
    Interests interests;
    List<Interest, ChangedTag> changed;
    bool due = false;         // changes are to go
    bool answer_due = false;  // the subscription has changed: everything is offered anew
  };

  void run() override;
  void resource_changed(Interest& interest, bool urgent) override;
  void receive();
  bool admit();
  bool verify_identity();
  void note_rejections();
  void follow_subscriptions();
  bool follow(ResourceType type);
  void drop_unwanted(ResourceType type);
  bool add_interest(ResourceType type, const std::string& name);
  void offer_due();
  bool build_changed(ResourceType type, Wanted& wanted);
  void offer(ResourceType type, Wanted& wanted);
  std::optional<xds::Status> error_of(ResourceType type, const std::string& name) const;
  void send();
  void watch_writing();
  void finish(GrpcCode code, std::string message);
  void leave(bool for_good);
  Wanted& wanted(ResourceType type) { return wanted_[static_cast<size_t>(type)]; }

  Hub& hub_;
  std::optional<GrpcStream> call_;
  xds::ServerSession protocol_;
  SidecarNode node_;
  std::string identity_;
  Account account_;
  Phase phase_ = Phase::waiting;
  Timer timer_{*this};
  Instant connected_at_;
  Instant sending_since_ = kNever;
  size_t builds_left_ = 0;
  size_t names_ = 0;
  bool known_to_hub_ = false;
  std::array<Wanted, xds::kResourceTypes.size()> wanted_;
};

}  // namespace tulle::push
