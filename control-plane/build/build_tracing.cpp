// What listeners say about traces, and the cluster of the collector.
#include "control-plane/build/build_parts.hpp"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace tulle::build {

namespace {

namespace trace = envoy::config::trace::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

constexpr Duration kConnectTimeout = 1s;
constexpr Duration kExportTimeout = 10s;

void set_otlp(const Collector& collector, const Node& node, trace::Tracing::Http& provider) {
  trace::OpenTelemetryConfig config;
  config.set_service_name(node.service);
  auto& uri = *config.mutable_http_service()->mutable_http_uri();
  uri.set_uri("http://" + collector.authority + collector.path);
  uri.set_cluster(std::string(kCollectorCluster));
  set_duration(kExportTimeout, *uri.mutable_timeout());
  provider.set_name("envoy.tracers.opentelemetry");
  pack(config, *provider.mutable_typed_config());
}

// The name of the service is the node's cluster here: Zipkin's configuration has none.
void set_zipkin(const Collector& collector, trace::Tracing::Http& provider) {
  trace::ZipkinConfig config;
  config.set_collector_cluster(std::string(kCollectorCluster));
  config.set_collector_endpoint(collector.path);
  config.set_collector_hostname(collector.authority);
  config.set_collector_endpoint_version(trace::ZipkinConfig::HTTP_JSON);
  provider.set_name("envoy.tracers.zipkin");
  pack(config, *provider.mutable_typed_config());
}

}  // namespace

void build_tracing(const Scene& scene, HttpConnectionManager& manager) {
  if (!scene.mesh.collector) return;
  const Collector& collector = *scene.mesh.collector;
  auto& tracing = *manager.mutable_tracing();
  tracing.mutable_random_sampling()->set_value(collector.sampling_percent);
  if (collector.format == Collector::Format::zipkin) {
    set_zipkin(collector, *tracing.mutable_provider());
  } else {
    set_otlp(collector, scene.node, *tracing.mutable_provider());
  }
}

std::optional<std::string> build_collector_cluster(const Scene& scene) {
  if (!scene.mesh.collector) return std::nullopt;
  Cluster cluster;
  cluster.set_name(std::string(kCollectorCluster));
  cluster.set_type(Cluster::STATIC);
  set_duration(kConnectTimeout, *cluster.mutable_connect_timeout());
  auto& assignment = *cluster.mutable_load_assignment();
  assignment.set_cluster_name(std::string(kCollectorCluster));
  set_address(scene.mesh.collector->address,
              *assignment.add_endpoints()->add_lb_endpoints()->mutable_endpoint()->mutable_address());
  return to_bytes(cluster);
}

}  // namespace tulle::build
