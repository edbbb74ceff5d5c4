#include <gtest/gtest.h>

#include "sidecar/config/config_fixture_test.hpp"

namespace tulle::config {
namespace {

using testing::changed;
using testing::compile_json;
using testing::Outcome;

const std::string kManager = std::string(testing::kOutbound) + testing::kManager;
const std::string kAt =
    "static_resources[0] Listener \"outbound\": filter_chains[0].filters[0].typed_config.tracing";

std::string otlp(const std::string& uri, const std::string& members = "") {
  return R"({"provider": {"name": "otel", "typed_config": {
      "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
      "service_name": "shop", "http_service": {"http_uri": )" + uri + "}}}" + members + "}";
}

std::string zipkin(const std::string& members) {
  return R"({"provider": {"typed_config": {
      "@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig")" + members + "}}}";
}

Outcome with(const std::string& tracing) {
  return compile_json(changed(kManager + "/tracing", tracing));
}

std::shared_ptr<const tracing::Tracing> compiled(const std::string& source) {
  const Outcome outcome = with(source);
  EXPECT_EQ(outcome.problems, "");
  return outcome.snapshot == nullptr ? nullptr : outcome.snapshot->listeners[1]->tracing;
}

TEST(CompileTracing, Otlp) {
  const auto made = compiled(otlp(
      R"({"uri": "http://collector:4318/v1/traces", "cluster": "orders", "timeout": "2s"})",
      R"(, "random_sampling": {"value": 12.5}, "overall_sampling": {"value": 50})"));
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->collector.format, tracing::Collector::Format::otlp);
  EXPECT_EQ(made->collector.authority, "collector:4318");
  EXPECT_EQ(made->collector.path, "/v1/traces");
  EXPECT_EQ(made->collector.service, "shop");
  EXPECT_EQ(made->collector.timeout, 2s);
  EXPECT_EQ(made->sampled_per_million, 125'000u);
}

TEST(CompileTracing, DefaultsOfOtlp) {
  const auto made = compiled(otlp(R"({"uri": "http://collector:4318", "cluster": "orders"})"));
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->collector.path, "/v1/traces");
  EXPECT_EQ(made->collector.timeout, 10s);
  EXPECT_EQ(made->sampled_per_million, 1'000'000u) << "everything, as in Envoy";
}

TEST(CompileTracing, Zipkin) {
  const auto made = compiled(zipkin(R"(, "collector_cluster": "orders",
      "collector_endpoint": "/api/v2/spans", "collector_endpoint_version": "HTTP_JSON")"));
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->collector.format, tracing::Collector::Format::zipkin);
  EXPECT_EQ(made->collector.authority, "orders");
  EXPECT_EQ(made->collector.path, "/api/v2/spans");
}

TEST(CompileTracing, OffUnlessAskedFor) {
  const Outcome outcome = compile_json(testing::example());
  ASSERT_NE(outcome.snapshot, nullptr) << outcome.problems;
  EXPECT_EQ(outcome.snapshot->listeners[1]->tracing, nullptr);
  EXPECT_TRUE(outcome.snapshot->listeners[1]->make_request_id);
  const Outcome without = compile_json(changed(kManager + "/generate_request_id", "false"));
  ASSERT_NE(without.snapshot, nullptr) << without.problems;
  EXPECT_FALSE(without.snapshot->listeners[1]->make_request_id);
}

TEST(CompileTracing, WhatIsWrongIsSaidWithItsPlace) {
  const std::string at = kAt + ".provider";
  const std::string uri = at + ".typed_config.http_service.http_uri";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", at},
      {otlp(R"({"uri": "http://c:1", "cluster": "nobody"})"), uri + ".cluster"},
      {otlp(R"({"uri": "http://c:1/a b", "cluster": "orders"})"), uri + ".uri"},
      {otlp(R"({"uri": "collector", "cluster": "orders"})"), uri + ".uri"},
      {otlp(R"({"uri": "/v1/traces", "cluster": "orders", "timeout": "-1s"})"), uri + ".timeout"},
      {otlp(R"({"uri": "/v1/traces", "cluster": "orders"})", R"(, "random_sampling": {"value": 101})"),
       kAt + ".random_sampling.value"},
      {otlp(R"({"uri": "/v1/traces", "cluster": "orders"})", R"(, "custom_tags": [{}])"),
       kAt + ".custom_tags"},
      {zipkin(R"(, "collector_cluster": "orders", "collector_endpoint_version": "HTTP_JSON")"),
       at + ".typed_config.collector_endpoint"},
      {zipkin(R"(, "collector_cluster": "orders", "collector_endpoint": "/s",
                  "collector_endpoint_version": "HTTP_PROTO")"),
       at + ".typed_config.collector_endpoint_version"},
      {zipkin(R"(, "collector_cluster": "nobody", "collector_endpoint": "/s",
                  "collector_endpoint_version": "HTTP_JSON")"),
       at + ".typed_config.collector_cluster"},
      {R"({"provider": {"typed_config": {
          "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"}}})",
       at + ".typed_config"},
      {R"({"provider": {"typed_config": {
          "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
          "grpc_service": {}}}})",
       at + ".typed_config.grpc_service"},
  };
  for (const auto& [tracing, place] : cases) {
    const Outcome outcome = with(tracing);
    EXPECT_EQ(outcome.snapshot, nullptr) << tracing;
    EXPECT_NE(outcome.problems.find(place), std::string::npos) << tracing << "\n" << outcome.problems;
  }
}

}  // namespace
}  // namespace tulle::config
