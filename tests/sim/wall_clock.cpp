// The clocks of core/base/clock.cpp, replaced for this program: the linker takes these instead.
//
// The Date field is the one place where real time reaches the data path, and HPACK makes frames of
// other sizes when a second has passed. So here no second ever passes unless a test asks for it
// (WallClockFollows), and nobody may read the monotonic clock: time is the simulated clock's.
#include "tests/sim/wall_clock.hpp"

#include "core/base/assert.hpp"
#include "core/base/clock.hpp"

namespace tulle {

namespace {

const SimulatedClock* followed = nullptr;

}  // namespace

Instant monotonic_now() {
  UNREACHABLE();
}

WallTime wall_now() {
  const int64_t passed = followed != nullptr ? followed->now().ns / 1000 : 0;
  return {sim::WallClockFollows::kStart * 1'000'000 + passed};
}

namespace sim {

WallClockFollows::WallClockFollows(const SimulatedClock& clock) {
  ASSERT(followed == nullptr);
  followed = &clock;
}

WallClockFollows::~WallClockFollows() { followed = nullptr; }

}  // namespace sim
}  // namespace tulle
