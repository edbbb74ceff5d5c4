// The clusters of a node: a port of its own application, and the Services it calls.
#include <optional>

#include "control-plane/build/build_parts.hpp"
#include "control-plane/model/service_rules.hpp"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace tulle::build {

namespace {

namespace v3 = envoy::config::cluster::v3;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

constexpr const char* kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

// Enough for one sidecar's calls to one Service, and an end to what a stuck one can pile up.
constexpr uint32_t kConnections = 1024;
constexpr uint32_t kPendingRequests = 1024;
constexpr uint32_t kRequests = 1024;
// Retries may be a fifth of the running requests, and three when there are hardly any.
constexpr double kRetryPercent = 20;
constexpr uint32_t kRetryMinimum = 3;

constexpr uint32_t kFailuresInARow = 5;
constexpr Duration kFirstEjection = 1s;
constexpr Duration kLongestEjection = 60s;
constexpr uint32_t kMostEjectedPercent = 50;

constexpr Duration kConnectTimeout = 1s;

void set_limits(v3::Cluster& cluster) {
  auto& limits = *cluster.mutable_circuit_breakers()->add_thresholds();
  limits.mutable_max_connections()->set_value(kConnections);
  limits.mutable_max_pending_requests()->set_value(kPendingRequests);
  limits.mutable_max_requests()->set_value(kRequests);
  auto& budget = *limits.mutable_retry_budget();
  budget.mutable_budget_percent()->set_value(kRetryPercent);
  budget.mutable_min_retry_concurrency()->set_value(kRetryMinimum);
}

void set_outlier_detection(v3::Cluster& cluster) {
  v3::OutlierDetection& outliers = *cluster.mutable_outlier_detection();
  outliers.mutable_consecutive_gateway_failure()->set_value(kFailuresInARow);
  outliers.mutable_enforcing_consecutive_gateway_failure()->set_value(100);
  outliers.mutable_enforcing_consecutive_5xx()->set_value(0);
  outliers.mutable_enforcing_success_rate()->set_value(0);
  set_duration(kFirstEjection, *outliers.mutable_base_ejection_time());
  set_duration(kLongestEjection, *outliers.mutable_max_ejection_time());
  outliers.mutable_max_ejection_percent()->set_value(kMostEjectedPercent);
}

void set_protocol(bool http2, v3::Cluster& cluster) {
  HttpProtocolOptions options;
  if (http2) {
    options.mutable_explicit_http_config()->mutable_http2_protocol_options();
  } else {
    options.mutable_explicit_http_config()->mutable_http_protocol_options();
  }
  pack(options, (*cluster.mutable_typed_extension_protocol_options())[kHttpOptions]);
}

void set_source(const char* ip, envoy::config::core::v3::SocketAddress& socket) {
  socket.set_address(ip);
  socket.set_port_value(0);
}

// What was captured is delivered where it was going, from an address by which the packet filter
// knows it: it is not captured again.
void deliver_to_original(v3::Cluster& cluster) {
  cluster.set_type(v3::Cluster::ORIGINAL_DST);
  cluster.set_lb_policy(v3::Cluster::CLUSTER_PROVIDED);
  auto& bind = *cluster.mutable_upstream_bind_config();
  set_source("127.0.0.6", *bind.mutable_source_address());
  set_source("::6", *bind.add_extra_source_addresses()->mutable_address());
}

// Undeclared ports of an instance whose traffic is captured.
std::string inbound_passthrough() {
  v3::Cluster cluster;
  cluster.set_name(std::string(kInboundPassthrough));
  set_duration(kConnectTimeout, *cluster.mutable_connect_timeout());
  set_limits(cluster);
  deliver_to_original(cluster);
  return to_bytes(cluster);
}

std::string inbound_cluster(const Node& node, const NodePort& port, std::string_view name) {
  v3::Cluster cluster;
  cluster.set_name(std::string(name));
  set_duration(kConnectTimeout, *cluster.mutable_connect_timeout());
  set_limits(cluster);
  set_protocol(port.app_protocol == model::AppProtocol::h2c ||
                   port.app_protocol == model::AppProtocol::grpc,
               cluster);
  if (node.capture) {
    deliver_to_original(cluster);
    return to_bytes(cluster);
  }
  cluster.set_type(v3::Cluster::STATIC);
  cluster.set_lb_policy(v3::Cluster::LEAST_REQUEST);
  auto& assignment = *cluster.mutable_load_assignment();
  assignment.set_cluster_name(std::string(name));
  auto& socket = *assignment.add_endpoints()->add_lb_endpoints()->mutable_endpoint()
                      ->mutable_address()->mutable_socket_address();
  socket.set_address("127.0.0.1");
  socket.set_port_value(port.port);
  return to_bytes(cluster);
}

// What callers of a Service or of an instance share.
void set_outbound(const std::string& server_spiffe_id, v3::Cluster& cluster) {
  set_duration(kConnectTimeout, *cluster.mutable_connect_timeout());
  cluster.set_lb_policy(v3::Cluster::LEAST_REQUEST);
  set_limits(cluster);
  set_protocol(true, cluster);
  build_client_tls(server_spiffe_id, *cluster.mutable_transport_socket());
}

// One instance and nobody else, so it is never ejected.
std::optional<std::string> address_cluster(Scene& scene, const AddressPortName& parsed,
                                           std::string_view name) {
  model::DocumentPtr workload;
  const model::WorkloadPort* port = scene.find_port(parsed, workload);
  if (port == nullptr) return std::nullopt;
  const Result<Address> inbound = Address::parse(port->inbound);
  if (!inbound) return std::nullopt;
  v3::Cluster cluster;
  cluster.set_name(std::string(name));
  cluster.set_type(v3::Cluster::STATIC);
  set_outbound(model::spiffe_id(scene.mesh.trust_domain, workload->metadata.namespace_name,
                                workload->workload().service),
               cluster);
  auto& assignment = *cluster.mutable_load_assignment();
  assignment.set_cluster_name(std::string(name));
  set_address(*inbound, *assignment.add_endpoints()->add_lb_endpoints()->mutable_endpoint()
                             ->mutable_address());
  return to_bytes(cluster);
}

}  // namespace

std::optional<std::string> build_cluster(Scene& scene, std::string_view name) {
  for (const NodePort& port : scene.node.ports) {
    if (inbound_cluster_name(port.port) == name) return inbound_cluster(scene.node, port, name);
  }
  if (name == kCollectorCluster) return build_collector_cluster(scene);
  if (name == kInboundPassthrough && scene.node.capture) return inbound_passthrough();
  if (const auto instance = parse_address_cluster_name(name)) {
    return address_cluster(scene, *instance, name);
  }
  const auto parsed = parse_cluster_name(name, scene.mesh);
  if (!parsed) return std::nullopt;
  model::DocumentPtr service;
  if (scene.find_port(*parsed, service) == nullptr) return std::nullopt;
  v3::Cluster cluster;
  cluster.set_name(std::string(name));
  cluster.set_type(v3::Cluster::EDS);
  use_ads(*cluster.mutable_eds_cluster_config()->mutable_eds_config());
  set_outlier_detection(cluster);
  set_outbound(model::spiffe_id(scene.mesh.trust_domain, parsed->namespace_name,
                                model::account_of(*service)),
               cluster);
  return to_bytes(cluster);
}

}  // namespace tulle::build
