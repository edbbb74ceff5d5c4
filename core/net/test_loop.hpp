// TestLoop: a libuv loop with a network, and waiting for a condition with a bound. For unit tests.
#pragma once

#include <functional>

#include "core/net/loop.hpp"
#include "core/net/network.hpp"
#include "core/net/timer.hpp"

namespace tulle {

class TestLoop {
 public:
  Loop loop{make_uv_engine()};
  std::unique_ptr<Network> network = make_uv_network(loop);

  // Runs the loop until the condition holds. False: it did not within the bound.
  bool run_until(const std::function<bool()>& condition, Duration bound = 10s) {
    Watcher watcher(loop, condition, bound);
    loop.run();
    return watcher.held;
  }
  // Runs this many turns that had nothing to wait for, for "and nothing else happens".
  void settle() {
    int left = 3;
    run_until([&] { return left-- <= 0; });
  }

 private:
  class Watcher : private Task {
   public:
    Watcher(Loop& on, const std::function<bool()>& condition, Duration bound)
        : Task(on), condition_(condition) {
      on.refresh_now();
      bound_.arm(bound);
      again_.arm(0ns);
    }
    bool held = false;

   private:
    void run() override {
      held = condition_();
      if (held || bound_.fired()) return loop_.stop();
      again_.arm(1ms);
    }
    const std::function<bool()>& condition_;
    Timer bound_{*this};
    Timer again_{*this};
  };
};

}  // namespace tulle
