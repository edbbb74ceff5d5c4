// Application: the workload behind sidecar B, several instances of it, each a real Server.
//
// Owns the servers. What a handler does with a request is in the plan; the request says which one
// it is in the field `sim-id`. Counts how often each request was executed: more than once is wrong,
// unless the mesh may repeat it: retries are on and the method is idempotent.
#pragma once

#include <memory>
#include <vector>

#include "core/http/server.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "tests/sim/findings.hpp"
#include "tests/sim/plan.hpp"

namespace tulle::sim {

class Application : private Service {
 public:
  Application(SimulatedClock& clock, Loop& loop, SimulatedNetwork& network, const Plan& plan,
              Findings& findings);
  ~Application() override;

  static Address address_of(uint32_t instance);
  void start(uint32_t instance);
  void stop(uint32_t instance);  // its connections are gone, connects are refused
  bool running(uint32_t instance) const { return servers_[instance] != nullptr; }
  void stop_all();

  size_t handlers() const { return handlers_; }
  bool executed(uint32_t id) const { return executions_[id] > 0; }

 private:
  class Handler;
  Service& service() { return *this; }
  std::unique_ptr<Task> serve(StreamRef stream) override;

  SimulatedClock& clock_;
  Loop& loop_;
  const Plan& plan_;
  Findings& findings_;
  std::vector<std::unique_ptr<Network>> hosts_;
  std::vector<std::unique_ptr<Server>> servers_;  // null: stopped
  std::vector<uint32_t> executions_;
  size_t handlers_ = 0;
};

}  // namespace tulle::sim
