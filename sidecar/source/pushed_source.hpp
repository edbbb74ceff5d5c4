// PushedSource: the configuration of a member of a mesh: the file's resources, and what the control
// plane pushes.
//
// Owns the identity, the subscriber, the names of destinations, the claimed ports and the last good
// state on disk. advance() is the whole story: whatever is new goes into one compile that holds
// back what is faulty or incomplete, its verdict goes back to the control plane, and what was
// accepted goes to disk. The control plane may be away at any time, also at start.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/net/timer.hpp"
#include "sidecar/config/hold_back.hpp"
#include "sidecar/discovery/subscriber.hpp"
#include "sidecar/port_claims.hpp"
#include "sidecar/source/config_source.hpp"
#include "sidecar/source/destination_names.hpp"
#include "sidecar/source/egress.hpp"
#include "sidecar/source/environment.hpp"
#include "sidecar/source/last_good_store.hpp"
#include "sidecar/source/member_identity.hpp"
#include "sidecar/source/registration.hpp"

namespace tulle::source {

class PushedSource final : public ConfigSource {
 public:
  // Claims the workload's ports and begins to connect. `loaded` has a control plane.
  static Result<std::unique_ptr<ConfigSource>> open(const SourceEnvironment& environment,
                                                    const config::Loaded& loaded);
  ~PushedSource() override;

  const std::shared_ptr<const config::Snapshot>& snapshot() const override { return snapshot_; }
  const BoundAddresses& bound() const override { return ports_.bound(); }
  bool complete() const override { return complete_; }
  bool advance() override;
  Result<bool> reload(const config::Loaded& loaded) override;
  void leave() override;
  DestinationRequests* requests() override { return &requests_; }
  const ControlPlaneView* control_plane() override;

 private:
  PushedSource(const SourceEnvironment& environment, const config::Loaded& loaded);
  Result<void> begin();
  void open_egress();
  bool take_identity();
  bool compile();
  config::Merged merge(std::vector<xds::Refusal>& refusals);
  void take_trust(std::vector<xds::Refusal>& refusals);
  bool has_spoken() const;
  std::set<std::string, std::less<>> unknown() const;
  bool own_listeners_are_there(const config::Merged& merged) const;
  void report(const config::Merged& merged, const std::vector<xds::Refusal>& refusals);
  void report_failure();
  void note_counts();
  void save();

  const SourceEnvironment environment_;
  Loop& loop_;
  config::Bootstrap bootstrap_;
  config::Materials materials_;
  WorkloadAddresses addresses_;
  PortClaims ports_;
  DestinationRequests requests_;
  DestinationNames names_{requests_};
  struct Counters {
    StatId asked, refused, external, held_back;
  };
  const Counters counters_;
  std::unique_ptr<Egress> egress_;                         // null: everything unknown is refused
  std::optional<MemberIdentity> identity_;                 // from begin() on
  std::shared_ptr<const TlsContext> tls_in_use_;           // by the subscriber
  std::unique_ptr<discovery::Subscriber> subscriber_;      // null: we have left
  std::unique_ptr<discovery::Subscriber> leaving_;         // says so
  xds::ResourceSet left_with_;
  uint64_t changes_seen_ = 0;
  std::set<std::string, std::less<>> stored_unknown_;      // until the control plane has spoken
  std::shared_ptr<const config::Snapshot> snapshot_;
  std::vector<config::HeldBack> held_;
  std::string failure_reported_;
  std::string reported_;                                   // refusals that were logged last
  bool restored_ = false;
  bool complete_ = false;
  bool compile_due_ = true;
  LastGoodStore store_;
  Timer sweep_timer_;
  ControlPlaneView view_;
};

}  // namespace tulle::source
