#include "sidecar/policies/retry_budget/retry_budget.hpp"

#include "sidecar/policies/policy_bench_test.hpp"

namespace tulle::policies::testing {
namespace {

const Json kRetries = {
    {"retry_policy", {{"retry_on", "5xx"}, {"num_retries", 2}}}};

Json thresholds(Json members) { return {{"circuit_breakers", {{"thresholds", {std::move(members)}}}}}; }

TEST(RetryBudgetConfig, IsAShareWithAFloorOrANumber) {
  retry_budget::Config config;
  EXPECT_EQ(config.most(0), 3u);
  EXPECT_EQ(config.most(15), 3u);
  EXPECT_EQ(config.most(100), 20u);
  config.fixed = 7;
  EXPECT_EQ(config.most(1000), 7u);
}

TEST(RetryBudget, BoundsWhatFailingRequestsCost) {
  PolicyBench bench({.route = kRetries});
  bench.all({.status = 503, .after = 50ms});
  std::vector<Heard*> heard;
  for (int i = 0; i < 100; ++i) heard.push_back(&bench.ask(PolicyBench::request(Method::get)));
  for (Heard* one : heard) EXPECT_EQ(status_of(bench.finish(*one)), 503);
  // A fifth of 100 at first; the second retries come when fewer run.
  EXPECT_GT(bench.hits(), 100u);
  EXPECT_LE(bench.hits(), 100u + 20u + 20u);
  EXPECT_EQ(bench.stat("tulle_retries_total"), static_cast<int64_t>(bench.hits()) - 100);
  EXPECT_GE(bench.stat("tulle_retries_refused_total"), 80);
  EXPECT_EQ(bench.admission->retries(), 0u);
}

TEST(RetryBudget, MayAllowNone) {
  PolicyBench bench({.route = kRetries, .cluster = thresholds({{"max_retries", 0}})});
  bench.all(Answer::of(503));
  EXPECT_EQ(status_of(bench.get()), 503);
  EXPECT_EQ(bench.hits(), 1u);
}

TEST(RetryBudget, TheBudgetReplacesTheNumber) {
  PolicyBench bench(
      {.route = kRetries,
       .cluster = thresholds({{"max_retries", 0}, {"retry_budget", {{"min_retry_concurrency", 1}}}})});
  bench.all(Answer::of(503));
  bench.get();
  EXPECT_EQ(bench.hits(), 3u);
}

}  // namespace
}  // namespace tulle::policies::testing
