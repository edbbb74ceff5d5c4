// Turns: order, budget, fairness, mail, cells and the spin guard, on the libuv engine.
#include "core/net/loop.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>

#include "core/net/test_loop.hpp"

namespace tulle {
namespace {

class Step : public Task {
 public:
  Step(Loop& loop, std::function<void(Step&)> what) : Task(loop), what_(std::move(what)) {}
  int runs = 0;

 private:
  void run() override {
    ++runs;
    what_(*this);
  }
  std::function<void(Step&)> what_;
};

class Flush : public Flusher {
 public:
  Flush(Loop& loop, Stage stage, std::function<void(Flush&)> what)
      : Flusher(loop, stage), what_(std::move(what)) {}
  int flushes = 0;

 private:
  void flush() override {
    ++flushes;
    what_(*this);
  }
  std::function<void(Flush&)> what_;
};

class Mail : public Message {
 public:
  explicit Mail(std::function<void()> what) : what_(std::move(what)) {}
  void deliver() override { what_(); }

 private:
  std::function<void()> what_;
};

void post(Loop& loop, std::function<void()> what) {
  loop.post(std::make_unique<Mail>(std::move(what)));
}

TEST(Loop, ATurnIsWorkThenFramesThenWorkThenOneWrite) {
  TestLoop test;
  std::string order;
  Flush write(test.loop, Flusher::Stage::write, [&](Flush&) { order += 'w'; });
  Step reader(test.loop, [&](Step&) { order += 'r'; });
  Flush frame(test.loop, Flusher::Stage::frame, [&](Flush&) {
    order += 'f';
    if (order.size() < 6) reader.wake();  // room again
    write.flush_later();
  });
  Step producer(test.loop, [&](Step&) {
    order += 'p';
    frame.flush_later();
    frame.flush_later();
  });
  producer.wake();
  producer.wake();
  test.loop.turn();
  EXPECT_EQ(order, "pfrw");
  EXPECT_TRUE(test.loop.idle());
}

TEST(Loop, ATaskMayWakeItselfAndOthersAndDestroyOthers) {
  TestLoop test;
  auto victim = std::make_unique<Step>(test.loop, [](Step&) { FAIL(); });
  Step killer(test.loop, [&](Step& self) {
    victim = nullptr;
    if (self.runs < 3) self.wake();
  });
  killer.wake();
  victim->wake();
  test.loop.turn();
  EXPECT_EQ(killer.runs, 3);
}

TEST(Loop, DeferredWorkComesAfterPolling) {
  TestLoop test;
  std::vector<uint32_t> turns;
  Step step(test.loop, [&](Step& self) {
    turns.push_back(test.loop.turn_number());
    if (self.runs < 5) {
      self.defer();
      self.wake();  // does not bring it forward
    }
  });
  step.wake();
  ASSERT_TRUE(test.run_until([&] { return step.runs == 5; }));
  for (size_t i = 1; i < turns.size(); ++i) EXPECT_NE(turns[i], turns[i - 1]);
}

TEST(Loop, DeferOutsideATurnEndsTheWait) {
  TestLoop test;
  Step stop(test.loop, [&](Step& self) { self.loop().stop(); });
  stop.defer();
  test.loop.run();
  EXPECT_EQ(stop.runs, 1);
}

// Endless work must neither starve sockets nor timers, and what it produces goes out.
TEST(Loop, ABudgetEndsATurnAndPollingGoesOn) {
  TestLoop test;
  test.loop.set_spin(Loop::Spin::defer);
  Flush write(test.loop, Flusher::Stage::write, [](Flush&) {});
  std::vector<std::unique_ptr<Step>> busy;
  for (int i = 0; i < 5; ++i) {
    busy.push_back(std::make_unique<Step>(test.loop, [&](Step& self) {
      write.flush_later();
      self.wake();
    }));
    busy.back()->wake();
  }
  auto acceptor = test.network->listen(*Address::parse("127.0.0.1", 0), {}, *busy[0]);
  ASSERT_TRUE(acceptor);
  auto client = test.network->connect((*acceptor)->local_address());
  EXPECT_TRUE(test.run_until([&] { return (*acceptor)->accept() != nullptr; }));
  EXPECT_GT(test.loop.counters().full_turns, 1u);
  EXPECT_GT(write.flushes, 1);
  EXPECT_LE(static_cast<uint64_t>(write.flushes), test.loop.counters().turns);
}

// So many reads, or so many bytes, are followed by a turn at once.
TEST(Loop, ReadsHoldTurns) {
  TestLoop test;
  Step step(test.loop, [](Step&) {});
  const auto reads_until_run = [&](size_t bytes) {
    const int before = step.runs;
    step.wake();
    int reads = 0;
    while (step.runs == before && ++reads < 1000) test.loop.count_read(bytes);
    return reads;
  };
  EXPECT_EQ(reads_until_run(100), 64);
  EXPECT_EQ(reads_until_run(64 * 1024), 4);
  EXPECT_EQ(reads_until_run(0), 64);
}

// ... and so are many requests in few reads: a burst is not held whole before the first is looked at.
TEST(Loop, RequestsHoldTurns) {
  TestLoop test;
  Step step(test.loop, [](Step&) {});
  step.wake();
  test.loop.count_requests(100);
  test.loop.count_read(2000);
  EXPECT_EQ(step.runs, 0);
  test.loop.count_requests(28);
  test.loop.count_read(500);
  EXPECT_EQ(step.runs, 1);
}

TEST(Loop, FlushersThatNeverRestDoNotHang) {
  TestLoop test;
  Flush frame(test.loop, Flusher::Stage::frame, [](Flush& self) { self.flush_later(); });
  Flush write(test.loop, Flusher::Stage::write, [](Flush& self) { self.flush_later(); });
  frame.flush_later();
  write.flush_later();
  test.loop.turn();
  EXPECT_FALSE(test.loop.idle());
  test.settle();
  EXPECT_GT(frame.flushes, 4);
}

TEST(Loop, ASpinningTaskIsDeferredInRelease) {
  TestLoop test;
  test.loop.set_spin(Loop::Spin::defer);
  Step spin(test.loop, [](Step& self) { self.wake(); });
  spin.wake();
  test.loop.turn();
  EXPECT_EQ(spin.runs, 999);
  test.loop.turn();
  EXPECT_EQ(spin.runs, 2 * 999);
}

TEST(LoopDeathTest, ASpinningTaskAbortsWhereTestsRun) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        TestLoop test;
        test.loop.set_spin(Loop::Spin::abort);
        Step spin(test.loop, [](Step& self) { self.wake(); });
        spin.wake();
        test.loop.turn();
      },
      "a task spins.*Step");
}

