#include "core/net/timer.hpp"

#include <algorithm>
#include <bit>

#include "core/net/loop.hpp"
#include "core/net/task.hpp"

namespace tulle {

namespace {

constexpr int64_t kTickNs = 1'000'000;

// How many timers of one slot are looked at to find out when to wake. A fuller slot is woken at its
// beginning, which costs at most one wake-up more per level.
constexpr int kLookAt = 64;

}  // namespace

// ---- Timer ---------------------------------------------------------------------------------

void Timer::arm(Duration after) {
  const Instant now = owner_.loop().now();
  if (after.count() > kNever.ns - std::max<int64_t>(now.ns, 0)) return disarm();
  arm_at(now + after);
}

// The wheel keeps a timer where it is when its deadline moves to a later time: per request that is
// one store and no list operation.
void Timer::arm_at(Instant when) {
  if (when == kNever) return disarm();
  TimerWheel& wheel = owner_.loop().timers();
  fired_ = false;
  deadline_ = when;
  if (linked() && wheel.tick_of(when) >= slot_tick_) return;
  unlink();
  wheel.insert(*this);
}

void Timer::disarm() {
  unlink();
  deadline_ = kNever;
  fired_ = false;
}

// ---- TimerWheel ----------------------------------------------------------------------------

TimerWheel::TimerWheel(Instant start) : start_(start) {}

uint64_t TimerWheel::tick_of(Instant when) const {
  if (when <= start_) return 0;
  const int64_t ns = (when - start_).count();
  return static_cast<uint64_t>(ns / kTickNs + (ns % kTickNs != 0 ? 1 : 0));
}

// The level is that of the highest bits in which the deadline and tick_ differ; below that level
// the slot is not precise, and its timers move down when the slot's beginning has come. A deadline
// past the reach of the wheel (139 years) waits in the last slot and is put again from there.
void TimerWheel::insert(Timer& timer) {
  constexpr uint64_t kReach = (uint64_t{1} << (kBits * kLevels)) - 1;
  const uint64_t wanted = std::max(tick_of(timer.deadline_), tick_);
  const uint64_t tick = std::min(wanted, tick_ | kReach);
  const uint64_t differ = (tick ^ tick_) | 1;
  const int level = (63 - std::countl_zero(differ)) / kBits;
  const auto index = static_cast<size_t>((tick >> (level * kBits)) & (kSlots - 1));
  timer.slot_tick_ = tick;
  slots_[static_cast<size_t>(level)][index].push_back(timer);
  occupied_[static_cast<size_t>(level)] |= uint64_t{1} << index;
  next_tick_ = std::min(next_tick_, tick);
}

bool TimerWheel::first_slot(Slot& out) const {
  for (int level = 0; level < kLevels; ++level) {
    const uint64_t bits = occupied_[static_cast<size_t>(level)];
    if (bits == 0) continue;
    const int shift = level * kBits;
    out.level = level;
    out.index = std::countr_zero(bits);
    const uint64_t around = tick_ >> (shift + kBits) << (shift + kBits);
    out.begin = around + (static_cast<uint64_t>(out.index) << shift);
    return true;
  }
  return false;
}

// Fires what is due and puts the rest where it belongs now, seen from the slot's beginning.
void TimerWheel::empty_slot(const Slot& slot, uint64_t now) {
  const auto level = static_cast<size_t>(slot.level);
  const auto index = static_cast<size_t>(slot.index);
  tick_ = std::max(tick_, slot.begin);
  occupied_[level] &= ~(uint64_t{1} << index);
  List<Timer, TimerTag> timers;
  timers.splice_back(slots_[level][index]);
  while (Timer* timer = timers.pop_front()) {
    if (tick_of(timer->deadline_) > now) {
      insert(*timer);
      continue;
    }
    timer->deadline_ = kNever;
    timer->fired_ = true;
    timer->owner_.wake();
  }
}

void TimerWheel::advance(Instant now) {
  if (now < start_) return;
  const auto tick = static_cast<uint64_t>((now - start_).count() / kTickNs);
  if (tick == tick_ && next_tick_ > tick) return;
  Slot slot;
  while (first_slot(slot) && slot.begin <= tick) empty_slot(slot, tick);
  tick_ = std::max(tick_, tick);
  if (next_tick_ <= tick_) find_next();
}

// After firing. A slot above level 0 only says "not before my beginning"; looking at a few timers
// in it spares a sleeping process the wake-ups in between. The slot's end bounds the answer: a
// timer whose deadline was moved may lie behind timers of the next slot.
void TimerWheel::find_next() {
  next_tick_ = kNoTick;
  Slot slot;
  while (first_slot(slot)) {
    auto& timers = slots_[static_cast<size_t>(slot.level)][static_cast<size_t>(slot.index)];
    if (timers.empty()) {
      occupied_[static_cast<size_t>(slot.level)] &= ~(uint64_t{1} << slot.index);
      continue;
    }
    next_tick_ = slot.begin + (uint64_t{1} << (slot.level * kBits));
    int looked_at = 0;
    for (Timer& timer : timers) {
      next_tick_ = std::min(next_tick_, tick_of(timer.deadline_));
      if (++looked_at == kLookAt) {
        next_tick_ = slot.begin;
        break;
      }
    }
    return;
  }
}

Instant TimerWheel::next_deadline() const {
  if (next_tick_ == kNoTick) return kNever;
  return start_ + Duration(static_cast<int64_t>(next_tick_) * kTickNs);
}

}  // namespace tulle
