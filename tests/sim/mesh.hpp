// SimMesh: callers, sidecar A, sidecar B and an application on one simulated loop, and one run.
//
// Owns everything of a run. run() plays the plan, winds the mesh down and looks at what must hold
// whatever happened: the invariants in tests/sim/README.md. It draws nothing itself; chance is the
// plan's and the clock's, so a seed replays.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "tests/sim/application.hpp"
#include "tests/sim/findings.hpp"
#include "tests/sim/plan.hpp"
#include "tests/sim/process.hpp"
#include "tests/sim/request.hpp"
#include "tests/sim/resources.hpp"

namespace tulle::sim {

struct Report {
  std::string findings;  // empty: all is well
  uint64_t trace_hash = 0;
  uint64_t steps = 0;
  Duration virtual_time{};
  size_t peak_bytes = 0;             // of the chunk pool
  Duration slowest{};                // request that was answered
  std::array<size_t, 6> outcomes{};  // by Outcome::Kind
};

class SimMesh {
 public:
  explicit SimMesh(const Plan& plan);
  ~SimMesh();
  Report run();

 private:
  // Playing.
  void schedule(const FaultPlan& fault);
  void apply(const FaultPlan& fault);
  void cut(const FaultPlan& fault, Cut how);
  void part(const FaultPlan& fault, bool parted);
  void reconfigure();
  void replace(Side side, Duration gap, bool politely);
  std::unique_ptr<Process> start(Side side);
  void end_former(uint64_t number);

  // Judging.
  void finish_requests();
  void finish_exchanges();
  void wind_down();
  void judge_outcomes();
  void judge_outcome(const Request& request);
  void tear_down();
  template <class Done>
  bool drive(Done done, Duration limit);
  size_t exchanges() const;
  uint32_t permits() const;
  bool all_settled();
  Report report();

  const Plan& plan_;
  Findings findings_;
  Report report_;
  const size_t chunks_before_;
  SimulatedClock clock_;
  SimulatedNetwork network_;
  std::unique_ptr<SimulatedLoop> loop_;
  std::unique_ptr<Network> caller_network_;
  std::unique_ptr<Application> application_;
  Setup setup_;
  std::array<std::unique_ptr<Process>, 2> sidecars_;  // null while one is away
  struct Former {
    uint64_t number;
    std::unique_ptr<Process> process;
  };
  std::list<Former> former_;  // draining
  uint64_t processes_ = 0;
  bool over_ = false;  // nothing more happens to the mesh
  std::vector<std::unique_ptr<Pool>> pools_;
  std::vector<std::unique_ptr<Request>> requests_;
};

}  // namespace tulle::sim
