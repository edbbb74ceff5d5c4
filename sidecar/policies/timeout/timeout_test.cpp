#include "sidecar/policies/policy_bench_test.hpp"

namespace tulle::policies::testing {
namespace {

TEST(TimeoutPolicy, ARequestThatTakesTooLongIsAnswered504) {
  PolicyBench bench({.route = {{"timeout", "1s"}}});
  bench.all(Answer::silent());
  Heard& heard = bench.get();
  EXPECT_EQ(status_of(heard), 504);
  EXPECT_EQ(error_of(heard), "request_timeout");
  EXPECT_GE(bench.clock.now(), Instant{} + 1s);
  EXPECT_LT(bench.clock.now(), Instant{} + 1100ms);
}

TEST(TimeoutPolicy, AnAttemptThatTakesTooLongIsAnswered504) {
  PolicyBench bench({.route = {{"retry_policy", {{"per_try_timeout", "0.2s"}}}}});
  bench.all(Answer::silent());
  Heard& heard = bench.get();
  EXPECT_EQ(status_of(heard), 504);
  EXPECT_EQ(error_of(heard), "attempt_timeout");
  EXPECT_LT(bench.clock.now(), Instant{} + 250ms);
  EXPECT_EQ(bench.hits(), 1u);
}

TEST(TimeoutPolicy, TheRequestsTimeHoldsForAllAttemptsTogether) {
  PolicyBench bench({.route = {{"timeout", "1s"},
                               {"retry_policy",
                                {{"retry_on", "reset"},
                                 {"num_retries", 10},
                                 {"per_try_timeout", "0.3s"}}}}});
  bench.all(Answer::silent());
  Heard& heard = bench.get();
  EXPECT_EQ(status_of(heard), 504);
  // Or attempt_timeout, when what is left is less than the pause before another attempt.
  EXPECT_TRUE(error_of(heard) == "request_timeout" || error_of(heard) == "attempt_timeout");
  EXPECT_LT(bench.clock.now(), Instant{} + 1100ms);
  EXPECT_GE(bench.hits(), 2u);
  EXPECT_LE(bench.hits(), 4u);
}

TEST(TimeoutPolicy, ASlowAttemptIsMadeAgainElsewhere) {
  PolicyBench bench(
      {.route = {{"retry_policy", {{"retry_on", "reset"}, {"per_try_timeout", "0.3s"}}}}});
  bench.instances[0]->behaviour = [](const Head&) { return Answer::silent(); };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(status_of(bench.get()), 200);
  EXPECT_GT(bench.instances[0]->hits.size(), 0u);
}

TEST(TimeoutPolicy, QuickRequestsAreLeftAlone) {
  PolicyBench bench({.route = {{"timeout", "1s"}}});
  bench.all({.after = 900ms});
  EXPECT_EQ(status_of(bench.get()), 200);
}

}  // namespace
}  // namespace tulle::policies::testing
