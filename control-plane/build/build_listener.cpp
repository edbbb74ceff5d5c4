// The listeners of a node: for its application's calls, for each of its ports, and one without a
// socket per destination, which says what is spoken there and where it goes.
#include <optional>

#include "control-plane/build/build_parts.hpp"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "control-plane/model/service_rules.hpp"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace tulle::build {

namespace {

namespace core = envoy::config::core::v3;
namespace filters = envoy::extensions::filters::http;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

constexpr Duration kStreamIdle = 5min;
// Databases keep connections in pools and say nothing on them for long.
constexpr Duration kTcpIdle = 1h;
// As requests have two more attempts when there is no connection.
constexpr uint32_t kConnectAttempts = 3;

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

void add_proxy(std::string_view stat_prefix, const std::string& cluster, uint32_t attempts,
               FilterChain& chain) {
  TcpProxy proxy;
  proxy.set_stat_prefix(std::string(stat_prefix));
  proxy.set_cluster(cluster);
  set_duration(kTcpIdle, *proxy.mutable_idle_timeout());
  proxy.mutable_max_connect_attempts()->set_value(attempts);
  auto& filter = *chain.add_filters();
  filter.set_name("envoy.filters.network.tcp_proxy");
  pack(proxy, *filter.mutable_typed_config());
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

void add_http_chain(const Scene& scene, const NodePort& port, std::string_view name, FilterChain& chain) {
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
  build_server_tls(Inside::http, *chain.mutable_transport_socket());
  add_manager(manager, chain);
}

void add_tcp_chain(const NodePort& port, std::string_view name, FilterChain& chain) {
  build_server_tls(Inside::tcp, *chain.mutable_transport_socket());
  add_proxy(name, inbound_cluster_name(port.port), 1, chain);
}

// What the caller's sidecar has found out to be opaque it offers as that, in the handshake.
void add_both_chains(const Scene& scene, const NodePort& port, std::string_view name, Listener& listener) {
  namespace inspectors = envoy::extensions::filters::listener;
  auto& filter = *listener.add_listener_filters();
  filter.set_name("envoy.filters.listener.tls_inspector");
  pack(inspectors::tls_inspector::v3::TlsInspector(), *filter.mutable_typed_config());
  FilterChain& tcp = *listener.add_filter_chains();
  tcp.set_name("tcp");
  tcp.mutable_filter_chain_match()->set_transport_protocol("tls");
  tcp.mutable_filter_chain_match()->add_application_protocols("tulle-tcp");
  add_tcp_chain(port, name, tcp);
  FilterChain& http = *listener.mutable_default_filter_chain();
  http.set_name("http");
  add_http_chain(scene, port, name, http);
}

std::string inbound_listener(const Scene& scene, const NodePort& port, std::string_view name) {
  Listener listener;
  listener.set_name(std::string(name));
  listener.set_traffic_direction(core::INBOUND);
  set_address(port.inbound, *listener.mutable_address());
  if (port.app_protocol == model::AppProtocol::unspecified) {
    add_both_chains(scene, port, name, listener);
  } else if (model::is_opaque(port.app_protocol)) {
    add_tcp_chain(port, name, *listener.add_filter_chains());
  } else {
    add_http_chain(scene, port, name, *listener.add_filter_chains());
  }
  return to_bytes(listener);
}

// What is spoken at a destination, as declared; `cluster` takes what is opaque. Where it is not
// declared both are there, unless requests have rules of their own: what looked like something else
// would go round them.
std::string destination_of(std::string_view name, const HttpConnectionManager& manager,
                           const std::string& cluster, model::AppProtocol protocol, bool rules) {
  Listener listener;
  listener.set_name(std::string(name));
  auto& declared = *listener.mutable_api_listener()->mutable_api_listener();
  FilterChain opaque;
  add_proxy(name, cluster, kConnectAttempts, opaque);
  if (model::is_opaque(protocol)) {
    declared = opaque.filters(0).typed_config();
    return to_bytes(listener);
  }
  pack(manager, declared);
  if (protocol == model::AppProtocol::unspecified && !rules) {
    *listener.mutable_default_filter_chain() = opaque;
  }
  return to_bytes(listener);
}

std::optional<std::string> service_destination(Scene& scene, std::string_view name) {
  const auto parsed = parse_destination(name, scene.node.namespace_name, scene.mesh);
  if (!parsed) return std::nullopt;
  model::DocumentPtr service;
  const model::ServicePort* port = scene.find_port(*parsed, service);
  if (port == nullptr) return std::nullopt;
  scene.inputs.push_back(routes_input(parsed->namespace_name, parsed->service));
  const bool rules = !scene.index.routes_of(parsed->namespace_name, parsed->service).empty();
  HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(name));
  auto& rds = *manager.mutable_rds();
  rds.set_route_config_name(route_name(*parsed));
  use_ads(*rds.mutable_config_source());
  add_router(manager);
  return destination_of(name, manager, cluster_name(*parsed, scene.mesh), port->app_protocol,
                        rules);
}

// One instance by its address: stateful services are called like that.
std::optional<std::string> address_destination(Scene& scene, const AddressPortName& parsed,
                                               std::string_view name) {
  model::DocumentPtr workload;
  const model::WorkloadPort* port = scene.find_port(parsed, workload);
  if (port == nullptr) return std::nullopt;
  HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(name));
  auto& host = *manager.mutable_route_config()->add_virtual_hosts();
  host.set_name("instance");
  host.add_domains("*");
  auto& route = *host.add_routes();
  route.set_name("instance");
  route.mutable_match()->set_prefix("/");
  build_default_action(cluster_name(parsed), route);
  add_router(manager);
  return destination_of(name, manager, cluster_name(parsed), port->app_protocol, false);
}

std::optional<std::string> destination(Scene& scene, std::string_view name) {
  if (const auto address = parse_address_destination(name)) {
    return address_destination(scene, *address, name);
  }
  return service_destination(scene, name);
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
