// IdentityMesh: one control plane's identity side and workloads that want certificates, over the
// simulated network and on a wall clock that moves with it.
//
// The control plane here is the authority, the tokens and the identity call behind a real Server;
// it can be stopped and started again, keeping its folder and its store. A change of the trust
// bundle reaches workloads as a push would, while the control plane runs.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "control-plane/ca/authority.hpp"
#include "control-plane/ca/identity_service.hpp"
#include "control-plane/ca/join_tokens.hpp"
#include "control-plane/ca/server_certificates.hpp"
#include "control-plane/store/store.hpp"
#include "core/base/stats.hpp"
#include "core/http/server.hpp"
#include "core/net/simulated_network.hpp"
#include "sidecar/identity/credentials.hpp"
#include "tests/sim/wall_clock.hpp"
#include "tests/support/folder.hpp"

namespace tulle::sim {

class IdentityMesh {
 public:
  explicit IdentityMesh(int64_t certificate_lifetime = 86400, uint64_t seed = 1);
  ~IdentityMesh();

  void start_control_plane();
  void stop_control_plane();
  bool runs() const { return control_plane_ != nullptr; }
  ca::Authority& authority();
  ca::JoinTokens& tokens();
  // Instead of the identity call, from now on. Null: the call again.
  void answer_with(Service* service) { substitute_ = service; }
  // The certificate that the control plane presents, instead of its own.
  void present(std::shared_ptr<const TlsContext> tls);

  // A token for default/<service>; it holds when this returns.
  std::string token(const std::string& service, int64_t lifetime = 3600);

  struct Workload {
    std::string name;
    uint64_t wakes = 0;
    std::unique_ptr<Network> network;
    std::unique_ptr<Task> owner;
    std::unique_ptr<identity::Credentials> credentials;
    const identity::Credentials* operator->() const { return credentials.get(); }
  };
  // Starts one (again) as default/<service>, with what its folder holds.
  Workload& start(const std::string& name, const std::string& service = "");
  void stop(const std::string& name) { workloads_.at(name)->credentials.reset(); }
  Workload& workload(const std::string& name) { return *workloads_.at(name); }
  void give_token(const std::string& name, const std::string& token);
  std::string folder_of(const std::string& name) const { return folder_ / name; }
  static std::string id_of(const std::string& service);

  bool run_until_valid(const std::string& name, Duration limit = 60s);
  // A certificate that holds now, below the trust bundle of `by`.
  std::string fault(const std::string& name, const std::string& by);
  static int64_t now();

  SimulatedClock clock;
  WallClockFollows wall{clock};
  SimulatedLoop loop{clock};
  SimulatedNetwork network{clock};

 private:
  class ControlPlane;
  void push_bundle();

  tulle::testing::TemporaryFolder folder_;
  const int64_t lifetime_;
  std::unique_ptr<Network> control_plane_network_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ControlPlane> control_plane_;
  Service* substitute_ = nullptr;
  StatRegistry stats_;
  StatShard shard_;
  std::map<std::string, std::unique_ptr<Workload>> workloads_;
  int next_ip_ = 2;
};

}  // namespace tulle::sim
