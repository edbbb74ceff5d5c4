// PushStats: the figures of pushing, tulle_control_plane_*.
//
// Owns a shard; ids are resolved once. Loop thread only, like everything it counts.
#pragma once

#include <cstddef>

#include "core/base/stats.hpp"

namespace tulle::push {

class PushStats {
 public:
  explicit PushStats(StatRegistry& registry);
  ~PushStats();
  PushStats(const PushStats&) = delete;
  PushStats& operator=(const PushStats&) = delete;

  void session_opened() { shard_.add(sessions_); }
  void session_closed() { shard_.add(sessions_, -1); }
  void refused() { shard_.add(refused_); }
  void rejected() { shard_.add(rejected_); }
  void sent(size_t bytes) {
    shard_.add(responses_);
    shard_.add(bytes_, static_cast<int64_t>(bytes));
  }
  void built(uint64_t resources) { shard_.add(builds_, static_cast<int64_t>(resources)); }
  // From the change that opened a window until its last session was told to push.
  void pushed(Duration after) { shard_.observe(delay_, after); }

 private:
  StatRegistry& registry_;
  StatShard shard_;
  StatId sessions_;
  StatId refused_;
  StatId rejected_;
  StatId responses_;
  StatId bytes_;
  StatId builds_;
  StatId delay_;
};

}  // namespace tulle::push
