#include "core/net/resolver.hpp"

#include <gtest/gtest.h>

#include "core/net/task.hpp"
#include "core/net/test_loop.hpp"

namespace tulle {
namespace {

class Waiter final : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

TEST(Resolver, FindsTheHostsFileAndNumbers) {
  TestLoop test;
  Waiter waiter(test.loop);
  auto resolver = make_resolver(test.loop);
  ASSERT_TRUE(resolver) << resolver.error().detail;
  for (const char* host : {"localhost", "127.0.0.1"}) {
    const auto lookup = (*resolver)->look_up(host, 8080, waiter);
    ASSERT_TRUE(test.run_until([&] { return lookup->done(); })) << host;
    ASSERT_TRUE(lookup->outcome()) << lookup->outcome().error().detail;
    ASSERT_FALSE(lookup->outcome()->addresses.empty());
    EXPECT_TRUE(lookup->outcome()->addresses[0].is_loopback());
    EXPECT_EQ(lookup->outcome()->addresses[0].port(), 8080);
  }
}

TEST(Resolver, WhatCannotBeFoundIsAnError) {
  TestLoop test;
  Waiter waiter(test.loop);
  auto resolver = make_resolver(test.loop);
  ASSERT_TRUE(resolver);
  const auto lookup = (*resolver)->look_up("no such host.invalid", 80, waiter);
  ASSERT_TRUE(test.run_until([&] { return lookup->done(); }, 30s));
  EXPECT_FALSE(lookup->outcome());
}

TEST(Resolver, ALookupCanBeGivenUp) {
  TestLoop test;
  Waiter waiter(test.loop);
  auto resolver = make_resolver(test.loop);
  ASSERT_TRUE(resolver);
  auto dropped = (*resolver)->look_up("host.invalid", 80, waiter);
  dropped.reset();
  const auto kept = (*resolver)->look_up("localhost", 80, waiter);
  ASSERT_TRUE(test.run_until([&] { return kept->done(); }));
}

TEST(Resolver, ItsEndAnswersEverything) {
  TestLoop test;
  Waiter waiter(test.loop);
  auto resolver = make_resolver(test.loop);
  ASSERT_TRUE(resolver);
  const auto lookup = (*resolver)->look_up("host.invalid", 80, waiter);
  resolver->reset();
  EXPECT_TRUE(lookup->done());
}

}  // namespace
}  // namespace tulle
