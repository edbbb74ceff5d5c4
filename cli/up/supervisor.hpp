// Supervisor: a whole mesh, from nothing to up, kept up, and back to nothing.
//
// Owns every process. Phases:
//   control_plane  started; its API answers
//   documents      Services, then what the mesh file's policies say, are accepted
//   instances      each replica: token, sidecar, service; all at once
//   up             whatever dies is started again
//   stopping       sidecars drain, then services end, then the control plane; bounded, then killed
//   over           nothing runs
// A failure before `instances` ends everything; later ones concern their instance only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/run_record.hpp"
#include "cli/up/api_sequence.hpp"
#include "cli/up/instance.hpp"
#include "cli/up/plan.hpp"

namespace tulle::cli {

class Supervisor final : private Task {
 public:
  enum class Phase : uint8_t { control_plane, documents, instances, up, stopping, over };

  // `policies`: documents to put once the Services are there. `owner` is woken when something that
  // is shown has changed. plan must outlive this. `networks`: how each instance is reached, in the
  // order of the plan; empty: all as the control plane is.
  Supervisor(Loop& loop, SupervisedProcess::Surroundings surroundings, const Plan& plan,
             RunDirectory run, std::vector<ApiStep> policies, Task& owner,
             std::vector<Network*> networks = {});
  ~Supervisor() override;

  void stop();   // once: orderly; again: kill
  Phase phase() const { return phase_; }
  bool over() const { return phase_ == Phase::over; }
  // Why the start was given up; empty: it was not.
  const std::string& failure() const { return failure_; }
  bool settled() const;     // every instance is up, or will not be
  bool all_up() const;
  RunRecord record() const; // without name and file
  const std::vector<std::unique_ptr<Instance>>& instances() const { return instances_; }
  const SupervisedProcess& control_plane() const { return control_plane_; }

 private:
  enum class StopStep : uint8_t { sidecars, services, control_plane };
  void run() override;
  Task& task() { return *this; }
  void await_control_plane();
  void put_documents();
  void await_documents();
  void watch_control_plane();
  void advance_stop();
  void fail(std::string why);

  SupervisedProcess::Surroundings surroundings_;
  const Plan& plan_;
  const RunDirectory run_;
  const std::vector<Network*> networks_;
  std::vector<ApiStep> policies_;
  Task& owner_;
  Phase phase_ = Phase::control_plane;
  StopStep stop_step_ = StopStep::sidecars;
  std::string failure_;
  SupervisedProcess control_plane_;
  SupervisedProcess::State told_ = SupervisedProcess::State::idle;
  std::unique_ptr<ApiClient> client_;
  std::unique_ptr<ApiSequence> sequence_;
  std::vector<std::unique_ptr<Instance>> instances_;
  Timer limit_;   // for the control plane to come up
  Timer look_;    // at the files that it writes
};

std::string_view to_string(Supervisor::Phase phase);

}  // namespace tulle::cli
