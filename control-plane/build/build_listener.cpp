// The listeners of a node: for its application's calls, for each of its ports, and one without a
// socket per destination, which says which route table the destination has.
#include <optional>

#include "control-plane/build/build_parts.hpp"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace tulle::build {

namespace {

namespace core = envoy::config::core::v3;
namespace filters = envoy::extensions::filters::http;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

constexpr Duration kStreamIdle = 5min;

void add_filter(const char* name, const google::protobuf::Message& config,
                HttpConnectionManager& manager) {
  auto& filter = *manager.add_http_filters();
  filter.set_name(name);
  pack(config, *filter.mutable_typed_config());
}

void add_router(HttpConnectionManager& manager) {
  add_filter("envoy.filters.http.router", filters::router::v3::Router(), manager);
}

// WebSocket works with nothing configured.
void allow_upgrades(HttpConnectionManager& manager) {
  manager.add_upgrade_configs()->set_upgrade_type("websocket");
}

void add_manager(const HttpConnectionManager& manager, FilterChain& chain) {
  auto& filter = *chain.add_filters();
  filter.set_name("envoy.filters.network.http_connection_manager");
  pack(manager, *filter.mutable_typed_config());
}

std::string outbound_listener(const Scene& scene) {
  HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(kOutboundListener));
  set_duration(kStreamIdle, *manager.mutable_stream_idle_timeout());
  allow_upgrades(manager);
  manager.mutable_route_config()->set_name(std::string(kOutboundListener));
  build_tracing(scene, manager);
  add_filter("envoy.filters.http.on_demand", filters::on_demand::v3::OnDemand(), manager);
  add_router(manager);
  Listener listener;
  listener.set_name(std::string(kOutboundListener));
  listener.set_traffic_direction(core::OUTBOUND);
  set_address(scene.node.outbound, *listener.mutable_address());
  add_manager(manager, *listener.add_filter_chains());
  return to_bytes(listener);
}

std::string inbound_listener(const Scene& scene, const NodePort& port, std::string_view name) {
  HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(name));
  set_duration(kStreamIdle, *manager.mutable_stream_idle_timeout());
  allow_upgrades(manager);
  build_tracing(scene, manager);
  auto& routes = *manager.mutable_route_config();
  routes.set_name(std::string(name));
  auto& host = *routes.add_virtual_hosts();
  host.set_name("application");
  host.add_domains("*");
  auto& route = *host.add_routes();
  route.mutable_match()->set_prefix("/");
  route.mutable_route()->set_cluster(inbound_cluster_name(port.port));
  set_duration(0s, *route.mutable_route()->mutable_timeout());  // the caller's side has the limit
  // The application may close a kept connection in the moment a request is sent on it. What can be
  // done twice is sent again, once; everything else is for the caller's side to decide.
  auto& retry = *route.mutable_route()->mutable_retry_policy();
  retry.set_retry_on("reset-before-request");
  retry.mutable_num_retries()->set_value(1);
  add_router(manager);
  Listener listener;
  listener.set_name(std::string(name));
  listener.set_traffic_direction(core::INBOUND);
  set_address(port.inbound, *listener.mutable_address());
  FilterChain& chain = *listener.add_filter_chains();
  build_server_tls(*chain.mutable_transport_socket());
  add_manager(manager, chain);
  return to_bytes(listener);
}

std::optional<std::string> destination(Scene& scene, std::string_view name) {
  const auto parsed = parse_destination(name, scene.node.namespace_name, scene.mesh);
  if (!parsed) return std::nullopt;
  model::DocumentPtr service;
  if (scene.find_port(*parsed, service) == nullptr) return std::nullopt;
  HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(name));
  auto& rds = *manager.mutable_rds();
  rds.set_route_config_name(route_name(*parsed));
  use_ads(*rds.mutable_config_source());
  add_router(manager);
  Listener listener;
  listener.set_name(std::string(name));
  pack(manager, *listener.mutable_api_listener()->mutable_api_listener());
  return to_bytes(listener);
}

}  // namespace

std::optional<std::string> build_listener(Scene& scene, std::string_view name) {
  const Node& node = scene.node;
  if (name == kOutboundListener) {
    if (!node.outbound.is_set()) return std::nullopt;
    return outbound_listener(scene);
  }
  for (const NodePort& port : node.ports) {
    if (!port.inbound.is_set() || inbound_listener_name(port.port) != name) continue;
    return inbound_listener(scene, port, name);
  }
  return destination(scene, name);
}

}  // namespace tulle::build
