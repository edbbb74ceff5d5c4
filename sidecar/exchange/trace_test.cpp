// What an exchange says of itself in spans, and what it passes on to the next hop.
#include "sidecar/exchange/trace.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/policies/policy_bench_test.hpp"
#include "sidecar/tracing/zipkin.hpp"

namespace tulle::policies::testing {
namespace {

using tracing::SpanBatch;

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kCaller = "00f067aa0ba902b7";

// Keeps spans as JSON: Zipkin's form can be read back without a collector.
class KeptSpans final : public tracing::SpanSink {
 public:
  void submit(SpanBatch&& batch) override {
    const Json spans = Json::parse(tracing::zipkin_request({batch.spans}));
    ASSERT_EQ(spans.size(), batch.count);
    for (const Json& span : spans) all.push_back(span);
  }
  std::vector<Json> all;
};

Json tracing_of(double percent) {
  const Json provider = {
      {"name", "envoy.tracers.zipkin"},
      {"typed_config",
       {{"@type", "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig"},
        {"collector_cluster", "app"},
        {"collector_endpoint", "/api/v2/spans"},
        {"collector_endpoint_version", "HTTP_JSON"}}}};
  return {{"tracing", {{"random_sampling", {{"value", percent}}}, {"provider", provider}}}};
}

class Traces : public ::testing::Test {
 protected:
  void start(Json manager, Json route = Json::object(), bool reachable = true) {
    bench_.reset();
    kept_.all.clear();
    bench_.emplace(BenchSetup{.route = std::move(route),
                              .manager = std::move(manager),
                              .spans = &kept_,
                              .instances = 1,
                              .reachable = reachable});
  }
  PolicyBench& bench() { return *bench_; }
  Heard& make(const std::vector<std::pair<std::string, std::string>>& fields = {}) {
    Script script = PolicyBench::request(Method::get);
    script.head.path = "/orders/7?secret=1";
    for (const auto& [name, value] : fields) script.head.fields.add(name, value);
    return bench_->finish(bench_->ask(std::move(script)));
  }
  // What the application saw of the latest request.
  std::string seen(std::string_view name) {
    return std::string(bench().instances[0]->heads.back().fields.get(name).value_or(""));
  }
  // Spans of one request: the exchange's first, then its attempts in their order.
  std::vector<Json> spans() {
    bench().clock.run_for(1s);
    std::vector<Json> found = std::exchange(kept_.all, {});
    std::ranges::stable_partition(found, [](const Json& span) {
      return span["tags"].contains("tulle.listener");
    });
    return found;
  }
  KeptSpans kept_;

