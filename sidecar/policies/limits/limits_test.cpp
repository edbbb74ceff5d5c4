#include "sidecar/policies/policy_bench_test.hpp"

namespace tulle::policies::testing {
namespace {

Json thresholds(Json members) { return {{"circuit_breakers", {{"thresholds", {std::move(members)}}}}}; }

TEST(LimitsPolicy, MoreRequestsThanAllowedAreAnsweredAtOnce) {
  PolicyBench bench({.cluster = thresholds({{"max_requests", 1}})});
  bench.all({.after = 100ms});
  Heard& first = bench.ask(PolicyBench::request(Method::get));
  EXPECT_TRUE(bench.clock.run_while_not([&] { return bench.hits() == 1; }));
  Heard& second = bench.get();
  EXPECT_EQ(status_of(second), 503);
  EXPECT_EQ(error_of(second), "circuit_open");
  EXPECT_EQ(status_of(bench.finish(first)), 200);
  EXPECT_EQ(status_of(bench.get()), 200);
  EXPECT_EQ(bench.stat("tulle_limit_reached_total", {{"cluster", "app"}, {"limit", "requests"}}), 1);
}

TEST(LimitsPolicy, WhatCannotWaitForAConnectionIsNotTriedAgain) {
  PolicyBench bench({.route = {{"retry_policy", {{"retry_on", "5xx,connect-failure"}}}},
                     .cluster = thresholds({{"max_connections", 1}, {"max_pending_requests", 1}}),
                     .instances = 1});
  bench.all({.after = 100ms});
  std::vector<Heard*> heard;
  for (int i = 0; i < 3; ++i) heard.push_back(&bench.ask(PolicyBench::request(Method::get)));
  int overloaded = 0;
  for (Heard* one : heard) overloaded += error_of(bench.finish(*one)) == "overloaded" ? 1 : 0;
  EXPECT_GE(overloaded, 1);
  EXPECT_EQ(bench.stat("tulle_retries_total"), 0);
  EXPECT_EQ(bench.stat("tulle_limit_reached_total",
                       {{"cluster", "app"}, {"limit", "pending_requests"}}),
            overloaded);
}

TEST(LimitsPolicy, ANewLimitHoldsForWhatRuns) {
  PolicyBench bench({});
  bench.all({.after = 100ms});
  Heard& first = bench.ask(PolicyBench::request(Method::get));
  EXPECT_TRUE(bench.clock.run_while_not([&] { return bench.hits() == 1; }));
  bench.adopt(Json::object(), thresholds({{"max_requests", 1}}));
  EXPECT_EQ(error_of(bench.get()), "circuit_open");
  EXPECT_EQ(status_of(bench.finish(first)), 200);
}

}  // namespace
}  // namespace tulle::policies::testing
