#include "sidecar/policies/retry/retry.hpp"

#include "core/base/rng.hpp"
#include "sidecar/policies/policy_bench_test.hpp"

namespace tulle::policies::testing {
namespace {

// The mesh's defaults.
Json retries(const std::string& on = "connect-failure,refused-stream,reset-before-request,reset",
             int count = 2) {
  return {{"retry_policy", {{"retry_on", on}, {"num_retries", count}}}};
}

Script post(std::string body, bool idempotent = false) {
  Script script = PolicyBench::request(Method::post, std::move(body));
  if (idempotent) script.head.fields.add("idempotency-key", "1");
  return script;
}

TEST(RetryPause, IsJitteredDoublesAndIsBounded) {
  Rng rng(3);
  retry::Config config;
  Duration longest[4]{};
  for (int i = 0; i < 2000; ++i) {
    for (uint32_t n = 1; n <= 4; ++n) {
      longest[n - 1] = std::max(longest[n - 1], retry::pause_before(n, config, rng));
    }
  }
  EXPECT_GT(longest[0], 24ms);
  EXPECT_LE(longest[0], 25ms);
  EXPECT_GT(longest[1], 73ms);
  EXPECT_LE(longest[1], 75ms);
  EXPECT_LE(longest[3], 250ms);
  EXPECT_LE(retry::pause_before(4000000000u, config, rng), 250ms);
}

TEST(RetryPolicy, WhatCouldNotConnectGoesElsewhereAtOnce) {
  PolicyBench bench({.route = retries()});
  bench.instances[0]->stop();
  for (int i = 0; i < 6; ++i) {
    const Instant begun = bench.clock.now();
    // Nothing was sent, so this is safe for every method.
    EXPECT_EQ(status_of(bench.finish(bench.ask(post("x")))), 200);
    EXPECT_LT(bench.clock.now() - begun, 20ms);
  }
  EXPECT_GT(bench.stat("tulle_retries_total"), 0);
}

TEST(RetryPolicy, AResetIsRetriedOnlyWhereItMayRunTwice) {
  PolicyBench bench({.route = retries()});
  bench.instances[0]->behaviour = [](const Head&) { return Answer::reset(); };
  for (int i = 0; i < 6; ++i) EXPECT_EQ(status_of(bench.get()), 200);
  const size_t reset = bench.instances[0]->hits.size();
  EXPECT_GT(reset, 0u);
  int failed = 0;
  for (int i = 0; i < 6; ++i) {
    Heard& heard = bench.finish(bench.ask(post("order")));
    if (status_of(heard) == 200) continue;
    ++failed;
    EXPECT_EQ(error_of(heard), "upstream_reset");
  }
  EXPECT_GT(failed, 0);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(status_of(bench.finish(bench.ask(post("order", true)))), 200);
  }
  for (const std::string& body : bench.instances[1]->bodies) {
    EXPECT_TRUE(body.empty() || body == "order") << body.size();
  }
}

TEST(RetryPolicy, ABodyIsSentAgainByteForByteUpToTheReplayMemory) {
  PolicyBench bench({.route = retries()});
  bench.instances[0]->behaviour = [](const Head&) { return Answer::reset(); };
  std::string body(retry::kReplayBytes, 'x');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  for (const bool announced : {true, false}) {
    for (int i = 0; i < 4; ++i) {
      Script script = post(body, true);
      script.announce_length = announced;
      EXPECT_EQ(status_of(bench.finish(bench.ask(std::move(script)))), 200);
    }
  }
  for (const std::string& arrived : bench.instances[1]->bodies) EXPECT_EQ(arrived, body);
  // One byte more, and nothing is kept.
  int failed = 0;
  for (const bool announced : {true, false}) {
    for (int i = 0; i < 4; ++i) {
      Script script = post(body + "x", true);
      script.announce_length = announced;
      failed += status_of(bench.finish(bench.ask(std::move(script)))) == 502 ? 1 : 0;
    }
  }
  EXPECT_GE(failed, 2);
}

TEST(RetryPolicy, EveryAttemptTakesAnotherEndpoint) {
  PolicyBench bench({.route = retries("5xx"), .instances = 3});
  bench.all(Answer::of(500));
  bench.get();
  for (const auto& instance : bench.instances) EXPECT_EQ(instance->hits.size(), 1u);
}

TEST(RetryPolicy, WhenAllIsTriedTheLastAnswerIsPassedOn) {
  PolicyBench bench({.route = retries("gateway-error")});
  bench.all(Answer::of(503));
  Heard& heard = bench.get();
  EXPECT_EQ(status_of(heard), 503);
  EXPECT_EQ(heard.body, "ok");
  EXPECT_EQ(error_of(heard), "");
  EXPECT_EQ(bench.hits(), 3u);
}

TEST(RetryPolicy, StatusesAreRetriedAsConfigured) {
  PolicyBench bench({.route = retries("5xx")});
  bench.all(Answer::of(503));
  bench.finish(bench.ask(post("x")));
  EXPECT_EQ(bench.hits(), 1u) << "a 5xx may mean that it was executed";
  bench.adopt({{"retry_policy",
                {{"retry_on", "retriable-status-codes"}, {"retriable_status_codes", {503}}}}},
              Json::object());
  bench.finish(bench.ask(post("x")));
  EXPECT_EQ(bench.hits(), 3u) << "the very answer was named";
  bench.all(Answer::of(404));
  bench.get();
  EXPECT_EQ(bench.hits(), 4u);
}

TEST(RetryPolicy, GrpcAnswersAreRetriedByTheirStatus) {
  PolicyBench bench({.route = retries("unavailable")});
  bench.all({.status = 200, .fields = {{"grpc-status", "14"}}});
  bench.finish(bench.ask(post("x")));
  EXPECT_EQ(bench.hits(), 3u);
  bench.all({.status = 200, .fields = {{"grpc-status", "5"}}});
  bench.finish(bench.ask(post("x")));
  EXPECT_EQ(bench.hits(), 4u);
}

TEST(RetryPolicy, WithoutAPolicyThereIsOneAttempt) {
  PolicyBench bench({});
  bench.all(Answer::reset());
  EXPECT_EQ(error_of(bench.get()), "upstream_reset");
  EXPECT_EQ(bench.hits(), 1u);
}

// The peer closes a kept connection just as the request goes out on it.
TEST(RetryPolicy, AKeptConnectionThatWasTooOldIsNoFailureOfASafeRequest) {
  PolicyBench bench({.route = retries("reset-before-request"), .instances = 1});
  EXPECT_EQ(status_of(bench.get()), 200);
  size_t asked = 0;
  bench.instances[0]->behaviour = [&](const Head&) {
    return ++asked == 1 ? Answer::reset() : Answer{};
  };
  EXPECT_EQ(status_of(bench.get()), 200);
  EXPECT_EQ(asked, 2u);
  asked = 0;
  EXPECT_EQ(error_of(bench.finish(bench.ask(post("x")))), "upstream_reset");
  EXPECT_EQ(asked, 1u);
}

TEST(RetryPolicy, ACallerThatLeavesWhileItRestsLeavesNothingBehind) {
  PolicyBench bench({.route = {{"retry_policy",
                                {{"retry_on", "5xx"},
                                 {"num_retries", 5},
                                 {"retry_back_off", {{"base_interval", "10s"}}}}}}});
  bench.all(Answer::of(503));
  Script script = PolicyBench::request(Method::get);
  bench.ask(std::move(script));
  EXPECT_TRUE(bench.clock.run_while_not([&] { return bench.admission->retries() == 1; }, 1s));
}

}  // namespace
}  // namespace tulle::policies::testing
