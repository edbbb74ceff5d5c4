#include "core/net/signal.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include "core/net/test_loop.hpp"

namespace tulle {
namespace {

class Owner : public Task {
 public:
  using Task::Task;
  int runs = 0;

 private:
  void run() override { ++runs; }
};

TEST(SignalWatch, IsAFlagAndAWake) {
  TestLoop test;
  Owner owner(test.loop);
  auto watch = watch_signal(test.loop, SIGUSR1, owner);
  EXPECT_FALSE(watch->take());
  raise(SIGUSR1);
  ASSERT_TRUE(test.run_until([&] { return owner.runs > 0; }));
  EXPECT_TRUE(watch->take());
  EXPECT_FALSE(watch->take());
  raise(SIGUSR1);
  EXPECT_TRUE(test.run_until([&] { return watch->take(); }));
}

TEST(SignalWatch, NothingIsHeardAfterDestruction) {
  TestLoop test;
  Owner owner(test.loop);
  auto other = watch_signal(test.loop, SIGUSR1, owner);  // keeps the signal from ending the process
  {
    Owner gone(test.loop);
    auto watch = watch_signal(test.loop, SIGUSR1, gone);
    raise(SIGUSR1);
  }
  EXPECT_TRUE(test.run_until([&] { return other->take(); }));
}

}  // namespace
}  // namespace tulle