 private:
  std::optional<PolicyBench> bench_;
};

TEST_F(Traces, ASpanPerExchangeAndPerAttempt) {
  start(tracing_of(100));
  EXPECT_EQ(status_of(make()), 200);
  const auto found = spans();
  ASSERT_EQ(found.size(), 2u);
  const Json& exchange = found[0];
  const Json& attempt = found[1];
  EXPECT_FALSE(exchange.contains("parentId")) << "the root of its trace";
  EXPECT_EQ(attempt["parentId"], exchange["id"]);
  EXPECT_EQ(attempt["traceId"], exchange["traceId"]);
  EXPECT_EQ(exchange["localEndpoint"]["serviceName"], "bench");
  const Json& tags = exchange["tags"];
  EXPECT_EQ(tags["http.request.method"], "GET");
  EXPECT_EQ(tags["url.path"], "/orders/7") << "what stands behind the path may be a secret";
  EXPECT_EQ(tags["http.response.status_code"], "200");
  EXPECT_EQ(tags["tulle.listener"], "outbound");
  EXPECT_EQ(tags["tulle.cluster"], "app");
  EXPECT_EQ(tags["tulle.attempts"], "1");
  EXPECT_EQ(tags["tulle.config_version"], bench().workers[0]->snapshot()->version);
  EXPECT_EQ(tags["tulle.request_id"], seen("x-request-id"));
  EXPECT_FALSE(tags.contains("error"));
  EXPECT_EQ(attempt["tags"]["network.peer.address"], "10.0.1.1");
  EXPECT_EQ(attempt["tags"]["network.peer.port"], "8080");
  const std::string trace = exchange["traceId"];
  const std::string parent = attempt["id"];
  EXPECT_EQ(seen("traceparent"), "00-" + trace + "-" + parent + "-01");
}

TEST_F(Traces, TheNextHopsSpanIsTheChildOfTheAttempt) {
  start(tracing_of(100));
  make();
  const auto first = spans();
  ASSERT_EQ(first.size(), 2u);
  make({{"traceparent", seen("traceparent")}});
  const auto second = spans();
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[0]["traceId"], first[0]["traceId"]);
  EXPECT_EQ(second[0]["parentId"], first[1]["id"]);
  EXPECT_EQ(second[1]["parentId"], second[0]["id"]);
}

TEST_F(Traces, EveryAttemptHasASpan) {
  start(tracing_of(100), {{"retry_policy", {{"retry_on", "5xx,reset"}, {"num_retries", 2}}}});
  int hits = 0;
  bench().instances[0]->behaviour = [&](const Head&) {
    ++hits;
    return hits == 1 ? Answer::of(503) : hits == 2 ? Answer::reset() : Answer{};
  };
  EXPECT_EQ(status_of(make()), 200);
  const auto found = spans();
  ASSERT_EQ(found.size(), 4u);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(found[i]["parentId"], found[0]["id"]);
  EXPECT_EQ(found[1]["tags"]["http.response.status_code"], "503");
  EXPECT_EQ(found[1]["tags"]["error"], "503");
  EXPECT_FALSE(found[1]["tags"].contains("http.request.resend_count"));
  EXPECT_EQ(found[2]["tags"]["error"], "upstream_reset");
  EXPECT_EQ(found[2]["tags"]["tulle.response_flags"], "UR");
  EXPECT_EQ(found[2]["tags"]["http.request.resend_count"], "1");
  EXPECT_EQ(found[3]["tags"]["http.response.status_code"], "200");
  EXPECT_FALSE(found[3]["tags"].contains("error"));
  EXPECT_EQ(found[0]["tags"]["tulle.attempts"], "3");
  EXPECT_NE(seen("traceparent").find(found[3]["id"].get<std::string>()), std::string::npos);
}

TEST_F(Traces, WhatWentWrongIsSaidInBoth) {
  start(tracing_of(100), {{"timeout", "1s"}});
  bench().all(Answer::silent());
  EXPECT_EQ(status_of(make()), 504);
  const auto found = spans();
  ASSERT_EQ(found.size(), 2u);
  for (const Json& span : found) {
    EXPECT_EQ(span["tags"]["error"], "request_timeout") << span;
    EXPECT_EQ(span["tags"]["tulle.response_flags"], "UT") << span;
  }
  EXPECT_GE(found[0]["duration"], 1'000'000);
}

TEST_F(Traces, WithoutAnEndpointThatAnswersTheSpanSaysSo) {
  start(tracing_of(100), Json::object(), false);
  EXPECT_EQ(status_of(make()), 502);
  const auto found = spans();
  ASSERT_GE(found.size(), 2u);
  EXPECT_EQ(found[0]["tags"]["error"], "connect_failed");
  for (size_t i = 1; i < found.size(); ++i) EXPECT_EQ(found[i]["tags"]["error"], "connect_failed");
}

TEST_F(Traces, ARootThatIsNotSampledIsSoForAllHops) {
  start(tracing_of(0));
  make();
  EXPECT_TRUE(spans().empty());
  const std::string parent = seen("traceparent");
  ASSERT_EQ(parent.size(), 55u);
  EXPECT_TRUE(parent.ends_with("-00")) << parent;
}

TEST(UnsampledTrace, TakesOneByteBetweenSidecarsAndIsTheSameInBoth) {
  const auto nothing = std::make_shared<const tracing::Tracing>();
  Rng rng(1);
  Fields at_caller;
  at_caller.add(FieldId::x_request_id, kCaller);
  exchange::Trace outbound;
  outbound.begin(at_caller, nothing, rng);
  EXPECT_FALSE(outbound.sampled());
  Fields to_application = at_caller;
  outbound.stamp(to_application, false);
  EXPECT_EQ(to_application.get(FieldId::traceparent), at_caller.get(FieldId::traceparent));
  Fields between = at_caller;
  outbound.stamp(between, true);
  EXPECT_FALSE(between.has(FieldId::traceparent));
  EXPECT_EQ(between.get(FieldId::b3), "0");

  const auto everything = std::make_shared<const tracing::Tracing>(
      tracing::Tracing{.collector = {}, .sampled_per_million = 1'000'000});
  exchange::Trace inbound;
  inbound.begin(between, everything, rng);
  EXPECT_FALSE(inbound.sampled()) << "who begins a trace decides for all";
  const std::string here(between.get(FieldId::traceparent).value_or(""));
  const std::string there(at_caller.get(FieldId::traceparent).value_or(""));
  EXPECT_EQ(here.substr(0, 35), "00-0000000000000000" + kCaller);
  EXPECT_EQ(there.substr(0, 35), here.substr(0, 35)) << "their access logs name the same trace";
}

TEST(UnsampledTrace, IsSpeltOutWhenTheRequestIdIsNoTrace) {
  const auto nothing = std::make_shared<const tracing::Tracing>();
  Rng rng(1);
  Fields fields;
  fields.add(FieldId::x_request_id, "mine");
  exchange::Trace trace;
  trace.begin(fields, nothing, rng);
  trace.stamp(fields, true);
  EXPECT_TRUE(fields.has(FieldId::traceparent));
  EXPECT_FALSE(fields.has(FieldId::b3));
}

TEST_F(Traces, WhatOthersHaveDecidedHolds) {
  start(tracing_of(0));
  const std::string sampled = "00-" + kTrace + "-" + kCaller + "-01";
  make({{"traceparent", sampled}, {"tracestate", "vendor=1"}});
  auto found = spans();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0]["traceId"], kTrace);
  EXPECT_EQ(found[0]["parentId"], kCaller);
  EXPECT_EQ(seen("tracestate"), "vendor=1");

  start(tracing_of(100));
  const std::string unsampled = "00-" + kTrace + "-" + kCaller + "-00";
  make({{"traceparent", unsampled}, {"tracestate", "vendor=1"}});
  EXPECT_TRUE(spans().empty());
  EXPECT_EQ(seen("traceparent"), unsampled) << "unchanged: no span of ours stands between";
  EXPECT_EQ(seen("tracestate"), "vendor=1");
}

