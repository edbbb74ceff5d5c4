// RequestStats: what one worker counts per exchange, by listener and by cluster.
//
// A series is named the first time its combination of listener or cluster, method and status class
// occurs in this worker; from then on recording is an array index and a few relaxed stores.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/stats.hpp"
#include "sidecar/exchange/summary.hpp"

namespace tulle::telemetry {

class RequestStats {
 public:
  RequestStats(StatRegistry& registry, StatShard& shard) : registry_(registry), shard_(shard) {}

  // Slots are given once per name and stay for the life of the worker.
  uint32_t listener_slot(const std::string& name, const std::string& direction);
  uint32_t cluster_slot(const std::string& name);
  void record(const exchange::Summary& summary, uint32_t cluster_slot);
  void record(const exchange::RefusalSummary& summary);

 private:
  static constexpr size_t kMethods = 10;
  static constexpr size_t kClasses = 7;   // none, 1xx .. 5xx, error without an answer
  struct Slot {
    const Labels* labels;                 // its key in Slots
    std::array<StatId, kMethods * kClasses> durations;  // kUnnamed: not seen yet
    std::map<Code, StatId> refused;                     // rare, and few codes occur
  };
  static constexpr StatId kUnnamed = ~StatId{0};

  struct Slots {
    std::vector<std::unique_ptr<Slot>> list;
    std::map<Labels, uint32_t> by_labels;
  };

  static uint32_t slot_of(Slots& slots, Labels labels);
  // `status` is of the answer that came; 0: none did.
  void observe(Slot& slot, std::string_view family, std::string_view help, int status,
               const exchange::Summary& summary, Duration value);

  StatRegistry& registry_;
  StatShard& shard_;
  Slots listeners_;
  Slots clusters_;
};

}  // namespace tulle::telemetry
