#include "core/net/simulated_engine.hpp"

#include <algorithm>

namespace tulle {

namespace {

constexpr size_t kMaxLostWakes = 10;
// So many steps at one instant are a bug: two tasks wake each other for ever.
constexpr uint64_t kMaxStepsPerInstant = 10'000'000;

}  // namespace

class SimulatedEngine final : public Engine {
 public:
  explicit SimulatedEngine(SimulatedClock& clock) : clock_(clock) {
    clock_.engines_.push_back(this);
  }
  ~SimulatedEngine() override { std::erase(clock_.engines_, this); }

  void run(Loop& loop) override;
  Instant now() override { return clock_.now(); }
  void wake_at(Instant when) override { deadline_ = when; }
  void poll_without_waiting() override { turn_due_ = true; }
  void interrupt() override { turn_due_ = true; }
  void stop() override { stopped_ = true; }

  void bind(Loop* loop) {
    ASSERT(loop == nullptr || loop_ == nullptr);
    loop_ = loop;
  }
  bool is_bound() const { return loop_ != nullptr; }
  bool turn_is_due() const { return loop_ != nullptr && (turn_due_ || !loop_->idle()); }
  Instant deadline() const { return loop_ != nullptr ? deadline_ : kNever; }
  void take_deadline() {
    deadline_ = kNever;
    turn_due_ = true;
  }
  // Before events, which read the loop's time as a socket's callback does.
  void refresh_now() {
    if (loop_ != nullptr)
      loop_->refresh_now();
  }
  void hold_turn() {
    turn_due_ = false;
    loop_->refresh_now();
    loop_->turn();
  }

 private:
  SimulatedClock& clock_;
  Loop* loop_ = nullptr;
  Instant deadline_ = kNever;
  bool turn_due_ = true;  // the first turn sets the timer
  bool stopped_ = false;
};

void SimulatedEngine::run(Loop& loop) {
  const bool bound_here = loop_ == nullptr;
  if (bound_here)
    bind(&loop);
  stopped_ = false;
  while (!stopped_ && clock_.step()) {
  }
  if (bound_here)
    bind(nullptr);
}

std::unique_ptr<Engine> make_simulated_engine(SimulatedClock& clock) {
  return std::make_unique<SimulatedEngine>(clock);
}

SimulatedLoop::SimulatedLoop(SimulatedClock& clock) : Loop(make_simulated_engine(clock)) {
  static_cast<SimulatedEngine&>(engine()).bind(this);
}

SimulatedLoop::~SimulatedLoop() {
  static_cast<SimulatedEngine&>(engine()).bind(nullptr);
}

// ---- events ---------------------------------------------------------------------------------

void SimulatedEvent::schedule(Instant when) {
  cancel();
  if (when == kNever)
    return;
  when_ = std::max(when, clock_.now_);
  order_ = ++clock_.order_;
  clock_.events_.emplace(SimulatedClock::Key(when_, order_), this);
}

void SimulatedEvent::cancel() {
  if (!scheduled())
    return;
  clock_.events_.erase(SimulatedClock::Key(when_, order_));
  when_ = kNever;
}

Sleeper::Sleeper(SimulatedClock& clock) {
  clock.sleepers_.push_back(*this);
}

class SimulatedClock::Call final : public SimulatedEvent {
 public:
  Call(SimulatedClock& clock, std::function<void()> what)
      : SimulatedEvent(clock), what_(std::move(what)) {}
  bool done() const { return done_; }

 private:
  // It may make further calls, so that it must not be gone before it has returned.
  void happen() override {
    what_();
    done_ = true;
  }
  std::function<void()> what_;
  bool done_ = false;
};

// ---- the clock ------------------------------------------------------------------------------

SimulatedClock::SimulatedClock(uint64_t seed) : seed_(seed), rng_(seed) {}

SimulatedClock::~SimulatedClock() {
  calls_.clear();
  ASSERT(engines_.empty() && events_.empty());  // loops and their objects die before their clock
}

bool SimulatedClock::step() {
  ++steps_;
  ASSERT(++steps_at_this_instant_ < kMaxStepsPerInstant);
  if (hold_turns())
    return true;
  const Instant next = next_time();
  if (next == kNever) {
    ask_sleepers();
    return false;
  }
  advance_to(next);
  if (!events_.empty() && events_.begin()->first.first <= now_) {
    run_events();
    return true;
  }
  earliest_timer()->take_deadline();
  return true;
}

// One turn of each loop that has something to do, in the order of their creation.
bool SimulatedClock::hold_turns() {
  bool any = false;
  for (size_t i = 0; i < engines_.size(); ++i) {
    if (!engines_[i]->turn_is_due())
      continue;
    engines_[i]->hold_turn();
    any = true;
  }
  return any;
}

// Events of one instant share a turn or not, as chance decides, like sockets that become ready
// together.
void SimulatedClock::run_events() {
  do {
    SimulatedEvent* event = events_.begin()->second;
    event->cancel();
    note("event", static_cast<uint64_t>(now_.ns));
    event->happen();
  } while (!events_.empty() && events_.begin()->first.first <= now_ && rng_.chance(0.5));
}

SimulatedEngine* SimulatedClock::earliest_timer() const {
  SimulatedEngine* earliest = nullptr;
  for (SimulatedEngine* engine : engines_) {
    if (engine->deadline() == kNever)
      continue;
    if (earliest == nullptr || engine->deadline() < earliest->deadline())
      earliest = engine;
  }
  return earliest;
}

Instant SimulatedClock::next_time() const {
  for (const SimulatedEngine* engine : engines_) {
    if (engine->turn_is_due())
      return now_;
  }
  const SimulatedEngine* timer = earliest_timer();
  const Instant event = events_.empty() ? kNever : events_.begin()->first.first;
  const Instant next = timer != nullptr ? std::min(timer->deadline(), event) : event;
  return std::max(next, now_);
}

void SimulatedClock::advance_to(Instant when) {
  ASSERT(when >= now_);
  if (when == now_)
    return;
  ask_sleepers();
  now_ = when;
  for (SimulatedEngine* engine : engines_)
    engine->refresh_now();
  steps_at_this_instant_ = 0;
}

void SimulatedClock::ask_sleepers() {
  for (Sleeper& sleeper : sleepers_) {
    if (lost_wakes_.size() >= kMaxLostWakes)
      return;
    std::string missed = sleeper.could_progress();
    if (missed.empty())
      continue;
    lost_wakes_.push_back(std::to_string(now_.ns / 1000) + " us: " + missed);
  }
}

bool SimulatedClock::run_until_quiet(Duration limit) {
  const Instant end = now_ + limit;
  for (;;) {
    const Instant next = next_time();
    if (next != kNever && next > end)
      return false;
    if (!step())
      return true;
  }
}

void SimulatedClock::run_until(Instant when) {
  while (next_time() <= when && step()) {
  }
  advance_to(std::max(when, now_));
}

void SimulatedClock::after(Duration in, std::function<void()> what) {
  std::erase_if(calls_, [](const std::unique_ptr<Call>& call) { return call->done(); });
  calls_.push_back(std::make_unique<Call>(*this, std::move(what)));
  calls_.back()->schedule(now_ + in);
}

void SimulatedClock::note(std::string_view what, uint64_t number) {
  constexpr uint64_t kPrime = 0x100000001b3;
  for (const char c : what)
    trace_ = (trace_ ^ static_cast<unsigned char>(c)) * kPrime;
  for (int shift = 0; shift < 64; shift += 8)
    trace_ = (trace_ ^ (number >> shift & 0xff)) * kPrime;
}

}  // namespace tulle
