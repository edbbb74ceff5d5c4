// Process: one simulated sidecar: a real Worker with its own network, limits and statistics.
//
// Owns all of it, in the order in which a real process would build it up. Keeps the admissions that
// its clusters count in, so that they can be looked at when the clusters are gone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/net/simulated_network.hpp"
#include "sidecar/worker.hpp"
#include "tests/sim/findings.hpp"

namespace tulle::sim {

class Process {
 public:
  Process(Loop& loop, std::unique_ptr<Network> network, std::string name, uint64_t seed,
          std::shared_ptr<const config::Snapshot> snapshot, Findings& findings);

  Worker& worker() { return *worker_; }
  const config::Snapshot* snapshot() const { return worker_->snapshot(); }
  void adopt(std::shared_ptr<const config::Snapshot> snapshot);
  // No new requests, no connection kept. settled() in the end.
  void wind_down();
  bool settled();
  // Ends the worker, then looks whether everything was given back.
  ~Process();

  // Permits of requests that wait or run, over all clusters.
  uint32_t requests_permitted() const;
  uint32_t connections_permitted() const;

 private:
  std::string name_;
  Findings& findings_;
  std::unique_ptr<Network> network_;
  StatRegistry stats_;
  routing::Admissions admissions_;
  std::vector<std::shared_ptr<routing::Admission>> counts_;
  WorkerEnvironment environment_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace tulle::sim
