// ControlPlane: the composition root. One loop; the store has a writer thread of its own.
//
// Owns everything, in the order in which it depends on each other: the store, the authority, the hub,
// the API, the servers. It is ready when everything listens; then <data_dir>/endpoints.json says where, for tools that
// asked for port 0. TERM or INT ends it: watches and sessions are told, what runs may finish within
// a grace.
#pragma once

#include <memory>
#include <string>

#include "control-plane/api/api.hpp"
#include "control-plane/api/certificates.hpp"
#include "control-plane/api/metrics_pages.hpp"
#include "control-plane/build/result_check.hpp"
#include "control-plane/ca/authority.hpp"
#include "control-plane/ca/identity_service.hpp"
#include "control-plane/ca/join_tokens.hpp"
#include "control-plane/ca/server_certificates.hpp"
#include "control-plane/config.hpp"
#include "control-plane/push/grpc_methods.hpp"
#include "control-plane/push/hub.hpp"
#include "control-plane/store/store.hpp"
#include "core/base/stats.hpp"
#include "core/http/server.hpp"
#include "core/net/loop.hpp"
#include "core/net/network.hpp"
#include "core/net/signal.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"

namespace tulle {

class ControlPlane final : private Task,
                           private api::ReadySource,
                           private api::Acknowledgements {
 public:
  // Opens everything and starts. Errors are complete, for standard error.
  static Result<std::unique_ptr<ControlPlane>> start(Loop& loop, ControlPlaneConfig config);
  ~ControlPlane() override;

 private:
  ControlPlane(Loop& loop, ControlPlaneConfig config);
  Result<void> open();
  Result<void> open_authority();
  Result<void> open_xds();
  Result<void> open_api();
  Result<void> open_metrics();
  Result<void> announce();
  void run() override;
  void begin_drain();
  bool drained() const;
  void update_gauges();
  void take_over_certificates();

  // ReadySource
  bool ready() const override { return ready_ && !draining_ && store_->healthy(); }
  std::string_view state() const override;

  // Acknowledgements
  std::vector<push::SidecarStatus> sidecars() const override { return hub_->sidecars(); }
  push::DocumentAcceptance acceptance(const model::Document& document) const override {
    return hub_->acceptance(document);
  }

  // The call by which sidecars get certificates, as the service of a method.
  class SignMethod final : public Service {
   public:
    explicit SignMethod(ca::IdentityService& identity) : identity_(identity) {}
    std::unique_ptr<Task> serve(StreamRef stream) override {
      return identity_.serve(std::move(stream));
    }

   private:
    ca::IdentityService& identity_;
  };

  const ControlPlaneConfig config_;
  StatRegistry stats_;
  StatShard shard_;
  StatId revision_gauge_, certificate_gauge_;
  int64_t revision_shown_ = 0;
  int64_t certificate_shown_ = 0;
  std::unique_ptr<Network> network_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Watch> store_watch_;
  std::unique_ptr<ca::Authority> authority_;
  std::unique_ptr<ca::JoinTokens> tokens_;
  std::unique_ptr<ca::IdentityService> identity_;
  std::unique_ptr<ca::ServerCertificates> certificates_;
  uint64_t certificates_revision_ = 0;  // that the servers present
  std::unique_ptr<SignMethod> sign_method_;
  std::unique_ptr<push::Hub> hub_;
  push::GrpcMethods methods_;
  std::unique_ptr<Server> xds_server_;
  std::unique_ptr<build::CompileCheck> compile_check_;
  std::unique_ptr<api::CertificateControl> certificate_control_;
  std::unique_ptr<api::Api> api_;
  std::unique_ptr<Server> api_server_;
  api::MetricsPages pages_;
  std::unique_ptr<Server> metrics_server_;
  std::unique_ptr<SignalWatch> terminate_, interrupt_;
  Timer grace_timer_{*this};
  bool ready_ = false;
  bool draining_ = false;
};

}  // namespace tulle
