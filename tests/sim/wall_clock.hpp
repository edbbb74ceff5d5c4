// WallClockFollows: while it lives, the wall clock of this program moves with a simulated clock, for
// what depends on dates. Otherwise it stands still.
#pragma once

#include <cstdint>

#include "core/net/simulated_engine.hpp"

namespace tulle::sim {

class WallClockFollows {
 public:
  static constexpr int64_t kStart = 1'800'000'000;  // Unix seconds at the clock's zero

  explicit WallClockFollows(const SimulatedClock& clock);
  ~WallClockFollows();
  WallClockFollows(const WallClockFollows&) = delete;
  WallClockFollows& operator=(const WallClockFollows&) = delete;
};

}  // namespace tulle::sim
