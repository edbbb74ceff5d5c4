// MemoryStats: the memory budget as metrics. Written into a shard when somebody scrapes.
#pragma once

#include <array>

#include "core/base/memory_budget.hpp"
#include "core/base/stats.hpp"

namespace tulle::telemetry {

class MemoryStats {
 public:
  MemoryStats(StatRegistry& registry, StatShard& shard);
  void refresh();  // on the shard's thread

 private:
  void show(StatId id, int64_t value);

  StatShard& shard_;
  StatId limit_;
  StatId promised_;
  std::array<StatId, kMemoryUses> used_;
  std::array<StatId, kShedKinds> shed_;
};

}  // namespace tulle::telemetry
