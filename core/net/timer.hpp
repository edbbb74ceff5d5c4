// Timer and TimerWheel: deadlines without a tick.
//
// A hierarchical wheel (1 ms, 6 levels of 64 slots, occupancy bitmaps) under one engine timer at
// the earliest deadline. Firing sets a flag and wakes the owner. Moving a deadline later only
// stores it: the wheel finds out when the old one passes, so per-request idle deadlines cost one
// store. A Timer is a node that dies with its owner.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/clock.hpp"
#include "core/base/list.hpp"

namespace tulle {

class Loop;
class Task;
class TimerWheel;

struct TimerTag {};

class Timer : private ListNode<TimerTag> {
 public:
  explicit Timer(Task& owner) : owner_(owner) {}
  ~Timer() = default;

  void arm(Duration after);   // from Loop::now(); clears fired(); replaces an earlier deadline
  void arm_at(Instant when);
  void disarm();              // clears fired() as well
  bool armed() const { return deadline_ != kNever; }
  bool fired() const { return fired_; }
  Instant deadline() const { return deadline_; }

 private:
  friend class TimerWheel;
  template <class T, class Tag>
  friend class List;
  Task& owner_;
  Instant deadline_ = kNever;
  uint64_t slot_tick_ = 0;    // the tick the wheel holds it under; may be earlier than deadline_
  bool fired_ = false;
};

class TimerWheel {
 public:
  explicit TimerWheel(Instant start);
  void advance(Instant now);          // fires what is due
  Instant next_deadline() const;      // when advance() must be called again; may be early, never late

 private:
  friend class Timer;
  static constexpr int kLevels = 6;
  static constexpr int kSlots = 64;
  void insert(Timer& timer);
  uint64_t tick_of(Instant when) const;   // rounded up

  Instant start_;
  uint64_t tick_ = 0;                 // everything before this tick has fired
  std::array<std::array<List<Timer, TimerTag>, kSlots>, kLevels> slots_;
  // A slot's bit may stay set after its timers have gone; advance() clears it.
  std::array<uint64_t, kLevels> occupied_{};
};

}  // namespace tulle
