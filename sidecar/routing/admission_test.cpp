#include "sidecar/routing/admission.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "sidecar/config/snapshot.hpp"

namespace tulle::routing {
namespace {

TEST(Admission, RefusesAboveTheLimitAndForgetsNothing) {
  // On the heap: its cache-line alignment is more than the sanitizer gives to locals.
  const auto on_heap = std::make_unique<Admission>(Admission::Limits{
      .max_connections = 1, .max_pending_requests = 0, .max_requests = 2});
  Admission& admission = *on_heap;
  EXPECT_TRUE(admission.take_request());
  EXPECT_TRUE(admission.take_request());
  EXPECT_FALSE(admission.take_request());
  EXPECT_EQ(admission.requests(), 2u);
  admission.give_request();
  EXPECT_TRUE(admission.take_request());
  EXPECT_TRUE(admission.take_connection());
  EXPECT_FALSE(admission.take_connection());
  EXPECT_FALSE(admission.take_pending());
}

TEST(Admission, HoldsAcrossThreads) {
  const auto on_heap = std::make_unique<Admission>(Admission::Limits{.max_requests = 100});
  Admission& admission = *on_heap;
  std::atomic<int> granted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) granted += admission.take_request() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  // A refused taker steps back after it was counted, so two at the edge may both be refused; more
  // than the limit is never granted.
  EXPECT_LE(granted, 100);
  EXPECT_GE(granted, 97);
  EXPECT_EQ(admission.requests(), static_cast<uint32_t>(granted));
}

TEST(Admissions, OneClusterHasOneCountAndANewLimitCounts) {
  Admissions admissions;
  config::ClusterConfig cluster;
  cluster.name = "orders";
  auto first = admissions.of(cluster);
  first->set({.max_requests = 1});
  EXPECT_TRUE(first->take_request());
  auto second = admissions.of(cluster);
  second->set({.max_requests = 2});
  EXPECT_EQ(first, second);
  EXPECT_TRUE(second->take_request());
  EXPECT_FALSE(second->take_request());
}

TEST(Permits, AreGivenBackAtTheEndAtTheLatest) {
  const auto admission = std::make_unique<Admission>(Admission::Limits{.max_requests = 1});
  {
    Permits permits;
    EXPECT_TRUE(permits.take_request(*admission));
    EXPECT_TRUE(permits.take_retry(*admission, 1));
    EXPECT_FALSE(Permits().take_request(*admission));
    permits.give_retry();
    permits.give_retry();
    EXPECT_EQ(admission->retries(), 0u);
    EXPECT_TRUE(permits.take_retry(*admission, 1));
    EXPECT_FALSE(Permits().take_retry(*admission, 1));
  }
  EXPECT_EQ(admission->requests() + admission->retries(), 0u);
}

TEST(Admission, AnEjectionIsMarkedOnce) {
  const auto admission = std::make_unique<Admission>();
  const Address address = *Address::parse("10.0.0.1", 80);
  EXPECT_TRUE(admission->mark_ejected(address));
  EXPECT_FALSE(admission->mark_ejected(address));
  EXPECT_TRUE(admission->unmark_ejected(address));
  EXPECT_FALSE(admission->unmark_ejected(address));
}

}  // namespace
}  // namespace tulle::routing
