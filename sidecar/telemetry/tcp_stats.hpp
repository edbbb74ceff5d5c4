// TcpStats: what one worker counts of opaque connections, by listener and by cluster.
//
// Names are resolved the first time a listener, cluster or outcome occurs in this worker; from then
// on counting is an array index and a relaxed store. Bytes are counted while they pass, because
// connections may live for days.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/stats.hpp"

namespace tulle::telemetry {

class TcpStats {
 public:
  TcpStats(StatRegistry& registry, StatShard& shard) : registry_(registry), shard_(shard) {}

  // Slots are given once per name and stay for the life of the worker.
  uint32_t listener_slot(const std::string& name, const std::string& direction);

  void began(uint32_t slot) { shard_.add(listeners_[slot]->active, 1); }
  void passed(uint32_t slot, uint64_t received, uint64_t sent) {
    const Listener& listener = *listeners_[slot];
    if (received > 0) shard_.add(listener.received, static_cast<int64_t>(received));
    if (sent > 0) shard_.add(listener.sent, static_cast<int64_t>(sent));
  }
  void ended(uint32_t slot, const Error* why);  // null: as it should
  void dialled(const std::string& cluster, const Error* why);
  void withdrawn(uint32_t slot);                // an early dial that was not needed

 private:
  static constexpr StatId kUnnamed = ~StatId{0};
  static constexpr size_t kOutcomes = 64;       // codes, and "ok" first
  using Outcomes = std::array<StatId, kOutcomes>;
  struct Listener {
    Labels labels;
    StatId active, received, sent, withdrawn;
    Outcomes ended;
  };
  void count(Outcomes& outcomes, const Error* why, std::string_view family, std::string_view help,
             const Labels& labels);

  StatRegistry& registry_;
  StatShard& shard_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::map<Labels, uint32_t> slots_;
  std::map<std::string, Outcomes> clusters_;    // looked up once per connect
};

}  // namespace tulle::telemetry
