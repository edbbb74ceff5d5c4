// What an exchange does for gRPC calls beyond what it does for every request.
#include "core/http/grpc_timeout.hpp"
#include "sidecar/policies/policy_bench_test.hpp"

namespace tulle::policies::testing {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

const Pairs kGrpc = {{"content-type", "application/grpc"}};
const Pairs kOk = {{"grpc-status", "0"}};

Script call(const std::string& timeout = {}, std::string body = "x") {
  Script script = PolicyBench::request(Method::post, std::move(body));
  script.head.fields.add("content-type", "application/grpc");
  script.head.fields.add("te", "trailers");
  if (!timeout.empty()) script.head.fields.add("grpc-timeout", timeout);
  return script;
}

std::string grpc_status_of(const Fields& fields) {
  return std::string(fields.get(FieldId::grpc_status).value_or("none"));
}
std::string head_status_of(const Heard& heard) {
  return heard.head ? grpc_status_of(heard.head->fields) : "no answer";
}
Duration timeout_seen(const Head& head) {
  return grpc_timeout_in(head.fields).value_or(Duration{-1});
}

class GrpcCalls : public ::testing::Test {
 protected:
  void start(Json route = Json::object(), Json cluster = Json::object(), size_t instances = 1) {
    bench_.emplace(BenchSetup{.route = std::move(route),
                              .cluster = std::move(cluster),
                              .instances = instances,
                              .http2 = true});
  }
  PolicyBench& bench() { return *bench_; }
  Instance& instance() { return *bench_->instances[0]; }
  Heard& make(Script script) { return bench_->finish(bench_->ask(std::move(script))); }

 private:
  std::optional<PolicyBench> bench_;
};

TEST_F(GrpcCalls, TheCallersDeadlineHolds) {
  start();
  bench().all(Answer::silent());
  Heard& heard = make(call("500m"));
  EXPECT_EQ(status_of(heard), 200);
  EXPECT_EQ(head_status_of(heard), "4");
  EXPECT_EQ(error_of(heard), "deadline_exceeded");
  EXPECT_GE(bench().clock.now(), Instant{} + 500ms);
  EXPECT_LT(bench().clock.now(), Instant{} + 550ms);
  // The application hears at once that nobody waits any more.
  EXPECT_TRUE(bench().clock.run_while_not([&] { return !instance().failures.empty(); }, 50ms));
  EXPECT_EQ(instance().failures.at(0).second.code, Code::cancelled);
}

TEST_F(GrpcCalls, TheNextHopHearsWhatIsLeft) {
  start({{"retry_policy",
          {{"retry_on", "unavailable"},
           {"num_retries", 2},
           {"retry_back_off", {{"base_interval", "0.1s"}, {"max_interval", "1s"}}}}}});
  bench().all({.after = 100ms, .fields = {kGrpc[0], {"grpc-status", "14"}}, .body = ""});
  make(call("10S"));
  ASSERT_EQ(instance().heads.size(), 3u);
  EXPECT_LE(timeout_seen(instance().heads[0]), 10s);
  EXPECT_GT(timeout_seen(instance().heads[0]), 9900ms);
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_LE(timeout_seen(instance().heads[i]), timeout_seen(instance().heads[i - 1]) - 100ms);
  }
  // The one that was sent is never more than what really was left.
  EXPECT_LE(timeout_seen(instance().heads[2]), 10s - 200ms);
}

TEST_F(GrpcCalls, TheRoutesTimeoutIsADeadlineToo) {
  start({{"timeout", "1s"}});
  bench().all(Answer::silent());
  Heard& heard = make(call("10S"));
  EXPECT_EQ(head_status_of(heard), "4");
  EXPECT_EQ(error_of(heard), "request_timeout");
  EXPECT_LE(timeout_seen(instance().heads.at(0)), 1s);
  EXPECT_GT(timeout_seen(instance().heads.at(0)), 900ms);
  Heard& sooner = make(call("100m"));
  EXPECT_EQ(error_of(sooner), "deadline_exceeded");
}

TEST_F(GrpcCalls, OtherRequestsHearOfTheRoutesTimeoutInMilliseconds) {
  start({{"timeout", "1s"}});
  make(PolicyBench::request(Method::post, "x"));
  const Fields& seen = instance().heads.at(0).fields;
  EXPECT_FALSE(seen.has(FieldId::grpc_timeout));
  const int ms = std::stoi(std::string(seen.get(FieldId::x_envoy_expected_rq_timeout_ms).value_or("0")));
  EXPECT_LE(ms, 1000);
  EXPECT_GT(ms, 900);
}

TEST_F(GrpcCalls, WhatIsNoTimeoutIsNoDeadlineAndPassesUnchanged) {
  start();
  bench().all({.after = 2s, .fields = kGrpc, .trailers = kOk});
  for (const char* text : {"999999999S", "-1S", "1x", "1"}) {
    Heard& heard = make(call(text));
    EXPECT_EQ(grpc_status_of(heard.trailers), "0") << text;
    EXPECT_EQ(instance().heads.back().fields.get(FieldId::grpc_timeout), text);
  }
  Heard& longest = make(call("99999999H"));
  EXPECT_EQ(grpc_status_of(longest.trailers), "0");
  Script other = call();
  other.head.fields.set(FieldId::content_type, "text/plain");
  other.head.fields.add("grpc-timeout", "1m");
  EXPECT_EQ(status_of(make(std::move(other))), 200);
  EXPECT_EQ(instance().heads.back().fields.get(FieldId::grpc_timeout), "1m");
}

