// MisbehaviourBudget: how much nonsense one HTTP/2 peer may send before its connection ends.
//
// A token bucket over frames that cost us work and bring nobody anything: resets, pings, settings,
// empty frames, malformed heads, drips of window. Useful frames earn tokens back, so a busy honest
// peer (whose pings and window updates come with data) never runs out, while a flood does, however
// it is mixed. No protocol knowledge beyond the price list.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/clock.hpp"

namespace tulle {

class MisbehaviourBudget {
 public:
  // Prices in tenths of a token.
  static constexpr int64_t kToken = 10;
  static constexpr int64_t kReset = kToken;         // either side: rapid reset, made-you-reset
  static constexpr int64_t kControl = kToken;       // PING, SETTINGS, PRIORITY, unknown frames
  static constexpr int64_t kHead = kToken;          // earned back when the head is valid
  static constexpr int64_t kBadHead = 2 * kToken;
  static constexpr int64_t kEmptyData = 4 * kToken;
  static constexpr int64_t kWindowUpdate = 1;       // ten for every DATA frame we sent

  MisbehaviourBudget(uint32_t burst, uint32_t per_second)
      : capacity_(burst * kToken), per_second_(per_second * kToken), left_(capacity_) {}

  void refill(Instant now) {
    if (now <= refilled_) return;
    const int64_t elapsed = std::min<int64_t>((now - refilled_).count(), 1'000'000'000);
    const int64_t gained = elapsed * per_second_ / 1'000'000'000;
    if (gained == 0) return;  // keeps the fraction for the next time
    refilled_ = now;
    left_ = std::min(capacity_, left_ + gained);
  }
  void charge(int64_t price) { left_ -= price; }
  void earn(int64_t price = kToken) { left_ = std::min(capacity_, left_ + price); }
  bool exhausted() const { return left_ < 0; }

 private:
  const int64_t capacity_;
  const int64_t per_second_;
  int64_t left_;
  Instant refilled_;
};

}  // namespace tulle
