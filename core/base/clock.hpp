// Instant and Duration: monotonic time in nanoseconds, and WallTime for what people read.
//
// A loop reads the clock once per turn (Loop::now()); nobody else on the data path reads it.
#pragma once

#include <chrono>
#include <cstdint>

namespace tulle {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;  // NOLINT: 5s, 250ms read better everywhere

// Monotonic. The epoch is arbitrary (zero in the simulator).
struct Instant {
  int64_t ns = 0;
  friend auto operator<=>(const Instant&, const Instant&) = default;
  friend Instant operator+(Instant at, Duration by) { return {at.ns + by.count()}; }
  friend Instant operator-(Instant at, Duration by) { return {at.ns - by.count()}; }
  friend Duration operator-(Instant a, Instant b) { return Duration(a.ns - b.ns); }
};
inline constexpr Instant kNever{INT64_MAX};

// Wall-clock microseconds since the Unix epoch, for logs and certificates.
struct WallTime {
  int64_t us = 0;
};

Instant monotonic_now();
WallTime wall_now();

}  // namespace tulle
