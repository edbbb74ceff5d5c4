#include "tests/sim/process.hpp"

#include <algorithm>

namespace tulle::sim {

Process::Process(Loop& loop, std::unique_ptr<Network> network, std::string name, uint64_t seed,
                 std::shared_ptr<const config::Snapshot> snapshot, Findings& findings)
    : name_(std::move(name)),
      findings_(findings),
      network_(std::move(network)),
      environment_{.node_id = name_, .stats = stats_, .admissions = admissions_},
      worker_(std::make_unique<Worker>(loop, *network_, environment_, seed)) {
  adopt(std::move(snapshot));
}

void Process::adopt(std::shared_ptr<const config::Snapshot> snapshot) {
  for (const auto& cluster : snapshot->clusters) {
    if (cluster == nullptr) continue;
    auto admission = admissions_.of(*cluster);
    if (std::find(counts_.begin(), counts_.end(), admission) == counts_.end()) {
      counts_.push_back(std::move(admission));
    }
  }
  Result<void> adopted = worker_->adopt(std::move(snapshot));
  findings_.expect(adopted.has_value(), [&] { return name_ + ": " + adopted.error().detail; });
}

void Process::wind_down() {
  worker_->drain();
  worker_->clusters().retire_all();
}

bool Process::settled() {
  worker_->clusters().reap();
  return worker_->drained() && worker_->clusters().idle();
}

Process::~Process() {
  worker_.reset();
  findings_.expect(requests_permitted() == 0, [&] {
    return name_ + " has gone with " + std::to_string(requests_permitted()) + " request permits";
  });
  findings_.expect(connections_permitted() == 0, [&] {
    return name_ + " has gone with " + std::to_string(connections_permitted()) +
           " connection permits";
  });
}

uint32_t Process::requests_permitted() const {
  uint32_t sum = 0;
  for (const auto& count : counts_)
    sum += count->requests() + count->pending() + count->retries();
  return sum;
}

uint32_t Process::connections_permitted() const {
  uint32_t sum = 0;
  for (const auto& count : counts_)
    sum += count->connections();
  return sum;
}

}  // namespace tulle::sim
