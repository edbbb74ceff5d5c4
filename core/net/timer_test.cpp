// TimerWheel against a naive model, with a clock that the test moves.
#include "core/net/timer.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/rng.hpp"
#include "core/net/loop.hpp"

namespace tulle {
namespace {

struct ManualEngine : Engine {
  void run(Loop&) override {}
  Instant now() override { return *clock; }
  void wake_at(Instant when) override {
    set_to = when;
    ++sets;
  }
  void poll_without_waiting() override {}
  void interrupt() override {}
  void stop() override {}
  explicit ManualEngine(Instant* at) : clock(at) {}
  Instant* clock;
  Instant set_to = kNever;
  int sets = 0;
};

class Owner : public Task {
 public:
  using Task::Task;
  int runs = 0;
  Timer timer{*this};

 private:
  void run() override { ++runs; }
};

class TimerTest : public testing::Test {
 protected:
  // Where it starts must not matter: real clocks start anywhere.
  explicit TimerTest(Instant start = {123'456'789'012'345})
      : clock(start), engine(new ManualEngine(&clock)), loop(std::unique_ptr<Engine>(engine)) {}
  void turn_at(Instant when) {
    clock = when;
    loop.refresh_now();
    loop.turn();
  }
  void turn_after(Duration by) { turn_at(clock + by); }