TEST_F(Traces, TracestateWithoutItsTraceIsDropped) {
  start(tracing_of(100));
  const std::string b3 = kTrace + "-" + kCaller + "-1";
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"accept", "*/*"}, {"b3", b3}, {"traceparent", "00-" + kTrace}}) {
    make({{name, value}, {"tracestate", "vendor=1"}});
    EXPECT_EQ(seen("tracestate"), "") << name;
    EXPECT_EQ(seen("traceparent").size(), 55u) << name;
  }
}

TEST_F(Traces, B3WithoutADecisionGetsOurs) {
  start(tracing_of(0));
  make({{"b3", kTrace + "-" + kCaller}});
  EXPECT_TRUE(spans().empty());
  EXPECT_EQ(seen("b3"), kTrace + "-" + kCaller + "-0");
  start(tracing_of(100));
  make({{"b3", kTrace + "-" + kCaller}});
  const auto found = spans();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0]["parentId"], kCaller);
  const std::string attempt = found[1]["id"];
  EXPECT_EQ(seen("b3"), kTrace + "-" + attempt + "-1");
  EXPECT_EQ(seen("traceparent"), "00-" + kTrace + "-" + attempt + "-01");
}

TEST_F(Traces, WithoutTracingNothingIsAddedButTheRequestId) {
  start(Json::object());
  make();
  EXPECT_EQ(seen("traceparent"), "");
  EXPECT_EQ(seen("x-request-id").size(), 16u);
  make({{"traceparent", "anything"}, {"b3", "1"}, {"x-request-id", "mine"}});
  EXPECT_EQ(seen("traceparent"), "anything");
  EXPECT_EQ(seen("b3"), "1");
  EXPECT_EQ(seen("x-request-id"), "mine");
  EXPECT_TRUE(spans().empty());
}

TEST_F(Traces, RequestIdsCanBeTurnedOff) {
  start({{"generate_request_id", false}});
  make();
  EXPECT_EQ(seen("x-request-id"), "");
}

TEST_F(Traces, SamplingIsByRatio) {
  start(tracing_of(25));
  constexpr int kRequests = 400;
  for (int i = 0; i < kRequests; ++i) make();
  const size_t sampled = spans().size() / 2;
  EXPECT_GT(sampled, kRequests * 0.15);
  EXPECT_LT(sampled, kRequests * 0.35);
}

}  // namespace
}  // namespace tulle::policies::testing
