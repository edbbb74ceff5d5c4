// HttpConnectionManager.Tracing: how many requests leave spans, and which collector gets them.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "envoy/config/core/v3/http_service.pb.h"
#include "envoy/config/core/v3/http_uri.pb.h"
#include "envoy/config/trace/v3/http_tracer.pb.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/type/v3/percent.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;
namespace trace = envoy::config::trace::v3;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using tracing::Collector;

constexpr std::string_view kTracesPath = "/v1/traces";

uint32_t per_million(bool present, const envoy::type::v3::Percent& percent, const Place& place) {
  if (!present) return 1'000'000;
  if (!(percent.value() >= 0 && percent.value() <= 100)) {
    place.field("value").invalid("must lie between 0 and 100");
    return 0;
  }
  return static_cast<uint32_t>(std::lround(percent.value() * 10'000));
}

void find_collector(CompileContext& context, const std::string& cluster, Collector& collector,
                    const Place& place) {
  const auto index = context.cluster(cluster);
  if (!index) return place.dangling("cluster \"" + cluster + "\" does not exist");
  collector.cluster = *index;
}

// "http://collector:4318/v1/traces": the cluster says where that is, so only authority and path count.
void read_uri(std::string_view uri, Collector& collector, const Place& place) {
  const size_t scheme = uri.find("://");
  if (scheme != std::string_view::npos) {
    uri.remove_prefix(scheme + 3);
    const size_t slash = std::min(uri.find('/'), uri.size());
    collector.authority = uri.substr(0, slash);
    uri.remove_prefix(slash);
  }
  collector.path = uri.empty() ? kTracesPath : uri;
  const auto plain = [](char c) { return c > ' ' && c < 0x7f; };
  if (collector.path.front() != '/' || !std::ranges::all_of(collector.path, plain) ||
      !std::ranges::all_of(collector.authority, plain)) {
    place.invalid("must be a URI such as http://collector:4318/v1/traces, or its path");
  }
}

void compile_otlp(CompileContext& context, const google::protobuf::Any& any, Collector& collector,
                  const Place& place) {
  trace::OpenTelemetryConfig config;
  if (!unpack(any, config, place)) return;
  const core::HttpUri& uri = config.http_service().http_uri();
  const Place at = place.field("http_service").field("http_uri");
  if (!config.has_http_service()) {
    return place.invalid("needs http_service: spans are sent over HTTP");
  }
  find_collector(context, uri.cluster(), collector, at.field("cluster"));
  collector.authority = uri.cluster();
  read_uri(uri.uri(), collector, at.field("uri"));
  if (uri.has_timeout()) {
    const auto timeout = positive_duration_of(uri.timeout(), at.field("timeout"));
    if (timeout) collector.timeout = *timeout;
  }
  collector.service = config.service_name();
}

void compile_zipkin(CompileContext& context, const google::protobuf::Any& any, Collector& collector,
                    const Place& place) {
  trace::ZipkinConfig config;
  if (!unpack(any, config, place)) return;
  collector.format = Collector::Format::zipkin;
  if (config.collector_endpoint_version() != trace::ZipkinConfig::HTTP_JSON) {
    place.field("collector_endpoint_version").unsupported("only HTTP_JSON is supported");
  }
  find_collector(context, config.collector_cluster(), collector, place.field("collector_cluster"));
  if (config.collector_endpoint().empty()) {
    place.field("collector_endpoint").invalid("must not be empty, for example /api/v2/spans");
    return;
  }
  read_uri(config.collector_endpoint(), collector, place.field("collector_endpoint"));
  collector.authority = config.collector_hostname();
  if (collector.authority.empty()) collector.authority = config.collector_cluster();
}

}  // namespace

std::shared_ptr<const tracing::Tracing> compile_tracing(
    CompileContext& context, const google::protobuf::Message& manager_tracing, const Place& place) {
  const auto& source = static_cast<const HttpConnectionManager::Tracing&>(manager_tracing);
  auto compiled = std::make_shared<tracing::Tracing>();
  const uint32_t random = per_million(source.has_random_sampling(), source.random_sampling(),
                                      place.field("random_sampling"));
  const uint32_t overall = per_million(source.has_overall_sampling(), source.overall_sampling(),
                                       place.field("overall_sampling"));
  compiled->sampled_per_million = std::min(random, overall);
  const Place at = place.field("provider").field("typed_config");
  const google::protobuf::Any& any = source.provider().typed_config();
  if (!source.has_provider()) {
    place.field("provider").invalid("is missing: spans need a collector");
    return nullptr;
  }
  const std::string type = packed_type(any, at);
  if (type == trace::OpenTelemetryConfig::descriptor()->full_name()) {
    compile_otlp(context, any, compiled->collector, at);
  } else if (type == trace::ZipkinConfig::descriptor()->full_name()) {
    compile_zipkin(context, any, compiled->collector, at);
  } else if (!type.empty()) {
    at.unsupported("tracer " + type + " is not supported; use OpenTelemetryConfig or ZipkinConfig");
  }
  return compiled;
}

}  // namespace tulle::config