  Instant clock;
  ManualEngine* engine;
  Loop loop;
};

TEST_F(TimerTest, FiresOnceAndNeverEarly) {
  Owner owner(loop);
  owner.timer.arm(5ms);
  EXPECT_TRUE(owner.timer.armed());
  turn_after(4999999ns);
  EXPECT_FALSE(owner.timer.fired());
  turn_after(1ms);
  EXPECT_TRUE(owner.timer.fired());
  EXPECT_FALSE(owner.timer.armed());
  EXPECT_EQ(owner.runs, 1);
  turn_after(1h);
  EXPECT_EQ(owner.runs, 1);
}

TEST_F(TimerTest, ZeroFiresInTheNextTurn) {
  Owner owner(loop);
  turn_after(0ns);
  owner.timer.arm(0ns);
  turn_after(0ns);
  // Rounded up to the next millisecond, unless the clock stands on one.
  turn_after(1ms);
  EXPECT_TRUE(owner.timer.fired());
}

TEST_F(TimerTest, ArmAndDisarmClearTheFlag) {
  Owner owner(loop);
  owner.timer.arm(1ms);
  turn_after(2ms);
  ASSERT_TRUE(owner.timer.fired());
  owner.timer.arm(1ms);
  EXPECT_FALSE(owner.timer.fired());
  turn_after(2ms);
  ASSERT_TRUE(owner.timer.fired());
  owner.timer.disarm();
  EXPECT_FALSE(owner.timer.fired());
  owner.timer.arm(1ms);
  owner.timer.disarm();
  turn_after(1h);
  EXPECT_EQ(owner.runs, 2);
}

TEST_F(TimerTest, AnEndlessDurationIsNoTimer) {
  Owner owner(loop);
  owner.timer.arm(Duration::max());
  EXPECT_FALSE(owner.timer.armed());
  owner.timer.arm_at(kNever);
  EXPECT_FALSE(owner.timer.armed());
  EXPECT_EQ(loop.timers().next_deadline(), kNever);
}

TEST_F(TimerTest, DeadlinesOfYearsWork) {
  Owner year(loop), lifetime(loop);
  year.timer.arm(24h * 365);
  lifetime.timer.arm(24h * 365 * 200);  // past the reach of the wheel
  for (int i = 0; i < 364; ++i) turn_after(24h);
  EXPECT_FALSE(year.timer.fired());
  turn_after(25h);
  EXPECT_TRUE(year.timer.fired());
  turn_after(24h * 365 * 100);
  EXPECT_FALSE(lifetime.timer.fired());
  EXPECT_GT(engine->set_to, clock);
}

TEST_F(TimerTest, ADeadlineMovedLaterCostsNoWake) {
  Owner owner(loop);
  owner.timer.arm(100ms);
  turn_after(0ns);
  const int sets = engine->sets;
  for (int i = 0; i < 50; ++i) {
    owner.timer.arm(100ms);
    turn_after(1ms);
  }
  EXPECT_EQ(engine->sets, sets);  // the engine's timer stays where it was
  turn_after(60ms);
  EXPECT_FALSE(owner.timer.fired());
  turn_after(100ms);
  EXPECT_TRUE(owner.timer.fired());
}

TEST_F(TimerTest, TheEngineIsOnlyMovedToEarlierTimes) {
  Owner a(loop), b(loop);
  a.timer.arm(50ms);
  turn_after(0ns);
  EXPECT_EQ(engine->sets, 1);
  b.timer.arm(80ms);
  turn_after(0ns);
  EXPECT_EQ(engine->sets, 1);
  b.timer.arm(10ms);
  turn_after(0ns);
  EXPECT_EQ(engine->sets, 2);
  b.timer.disarm();
  turn_after(0ns);
  EXPECT_EQ(engine->sets, 2);
  turn_at(engine->set_to);  // in vain, and then where a wants it
  EXPECT_EQ(engine->sets, 3);
  EXPECT_GE(engine->set_to, a.timer.deadline());
  EXPECT_LT(engine->set_to, a.timer.deadline() + 1ms);
}

// Sleeping from deadline to deadline, as an idle process does: one wake-up per timer, however far.
TEST_F(TimerTest, ALongDeadlineCostsOneWake) {
  for (const Duration wait : {Duration(3ms), Duration(777ms), Duration(15s), Duration(1h)}) {
    Owner owner(loop);
    owner.timer.arm(wait);
    turn_after(0ns);
    int wakes = 0;
    while (!owner.timer.fired() && wakes < 10) {
      turn_at(engine->set_to);
      ++wakes;
    }
    EXPECT_EQ(wakes, 1) << wait.count();
  }
}

TEST_F(TimerTest, DiesWithItsOwner) {
  auto owner = std::make_unique<Owner>(loop);
  owner->timer.arm(1ms);
  auto fired = std::make_unique<Owner>(loop);
  fired->timer.arm(1ms);
  owner = nullptr;
  turn_after(5ms);
  EXPECT_EQ(fired->runs, 1);
}

// Not a timer's test, but it needs this clock: what a burst took goes back after quiet seconds.
TEST_F(TimerTest, PooledMemoryGoesBackWhenTheLoopIsIdle) {
  Owner owner(loop);
  { Bytes burst(std::string(2'000'000, 'x')); }
  owner.wake();
  turn_after(1ms);
  EXPECT_GT(chunk_pool_stats().bytes_pooled, 1'900'000u);
  ASSERT_NE(engine->set_to, kNever);
  // Busy meanwhile: kept.
  for (int i = 0; i < 200; ++i) {
    owner.wake();
    turn_after(1ms);
  }
  turn_at(engine->set_to);
  EXPECT_GT(chunk_pool_stats().bytes_pooled, 1'900'000u);
  turn_at(engine->set_to);
  EXPECT_LE(chunk_pool_stats().bytes_pooled, 100'000u);
  const int sets = engine->sets;
  turn_after(1h);
  EXPECT_EQ(engine->sets, sets);  // and nothing to wake for any more
}

// A deadline and how late it was noticed.
class Due : public Task {
 public:
  using Task::Task;
  Timer timer{*this};
  Instant at{};
  std::optional<Duration> late;

 private:
  void run() override {
    if (timer.fired()) late = loop_.now() - at;
    timer.disarm();
  }
};

// As many requests as that, each with a deadline of its own within a minute.
TEST_F(TimerTest, AMillionDeadlinesDoNotDrift) {
  constexpr int kTimers = 1'000'000;
  Rng rng(7);
  std::deque<Due> all;
  for (int i = 0; i < kTimers; ++i) {
    Due& due = all.emplace_back(loop);
    const Duration wait{static_cast<int64_t>(rng.below(60'000'000'000))};
    due.at = loop.now() + wait;
    due.timer.arm(wait);
  }
  int turns = 0;
  while (loop.timers().next_deadline() != kNever) {
    turn_at(std::max(clock, loop.timers().next_deadline()));
    ++turns;
  }
  EXPECT_LE(turns, 62'000);  // one a millisecond: what is due together is noticed together
  Duration latest{};
  for (const Due& due : all) {
    ASSERT_TRUE(due.late);
    ASSERT_GE(*due.late, 0ns);
    latest = std::max(latest, *due.late);
  }
  EXPECT_LE(latest, 2ms);
}

// Thousands of random operations on many timers. After each step: whatever is due by the model has
// fired, nothing else has, and next_deadline() is not later than the model's earliest deadline.
struct RandomTimers : TimerTest, testing::WithParamInterface<uint64_t> {
  RandomTimers() : TimerTest({static_cast<int64_t>(GetParam() * 1'234'567)}) {}

  using Owners = std::deque<std::unique_ptr<Owner>>;
  using Model = std::vector<std::optional<Instant>>;
  // After a turn nothing may be a millisecond overdue; that much later is what the wheel promises.
  void compare(Owners& owners, Model& model, std::vector<int>& fired, bool after_turn) {
    Instant earliest = kNever;
    for (size_t k = 0; k < model.size(); ++k) {
      if (!model[k]) continue;
      if (!owners[k]->timer.armed()) {
        ASSERT_LE(*model[k], clock);
        ASSERT_TRUE(owners[k]->timer.fired());
        ASSERT_EQ(owners[k]->runs, ++fired[k]);
        model[k].reset();
        continue;
      }
      ASSERT_TRUE(!after_turn || *model[k] + 1ms > clock);
      earliest = std::min(earliest, *model[k] + 1ms);
    }
    ASSERT_LE(loop.timers().next_deadline(), earliest);
  }
};

TEST_P(RandomTimers, AgreesWithTheModel) {
  Rng rng(GetParam());
  Owners owners;
  Model model(200);
  std::vector<int> fired(200, 0);
  for (size_t i = 0; i < model.size(); ++i) owners.push_back(std::make_unique<Owner>(loop));
  const auto random_wait = [&] {
    // All scales alike, from below a tick to weeks.
    const int bits = static_cast<int>(rng.below(51));
    return Duration(static_cast<int64_t>(rng.below(uint64_t{1} << bits)));
  };
  for (int step = 0; step < 30'000; ++step) {
    const size_t i = rng.below(model.size());
    switch (rng.below(8)) {
      case 0: case 1: case 2: {
        const Duration wait = random_wait();
        owners[i]->timer.arm(wait);
        model[i] = loop.now() + wait;
        break;
      }
      case 3:
        owners[i]->timer.disarm();
        model[i].reset();
        break;
      case 4:
        owners[i] = std::make_unique<Owner>(loop);
        model[i].reset();
        fired[i] = 0;
        break;
      case 5:  // sleep as the loop would
        if (loop.timers().next_deadline() != kNever) {
          turn_at(std::max(clock, loop.timers().next_deadline()));
        }
        break;
      default:
        turn_after(random_wait() / 8);
    }
    compare(owners, model, fired, false);
    if (HasFatalFailure()) return;
    if (step % 2 == 0) continue;
    turn_after(0ns);
    compare(owners, model, fired, true);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTimers, testing::Range<uint64_t>(1, 7));

}  // namespace
}  // namespace tulle
