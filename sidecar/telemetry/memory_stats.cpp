#include "sidecar/telemetry/memory_stats.hpp"

namespace tulle::telemetry {

MemoryStats::MemoryStats(StatRegistry& registry, StatShard& shard)
    : shard_(shard),
      limit_(registry.gauge("tulle_memory_limit_bytes",
                            "Memory that traffic may use; see memory.limit_mib", {})),
      promised_(registry.gauge("tulle_memory_promised_bytes",
                               "What HTTP/2 windows have grown by and peers may send", {})) {
  for (size_t i = 0; i < kMemoryUses; ++i) {
    used_[i] = registry.gauge("tulle_memory_used_bytes", "Memory that traffic uses",
                              {{"use", std::string(to_string(static_cast<MemoryUse>(i)))}});
  }
  for (size_t i = 0; i < kShedKinds; ++i) {
    shed_[i] = registry.counter("tulle_memory_shed_total",
                                "What was refused or ended because memory was short",
                                {{"what", std::string(to_string(static_cast<Shed>(i)))}});
  }
}

void MemoryStats::refresh() {
  MemoryMeter::of_thread().publish();
  const MemoryBudget& budget = MemoryBudget::of_process();
  show(limit_, budget.limit());
  show(promised_, budget.promised());
  for (size_t i = 0; i < kMemoryUses; ++i) {
    show(used_[i], budget.used(static_cast<MemoryUse>(i)));
  }
  for (size_t i = 0; i < kShedKinds; ++i) {
    show(shed_[i], static_cast<int64_t>(budget.shed(static_cast<Shed>(i))));
  }
}

void MemoryStats::show(StatId id, int64_t value) { shard_.add(id, value - shard_.read(id)); }

}  // namespace tulle::telemetry
