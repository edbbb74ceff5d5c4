// StatRegistry and StatShard: counters with one writer each, summed when somebody looks.
//
// The registry (any thread, locked) turns a family and labels into an id while configuration is
// compiled; the hot path knows ids only. A shard belongs to one worker: relaxed load, add, store,
// no locked instruction. Shards grow by fixed blocks, so a reader never meets a move. A gauge is a
// counter that may also go down (two's complement; the sum over shards is the value). A histogram
// is `buckets + 2` consecutive ids: cumulative bucket counts are made on scrape, then sum, count.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/clock.hpp"

namespace tulle {

using StatId = uint32_t;
using Labels = std::vector<std::pair<std::string, std::string>>;

enum class StatKind : uint8_t { counter, gauge, histogram };

// Upper bounds of the request-duration buckets, in seconds (OpenTelemetry's advised boundaries).
inline constexpr std::array<double, 14> kDurationBounds = {
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10};

class StatShard {
 public:
  StatShard();
  ~StatShard();
  StatShard(const StatShard&) = delete;
  StatShard& operator=(const StatShard&) = delete;

  void add(StatId id, int64_t by = 1) {                // owner thread only
    std::atomic<int64_t>& value = cell(id);
    value.store(value.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  void observe(StatId histogram, Duration value);      // owner thread only; kDurationBounds
  int64_t read(StatId id) const;                       // any thread

 private:
  friend class StatRegistry;
  static constexpr size_t kBlock = 1024;
  static constexpr size_t kBlocks = 1024;  // one million series: the registry refuses more
  using Block = std::array<std::atomic<int64_t>, kBlock>;
  std::atomic<int64_t>& cell(StatId id) {
    Block* block = blocks_[id / kBlock].load(std::memory_order_relaxed);
    if (block == nullptr) [[unlikely]] block = grow(id / kBlock);
    return (*block)[id % kBlock];
  }
  Block* grow(size_t index);
  std::array<std::atomic<Block*>, kBlocks> blocks_{};
};

class StatRegistry {
 public:
  // Fewer ids than the shards could hold, for tests.
  explicit StatRegistry(StatId max_ids = UINT32_MAX) : max_ids_(max_ids) {}

  // The same family and labels give the same id. Past the limit of series everything shares one
  // overflow id, which /metrics shows as tulle_stats_overflow.
  StatId counter(std::string_view family, std::string_view help, Labels labels);
  StatId gauge(std::string_view family, std::string_view help, Labels labels);
  StatId duration_histogram(std::string_view family, std::string_view help, Labels labels);

  void attach(const StatShard& shard);  // the shard must outlive the registry's last scrape
  void detach(const StatShard& shard);  // its values stay: a counter never goes back
  std::string prometheus_text() const;  // exposition format 0.0.4, families sorted
  int64_t read(StatId id) const;        // sum over shards

 private:
  struct Series {
    StatKind kind;
    StatId first;
    std::string labels;  // rendered, without braces
  };
  struct Family {
    StatKind kind;
    std::string help;
    std::vector<Series> series;
  };
  StatId intern(StatKind kind, std::string_view family, std::string_view help, Labels labels);

  const StatId max_ids_;
  mutable std::mutex mutex_;
  StatId next_ = 0;
  int64_t sum(StatId id) const;  // mutex_ is held
  void render(const std::string& name, const Family& family, std::string& out) const;
  void render_histogram(const std::string& name, const Series& series, std::string& out) const;

  bool overflowed_ = false;
  std::unordered_map<std::string, StatId> by_name_;
  std::vector<std::pair<std::string, Family>> families_;  // sorted by name
  std::vector<const StatShard*> shards_;
  StatShard retired_;  // what detached shards had counted
};

}  // namespace tulle
