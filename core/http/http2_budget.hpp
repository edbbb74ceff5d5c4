// MisbehaviourBudget: how much nonsense one HTTP/2 peer may send before its connection ends.
//
// Two token buckets over what costs us and brings nobody anything. `waste` is work begun and thrown
// away: resets from either side, malformed and refused heads. Only exchanges that end well earn it
// back, so a peer cannot pay for resets with bytes. `noise` is chatter: pings, settings, empty
// frames, drips of window. Frames with payload earn it back, so a busy honest peer, whose pings and
// window updates come with data, never runs out. No protocol knowledge beyond the price list.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/clock.hpp"

namespace tulle {

class MisbehaviourBudget {
 public:
  // Prices in tenths of a token.
  static constexpr int64_t kToken = 10;
  // Waste.
  static constexpr int64_t kReset = kToken;     // either side: rapid reset, made-you-reset
  static constexpr int64_t kHead = kToken;      // earned back when the head is valid
  static constexpr int64_t kBadHead = 2 * kToken;
  // Noise.
  static constexpr int64_t kControl = kToken;   // PING, SETTINGS, PRIORITY, unknown frames
  static constexpr int64_t kEmptyData = 4 * kToken;
  static constexpr int64_t kWindowUpdate = 1;   // ten for every DATA frame we sent

  MisbehaviourBudget(uint32_t burst, uint32_t per_second)
      : capacity_(burst * kToken), per_second_(per_second * kToken) {}

  void refill(Instant now) {
    if (now <= refilled_) return;
    const int64_t elapsed = std::min<int64_t>((now - refilled_).count(), 1'000'000'000);
    const int64_t gained = elapsed * per_second_ / 1'000'000'000;
    if (gained == 0) return;  // keeps the fraction for the next time
    refilled_ = now;
    waste_left_ = std::min(capacity_, waste_left_ + gained);
    noise_left_ = std::min(capacity_, noise_left_ + gained);
  }

  void charge_waste(int64_t price) { waste_left_ -= price; }
  void charge_noise(int64_t price) { noise_left_ -= price; }
  void valid_head() { waste_left_ = std::min(capacity_, waste_left_ + kHead); }
  void exchange_done() { waste_left_ = std::min(capacity_, waste_left_ + kReset); }
  void payload() { noise_left_ = std::min(capacity_, noise_left_ + kToken); }
  bool exhausted() const { return waste_left_ < 0 || noise_left_ < 0; }

 private:
  const int64_t capacity_;
  const int64_t per_second_;
  int64_t waste_left_ = capacity_;
  int64_t noise_left_ = capacity_;
  Instant refilled_;
};

}  // namespace tulle
