#include "core/base/clock.hpp"

#include <ctime>

namespace tulle {

namespace {

int64_t read_ns(clockid_t which) {
  timespec at;
  clock_gettime(which, &at);
  return int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

}  // namespace

Instant monotonic_now() { return {read_ns(CLOCK_MONOTONIC)}; }

WallTime wall_now() { return {read_ns(CLOCK_REALTIME) / 1000}; }

}  // namespace tulle
