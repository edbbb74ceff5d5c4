// What a turn costs: waking, running, flushing, timers and mail, in nanoseconds.
//
//   cmake --build build/release --target bench_turn_cost
//   build/release/bin/bench_turn_cost
//
// Each row is the best of five rounds, so that what else the machine does counts little.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "core/base/clock.hpp"
#include "core/net/loop.hpp"
#include "core/net/timer.hpp"

namespace tulle {
namespace {

constexpr int kRounds = 5;

class Idle : public Task {
 public:
  using Task::Task;
  Timer timer{*this};

 private:
  void run() override {}
};

class Dirty : public Flusher {
 public:
  using Flusher::Flusher;

 private:
  void flush() override {}
};

class Letter : public Message {
 public:
  void deliver() override {}
};

template <class Work>
void measure(const char* name, const char* unit, int64_t units, Work work) {
  Duration best = Duration::max();
  for (int round = 0; round < kRounds; ++round) {
    const Instant start = monotonic_now();
    work();
    best = std::min(best, monotonic_now() - start);
  }
  std::printf("%-44s %8.1f ns per %s\n", name,
              static_cast<double>(best.count()) / static_cast<double>(units), unit);
}

void turns(Loop& loop) {
  constexpr int kTurns = 200'000;
  measure("a turn with nothing to do", "turn", kTurns, [&] {
    for (int i = 0; i < kTurns; ++i) loop.turn();
  });
  for (const int tasks : {1, 10, 1000}) {
    std::vector<std::unique_ptr<Idle>> woken;
    for (int i = 0; i < tasks; ++i) woken.push_back(std::make_unique<Idle>(loop));
    const int repeat = 2'000'000 / tasks / (tasks == 1 ? 4 : 1);
    char name[64];
    std::snprintf(name, sizeof(name), "wake and run, %d tasks a turn", tasks);
    measure(name, "task", int64_t{repeat} * tasks, [&] {
      for (int i = 0; i < repeat; ++i) {
        for (auto& task : woken) task->wake();
        loop.turn();
      }
    });
  }
  {
    std::vector<std::unique_ptr<Dirty>> dirty;
    for (int i = 0; i < 100; ++i) {
      dirty.push_back(std::make_unique<Dirty>(loop, Flusher::Stage::write));
    }
    measure("flush, 100 flushers a turn", "flusher", 20'000 * 100, [&] {
      for (int i = 0; i < 20'000; ++i) {
        for (auto& flusher : dirty) flusher->flush_later();
        loop.turn();
      }
    });
  }
  Idle again(loop);
  constexpr int kWakes = 20'000'000;
  measure("wake of a task that is awake", "wake", kWakes, [&] {
    for (int i = 0; i < kWakes; ++i) {
      again.wake();
      asm volatile("" ::: "memory");
    }
  });
  loop.turn();
}

void timers(Loop& loop) {
  constexpr int kArms = 5'000'000;
  Idle one(loop);
  one.timer.arm(15s);
  measure("timer: deadline moved later (lazy)", "arm", kArms, [&] {
    for (int i = 0; i < kArms; ++i) one.timer.arm(15s + Duration(i));
  });
  measure("timer: arm and disarm", "pair", kArms, [&] {
    for (int i = 0; i < kArms; ++i) {
      one.timer.arm(Duration(1'000'000 + (i & 1023) * 1'000'000));
      one.timer.disarm();
    }
  });
  std::vector<std::unique_ptr<Idle>> many;
  for (int i = 0; i < 10'000; ++i) many.push_back(std::make_unique<Idle>(loop));
  measure("timer: arm 10,000, fire and run", "timer", 10'000 * 20, [&] {
    for (int round = 0; round < 20; ++round) {
      loop.refresh_now();
      for (auto& task : many) task->timer.arm(0ns);
      // Includes waiting for the millisecond that the deadlines were rounded up to: 50 ns a timer.
      do {
        loop.refresh_now();
        loop.turn();
      } while (std::any_of(many.begin(), many.end(), [](auto& t) { return t->timer.armed(); }) ||
               !loop.idle());
    }
  });
  for (auto& task : many) task->timer.arm(15s);
  measure("a turn with nothing to do, 10,000 timers", "turn", 200'000, [&] {
    for (int i = 0; i < 200'000; ++i) loop.turn();
  });
}

void mail(Loop& loop) {
  constexpr int kLetters = 200'000;
  measure("mail: post and deliver, 10 letters a turn", "letter", kLetters, [&] {
    for (int i = 0; i < kLetters / 10; ++i) {
      for (int k = 0; k < 10; ++k) loop.post(std::make_unique<Letter>());
      loop.turn();
    }
  });
  measure("reading the clock", "reading", 1'000'000, [&] {
    for (int i = 0; i < 1'000'000; ++i) loop.refresh_now();
  });
}

}  // namespace
}  // namespace tulle

int main() {
  tulle::Loop loop(tulle::make_uv_engine());
  tulle::turns(loop);
  tulle::timers(loop);
  tulle::mail(loop);
}