TEST(Loop, HandshakeStepsAreRationedPerTurn) {
  TestLoop test;
  int in_turn = 0;
  uint32_t turn = 0;
  std::vector<std::unique_ptr<Step>> handshakes;
  int done = 0;
  for (int i = 0; i < 20; ++i) {
    handshakes.push_back(std::make_unique<Step>(test.loop, [&](Step& self) {
      if (turn != test.loop.turn_number()) in_turn = 0;
      turn = test.loop.turn_number();
      if (!test.loop.take_handshake_step()) return self.defer();
      EXPECT_LE(++in_turn, 2);
      ++done;
    }));
    handshakes.back()->wake();
  }
  EXPECT_TRUE(test.run_until([&] { return done == 20; }));
}

TEST(Loop, MailComesInOrderFromOtherThreads) {
  TestLoop test;
  std::vector<int> got;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) post(test.loop, [&got, i] { got.push_back(i); });
    test.loop.stop_from_anywhere();
  });
  test.loop.run();
  other.join();
  ASSERT_EQ(got.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(got[static_cast<size_t>(i)], i);
}

TEST(Loop, MailFromManyThreadsArrives) {
  TestLoop test;
  int got = 0;
  std::vector<std::thread> others;
  for (int t = 0; t < 4; ++t) {
    others.emplace_back([&] {
      for (int i = 0; i < 500; ++i) post(test.loop, [&] { ++got; });
    });
  }
  EXPECT_TRUE(test.run_until([&] { return got == 2000; }));
  for (auto& thread : others) thread.join();
}

TEST(Loop, MailAfterTheEndIsDropped) {
  auto owned = std::make_shared<int>(1);
  {
    TestLoop test;
    post(test.loop, [owned] { FAIL(); });
  }
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(Loop, AnIdleLoopDoesNotWake) {
  TestLoop test;
  Step tick(test.loop, [](Step&) {});
  test.settle();
  const uint32_t before = test.loop.turn_number();
  std::thread later([&] {
    const Instant until = monotonic_now() + 100ms;
    while (monotonic_now() < until) std::this_thread::yield();
    test.loop.stop_from_anywhere();
  });
  test.loop.run();
  later.join();
  EXPECT_LE(test.loop.turn_number() - before, 5u);
}

TEST(Loop, TimersFireOnTheRealClockAndNeverEarly) {
  TestLoop test;
  for (const Duration wait : {Duration(0), Duration(1'500'000), Duration(20ms)}) {
    struct Sleeper : Task {
      explicit Sleeper(Loop& loop) : Task(loop) {}
      void run() override { loop_.stop(); }
      Timer timer{*this};
    } sleeper(test.loop);
    test.loop.refresh_now();
    const Instant start = monotonic_now();
    sleeper.timer.arm(wait);
    test.loop.run();
    EXPECT_TRUE(sleeper.timer.fired());
    EXPECT_GE(monotonic_now(), start + wait);
  }
}

// The time that a read callback sees is that of its poll, not of the last turn.
TEST(Loop, NowIsFreshInCallbacks) {
  TestLoop test;
  struct Reader : ByteStream::Reader {
    explicit Reader(Loop& l) : loop(l) {}
    virtual ~Reader() = default;
    void on_bytes(ByteView) override { seen = loop.now(); }
    void on_end(std::optional<Error>) override {}
    Loop& loop;
    Instant seen;
  } reader(test.loop);
  Step owner(test.loop, [](Step&) {});
  auto acceptor = test.network->listen(*Address::parse("127.0.0.1", 0), {}, owner);
  ASSERT_TRUE(acceptor);
  auto client = test.network->connect((*acceptor)->local_address());
  std::unique_ptr<ByteStream> server;
  ASSERT_TRUE(test.run_until([&] { return (server = (*acceptor)->accept()) != nullptr; }));
  server->start(reader);
  test.settle();
  Instant sent;
  std::thread later([&] {
    const Instant until = monotonic_now() + 30ms;
    while (monotonic_now() < until) std::this_thread::yield();
    post(test.loop, [&] {
      sent = monotonic_now();
      client->write(Bytes("x"));
    });
  });
  EXPECT_TRUE(test.run_until([&] { return reader.seen.ns != 0; }));
  later.join();
  EXPECT_GE(reader.seen, sent);
}

}  // namespace
}  // namespace tulle
