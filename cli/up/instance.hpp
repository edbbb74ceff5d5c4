// Instance: one replica of a service and the sidecar beside it, kept running.
//
// Owns both processes. Before each start of the sidecar it gets a fresh join token, for a sidecar
// that died before it had an identity cannot use the old one again; when the control plane is away
// the sidecar starts with the identity it has. The service starts once its sidecar serves.
#pragma once

#include <memory>
#include <string>

#include "cli/api/client.hpp"
#include "cli/up/plan.hpp"
#include "cli/up/supervised_process.hpp"

namespace tulle::cli {

class Instance final : private Task {
 public:
  // `owner` is woken when something that is shown has changed.
  Instance(Loop& loop, SupervisedProcess::Surroundings surroundings, ApiClient& client,
           const InstancePlan& plan, Task& owner);
  ~Instance() override;

  const InstancePlan& plan() const { return plan_; }
  const SupervisedProcess& sidecar() const { return sidecar_; }
  const SupervisedProcess& service() const { return service_; }
  bool up() const;
  bool settled() const { return up() || over(); }
  bool over() const;               // nothing will start the service again
  std::string state() const;       // one word
  std::string detail() const;      // why it is not up; empty when it is

  // The three steps of an orderly end, by the supervisor's order.
  void stop_sidecar() { stopping_ = true; token_.reset(); sidecar_.stop(); }
  void stop_service() { service_.stop(); }
  void kill();

 private:
  void run() override;
  Task& task() { return *this; }
  void start_sidecar();
  bool store_token();
  Result<void> hand_to_sidecar() const;
  void tell(const SupervisedProcess& process, SupervisedProcess::State& told);
  void tell_death(const SupervisedProcess& process);
  void tell_slow_start();

  SupervisedProcess::Surroundings surroundings_;
  ApiClient& client_;
  const InstancePlan& plan_;
  Task& owner_;
  SupervisedProcess sidecar_;
  SupervisedProcess service_;
  SupervisedProcess::State told_sidecar_ = SupervisedProcess::State::idle;
  SupervisedProcess::State told_service_ = SupervisedProcess::State::idle;
  std::unique_ptr<ApiCall> token_;
  Timer slow_;
  std::string refusal_;   // the control plane gave no token
  bool stopping_ = false;
};

}  // namespace tulle::cli