TEST_F(GrpcCalls, ADeadlineThatHasPassedReachesNobody) {
  start();
  Heard& heard = make(call("0n"));
  EXPECT_EQ(head_status_of(heard), "4");
  EXPECT_EQ(error_of(heard), "deadline_exceeded");
  EXPECT_EQ(bench().hits(), 0u);
}

TEST_F(GrpcCalls, AnAnswerThatHasBegunEndsWithAStatus) {
  start();
  bench().all({.kind = Answer::Kind::begun, .fields = kGrpc});
  Heard& late = make(call("300m"));
  EXPECT_FALSE(late.failure);
  EXPECT_TRUE(late.ended);
  EXPECT_EQ(late.body, "ok");
  EXPECT_EQ(grpc_status_of(late.trailers), "4");
  EXPECT_EQ(late.trailers.get(FieldId::tulle_error), "deadline_exceeded");
  EXPECT_TRUE(bench().clock.run_while_not([&] { return !instance().failures.empty(); }, 50ms));

  bench().all({.kind = Answer::Kind::broken, .fields = kGrpc});
  Heard& broken = make(call());
  EXPECT_FALSE(broken.failure);
  EXPECT_EQ(grpc_status_of(broken.trailers), "14");
  EXPECT_EQ(broken.trailers.get(FieldId::tulle_error), "upstream_reset");
}

TEST_F(GrpcCalls, OtherAnswersThatHaveBegunAreBrokenOff) {
  start();
  bench().all({.kind = Answer::Kind::broken});
  EXPECT_TRUE(make(PolicyBench::request(Method::post, "x")).failure);
  // A call whose answer is none of gRPC's.
  EXPECT_TRUE(make(call()).failure);
}

TEST_F(GrpcCalls, AnAnswerWithoutAStatusIsNoSuccess) {
  start();
  bench().all({.fields = kGrpc});
  Heard& streamed = make(call());
  EXPECT_EQ(streamed.body, "ok");
  EXPECT_EQ(grpc_status_of(streamed.trailers), "2");
  EXPECT_EQ(streamed.trailers.get(FieldId::tulle_error), "upstream_protocol_error");
  bench().all({.fields = kGrpc, .body = ""});
  Heard& empty = make(call());
  EXPECT_EQ(head_status_of(empty), "2");
  bench().all({.fields = kGrpc, .trailers = kOk});
  Heard& good = make(call());
  EXPECT_EQ(grpc_status_of(good.trailers), "0");
  EXPECT_EQ(good.trailers.size(), 1u);
  // What the status is, is not ours to judge; and HTTP answers speak for themselves.
  bench().all({.fields = kGrpc, .trailers = {{"grpc-status", "99"}}});
  EXPECT_EQ(grpc_status_of(make(call()).trailers), "99");
  bench().all({.status = 503});
  Heard& http = make(call());
  EXPECT_EQ(status_of(http), 503);
  EXPECT_EQ(head_status_of(http), "none");
}

TEST_F(GrpcCalls, AStatusInTheTrailersOfAnEmptyAnswerIsRetried) {
  start({{"retry_policy", {{"retry_on", "unavailable"}, {"num_retries", 2}}}});
  bench().all({.fields = kGrpc, .body = "", .trailers = {{"grpc-status", "14"}}});
  Heard& heard = make(call());
  EXPECT_EQ(bench().hits(), 3u);
  EXPECT_EQ(grpc_status_of(heard.trailers), "14");
  bench().all({.fields = kGrpc, .body = "", .trailers = {{"grpc-status", "5"}}});
  make(call());
  EXPECT_EQ(bench().hits(), 4u);
}

TEST_F(GrpcCalls, CancellingReachesTheApplicationAtOnce) {
  start();
  bench().all({.kind = Answer::Kind::begun, .fields = kGrpc});
  Heard& heard = bench().ask(call());
  EXPECT_TRUE(bench().clock.run_while_not([&] { return heard.body == "ok"; }, 100ms));
  const Instant cancelled = bench().clock.now();
  bench().give_up_last();
  EXPECT_TRUE(bench().clock.run_while_not([&] { return !instance().failures.empty(); }, 100ms));
  EXPECT_EQ(instance().failures.at(0).second.code, Code::cancelled);
  EXPECT_LE(instance().failures.at(0).first - cancelled, 10ms);
}

TEST_F(GrpcCalls, MayBeQuietForLongerThanOtherExchanges) {
  start();
  bench().all({.kind = Answer::Kind::begun, .fields = kGrpc});
  Heard& quiet = bench().ask(call());
  EXPECT_FALSE(bench().run_for(quiet, 59min));
  EXPECT_TRUE(bench().clock.run_while_not([&] { return quiet.over; }, 10min));
  EXPECT_GE(bench().clock.now(), Instant{} + 1h);
  EXPECT_LT(bench().clock.now(), Instant{} + 61min);
  EXPECT_EQ(grpc_status_of(quiet.trailers), "4");
  Heard& other = bench().ask(PolicyBench::request(Method::post, "x"));
  EXPECT_TRUE(bench().run_for(other, 6min));
}

TEST_F(GrpcCalls, ImpatientCallersGiveNoEndpointABadName) {
  start(Json::object(),
        {{"outlier_detection",
          {{"consecutive_gateway_failure", 2}, {"max_ejection_percent", 100}}}},
        2);
  bench().all({.after = 50ms, .fields = kGrpc, .trailers = kOk});
  for (int i = 0; i < 12; ++i) EXPECT_EQ(error_of(make(call("5m"))), "deadline_exceeded");
  EXPECT_EQ(bench().stat("tulle_ejections_total"), 0);
}

}  // namespace
}  // namespace tulle::policies::testing
