// The simulated clock and its engines: time, order, mail, and the search for lost wakes.
#include "core/net/simulated_engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/net/timer.hpp"

namespace tulle {
namespace {

using ::testing::HasSubstr;

class Alarm final : public Task {
 public:
  explicit Alarm(Loop& loop) : Task(loop) {}
  Timer timer{*this};
  std::vector<int64_t> fired_ms;

 private:
  void run() override {
    if (timer.fired())
      fired_ms.push_back(loop_.now().ns / 1'000'000);
  }
};

TEST(SimulatedEngine, TimersFireAtTheirVirtualTime) {
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  Alarm alarm(loop);
  alarm.timer.arm(std::chrono::hours(24));
  EXPECT_FALSE(clock.run_until_quiet(std::chrono::hours(1)));
  clock.run_until(Instant{0} + std::chrono::hours(23));
  EXPECT_TRUE(alarm.fired_ms.empty());
  EXPECT_TRUE(clock.run_until_quiet());
  EXPECT_EQ(alarm.fired_ms, std::vector<int64_t>{86'400'000});
}

TEST(SimulatedEngine, EventsKeepTheirOrderAndMayScheduleMore) {
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  std::string order;
  clock.after(2ms, [&] { order += 'c'; });
  clock.after(1ms, [&] {
    order += 'a';
    clock.after(0ms, [&] { order += 'b'; });
    clock.after(9ms, [&] { order += 'd'; });
  });
  EXPECT_TRUE(clock.run_until_quiet());
  EXPECT_EQ(order, "abcd");
  EXPECT_EQ(clock.now().ns, Duration(10ms).count());
}

TEST(SimulatedEngine, LoopRunEndsWhenQuietOrStopped) {
  SimulatedClock clock;
  Loop loop(make_simulated_engine(clock));
  Alarm alarm(loop);
  alarm.timer.arm(5ms);
  clock.after(7ms, [&] { loop.stop(); });
  clock.after(9ms, [] {});
  loop.run();
  EXPECT_EQ(alarm.fired_ms, std::vector<int64_t>{5});
  EXPECT_EQ(clock.now().ns, Duration(7ms).count());
  loop.run();
  EXPECT_EQ(clock.now().ns, Duration(9ms).count());
}

TEST(SimulatedEngine, TwoLoopsShareTheTimeAndSendMail) {
  class Mail final : public Message {
   public:
    explicit Mail(int& count) : count_(count) {}
    void deliver() override { ++count_; }

   private:
    int& count_;
  };
  SimulatedClock clock;
  SimulatedLoop first(clock);
  SimulatedLoop second(clock);
  Alarm one(first);
  Alarm two(second);
  one.timer.arm(5ms);
  two.timer.arm(3ms);
  int delivered = 0;
  clock.after(4ms, [&] { second.post(std::make_unique<Mail>(delivered)); });
  EXPECT_TRUE(clock.run_until_quiet());
  EXPECT_EQ(one.fired_ms, std::vector<int64_t>{5});
  EXPECT_EQ(two.fired_ms, std::vector<int64_t>{3});
  EXPECT_EQ(delivered, 1);
}

TEST(SimulatedEngine, SleepersThatCouldGoOnAreReported) {
  class Forgotten final : public Sleeper {
   public:
    using Sleeper::Sleeper;
    std::string could_progress() const override { return missed; }
    std::string missed;
  };
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  Forgotten sleeper(clock);
  clock.run_for(1ms);
  EXPECT_TRUE(clock.lost_wakes().empty());
  sleeper.missed = "exchange 3 has a response and a free client";
  clock.run_for(1ms);
  ASSERT_FALSE(clock.lost_wakes().empty());
  EXPECT_THAT(clock.lost_wakes().front(), HasSubstr("1000 us: exchange 3"));
}

}  // namespace
}  // namespace tulle
