// Timer and TimerWheel: deadlines without a tick.
//
// A hierarchical wheel (1 ms, 7 levels of 64 slots, occupancy bitmaps) under one engine timer at
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
  // When advance() must be called again; may be early, never late. Constant time.
  Instant next_deadline() const;

 private:
  friend class Timer;
  static constexpr int kLevels = 7;
  static constexpr int kBits = 6;
  static constexpr int kSlots = 1 << kBits;
  static constexpr uint64_t kNoTick = UINT64_MAX;
  // The first slot that may hold timers, and the tick at which it begins.
  struct Slot {
    int level;
    int index;
    uint64_t begin;
  };
  bool first_slot(Slot& out) const;
  void insert(Timer& timer);
  void empty_slot(const Slot& slot, uint64_t now);
  void find_next();
  uint64_t tick_of(Instant when) const;   // rounded up

  Instant start_;
  uint64_t tick_ = 0;                 // everything before this tick has fired
  uint64_t next_tick_ = kNoTick;      // no timer is due before this tick
  std::array<std::array<List<Timer, TimerTag>, kSlots>, kLevels> slots_;
  // A slot's bit may stay set after its timers have gone; advance() clears it. A slot of level L
  // spans 64^L ticks. Occupied slots of a level lie behind tick_ within the slot of the level above
  // that holds tick_ (level 0: at it or behind): the lowest occupied level is the earliest.
  std::array<uint64_t, kLevels> occupied_{};
};

}  // namespace tulle
