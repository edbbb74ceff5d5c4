// Hub: every connected sidecar, and what is to be pushed to whom, when.
//
// Owns the shared resources, the leases and the knowledge of sessions (their streams own them). A
// change of the store makes the sessions due that want something made from it: after a short
// window without another change, at the latest after half a second, and at once when an endpoint
// has gone. A bounded number of sessions is served per turn. Loop thread only.
//
// It must outlive every stream that was served: destroy the server first.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/push/push_stats.hpp"
#include "control-plane/push/registrar.hpp"
#include "control-plane/push/resource_cache.hpp"
#include "control-plane/push/session.hpp"
#include "control-plane/store/store.hpp"
#include "core/http/connection.hpp"

namespace tulle::push {

class Hub final : private Task, public Service {
 public:
  struct Options {
    std::string identifier = "tulle-control-plane";  // ControlPlane.identifier
    Duration window = 20ms;         // changes that come together go together
    Duration longest_window = 500ms;
    size_t sessions_per_turn = 64;  // some milliseconds
    // One account: a large service's instances, each with all of a large mesh's names, and an end
    // to what a stolen certificate can make us keep.
    size_t sessions_per_identity = 5'000;
    size_t names_per_identity = 500'000;
    Registrar::Options leases;
  };
  Hub(Loop& loop, store::Store& store, build::Mesh mesh, StatRegistry& stats, Options options);
  ~Hub() override;  // every session is gone

  // Service: one StreamAggregatedResources call.
  std::unique_ptr<Task> serve(StreamRef stream) override;

  void set_trust_bundle(std::string pem);
  // Ends every stream with UNAVAILABLE; leases stay. The server is drained by its owner.
  void shut_down();

  size_t sessions() const { return by_node_.size(); }
  std::vector<SidecarStatus> sidecars() const;  // ordered by node
  DocumentAcceptance acceptance(const model::Document& document) const;

  // For sessions.
  using Task::loop;
  const Options& options() const { return options_; }
  ResourceCache& cache() { return cache_; }
  Result<void> admit(Session& session);
  void leave(Session& session, bool for_good);
  bool want_more(const Session& session);  // one more name; false: not for this identity
  void want_less(const Session& session, size_t names);
  void session_changed(Session& session, bool urgent);
  void sent(size_t bytes) { stats_.sent(bytes); }
  void session_refused(const Session& session, const std::string& why);
  void rejected(const Session& session, xds::ResourceType type, const std::string& why);

 private:
  using NodeKey = std::pair<std::string, std::string>;  // namespace, id
  struct Usage {
    size_t sessions = 0;
    size_t names = 0;
  };

  static NodeKey key_of(const Session& session);
  void run() override;
  void arm_window();
  void release_waiting();
  void push_ready();

  const Options options_;
  store::Store& store_;
  PushStats stats_;
  ResourceCache cache_;
  Registrar registrar_;
  std::unique_ptr<store::Watch> watch_;
  List<Session, SessionTag> all_;
  std::map<NodeKey, Session*> by_node_;   // the newest of each
  std::map<std::string, Usage> by_identity_;
  List<Session, DueTag> waiting_;         // for the window's end
  List<Session, DueTag> ready_;
  Timer window_{*this};
  Instant first_change_ = kNever;         // of the open window
  Instant changed_at_ = kNever;           // of what is being pushed, for the figures
  uint64_t builds_counted_ = 0;
  bool shutting_down_ = false;
};

}  // namespace tulle::push
