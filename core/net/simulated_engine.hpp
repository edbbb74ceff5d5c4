// SimulatedClock: virtual time, and everything that is going to happen in it.
//
// Owns: the time, the events in order of their time, one random generator from which all chance
// comes, and a hash over what has happened. Time moves only when every loop is quiet, then jumps to
// the next event or timer. Several loops may share a clock; all of them run on this one thread.
// The same seed and the same calls give the same trace hash.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/list.hpp"
#include "core/base/rng.hpp"
#include "core/net/loop.hpp"

namespace tulle {

class SimulatedClock;
class SimulatedEngine;

struct SleeperTag {};

// Something that happens at a virtual time, outside any turn, as a socket's callback would.
// Dies with its owner and is then not heard any more.
class SimulatedEvent {
 public:
  explicit SimulatedEvent(SimulatedClock& clock) : clock_(clock) {}
  virtual ~SimulatedEvent() { cancel(); }
  SimulatedEvent(const SimulatedEvent&) = delete;
  SimulatedEvent& operator=(const SimulatedEvent&) = delete;

  void schedule(Instant when);  // replaces an earlier schedule; the past means now
  void cancel();
  bool scheduled() const { return when_ != kNever; }
  Instant when() const { return when_; }

 private:
  friend class SimulatedClock;
  virtual void happen() = 0;
  SimulatedClock& clock_;
  Instant when_ = kNever;
  uint64_t order_ = 0;
};

// Somebody who can tell whether he could go on although nobody has woken him. Asked whenever time
// is about to move, that is when no task is queued.
class Sleeper : private ListNode<SleeperTag> {
 public:
  explicit Sleeper(SimulatedClock& clock);
  virtual ~Sleeper() = default;
  virtual std::string could_progress() const = 0;  // empty: rightly asleep; else what was missed

 private:
  friend class SimulatedClock;
  template <class T, class Tag>
  friend class List;
};

class SimulatedClock {
 public:
  explicit SimulatedClock(uint64_t seed = 1);
  ~SimulatedClock();
  SimulatedClock(const SimulatedClock&) = delete;
  SimulatedClock& operator=(const SimulatedClock&) = delete;

  Instant now() const { return now_; }
  Rng& rng() { return rng_; }
  uint64_t seed() const { return seed_; }

  // One thing: a turn, or else the next event or timer. False: quiescent, nothing is ahead.
  bool step();
  bool run_until_quiet(Duration limit = std::chrono::hours(1));  // false: the limit came first
  void run_until(Instant when);  // everything up to `when`; now() is `when` afterwards
  void run_for(Duration by) { run_until(now_ + by); }
  // Steps until `done()`; false when it became quiet or `limit` has passed first.
  template <class Done>
  bool run_while_not(Done done, Duration limit = std::chrono::hours(1)) {
    const Instant end = now_ + limit;
    while (!done()) {
      if (next_time() > end || !step())
        return false;
    }
    return true;
  }
  // Something once, `in` from now. For tests: "deliver these bytes to that stream at t".
  void after(Duration in, std::function<void()> what);

  // What has happened so far. note() adds to it; never note addresses or secrets.
  void note(std::string_view what, uint64_t number);
  uint64_t trace_hash() const { return trace_; }
  uint64_t steps() const { return steps_; }

  // What sleepers said when time moved on, at most the first ten. Empty is right.
  const std::vector<std::string>& lost_wakes() const { return lost_wakes_; }

 private:
  friend class SimulatedEvent;
  friend class SimulatedEngine;
  friend class Sleeper;
  class Call;
  using Key = std::pair<Instant, uint64_t>;

  bool hold_turns();
  void run_events();
  void ask_sleepers();
  Instant next_time() const;  // of the next step; now() when a turn is due, kNever when quiet
  SimulatedEngine* earliest_timer() const;
  void advance_to(Instant when);

  const uint64_t seed_;
  Rng rng_;
  Instant now_{};
  uint64_t order_ = 0;
  uint64_t trace_ = 0xcbf29ce484222325;
  uint64_t steps_ = 0;
  uint64_t steps_at_this_instant_ = 0;
  std::map<Key, SimulatedEvent*> events_;
  std::vector<SimulatedEngine*> engines_;
  std::vector<std::unique_ptr<Call>> calls_;
  List<Sleeper, SleeperTag> sleepers_;
  std::vector<std::string> lost_wakes_;
};

// The engine of one loop. Loop::run() runs the clock until it is quiet or the loop is stopped.
std::unique_ptr<Engine> make_simulated_engine(SimulatedClock& clock);

// A loop that its clock drives from the beginning, without Loop::run().
class SimulatedLoop : public Loop {
 public:
  explicit SimulatedLoop(SimulatedClock& clock);
  ~SimulatedLoop();
};

}  // namespace tulle
