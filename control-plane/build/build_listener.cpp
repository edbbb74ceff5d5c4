// The listeners of a node: for its application's calls, for each of its ports, and one without a
// socket per destination, which says what is spoken there and where it goes.
#include <optional>

#include "control-plane/build/build_chains.hpp"
#include "control-plane/model/service_rules.hpp"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace tulle::build {

namespace {

namespace core = envoy::config::core::v3;

// As requests have two more attempts when there is no connection.
constexpr uint32_t kConnectAttempts = 3;

std::string outbound_listener(const Scene& scene) {
  Listener listener;
  listener.set_name(std::string(kOutboundListener));
  listener.set_traffic_direction(core::OUTBOUND);
  set_address(scene.node.outbound, *listener.mutable_address());
  add_outbound_http(scene, kOutboundListener, *listener.add_filter_chains());
  return to_bytes(listener);
}

// What the caller's sidecar has found out to be opaque it offers as that, in the handshake.
void add_both_chains(const Scene& scene, const NodePort& port, std::string_view name,
                     Listener& listener) {
  inspect_tls(listener);
  FilterChain& tcp = *listener.add_filter_chains();
  tcp.set_name("tcp");
  tcp.mutable_filter_chain_match()->set_transport_protocol("tls");
  tcp.mutable_filter_chain_match()->add_application_protocols("tulle-tcp");
  add_inbound_tcp(name, inbound_cluster_name(port.port), Transport::mesh, tcp);
  FilterChain& http = *listener.mutable_default_filter_chain();
  http.set_name("http");
  add_inbound_http(scene, port, name, Transport::mesh, http);
}

std::string inbound_listener(const Scene& scene, const NodePort& port, std::string_view name) {
  Listener listener;
  listener.set_name(std::string(name));
  listener.set_traffic_direction(core::INBOUND);
  set_address(port.inbound, *listener.mutable_address());
  if (port.app_protocol == model::AppProtocol::unspecified) {
    add_both_chains(scene, port, name, listener);
  } else if (model::is_opaque(port.app_protocol)) {
    add_inbound_tcp(name, inbound_cluster_name(port.port), Transport::mesh,
                    *listener.add_filter_chains());
  } else {
    add_inbound_http(scene, port, name, Transport::mesh, *listener.add_filter_chains());
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

std::optional<std::string> service_destination(Scene& scene, const ServicePortName& called,
                                               std::string_view name) {
  model::DocumentPtr service;
  const model::ServicePort* port = scene.find_port(called, service);
  if (port == nullptr) return std::nullopt;
  scene.inputs.push_back(routes_input(called.namespace_name, called.service));
  const bool rules = !scene.index.routes_of(called.namespace_name, called.service).empty();
  HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(name));
  auto& rds = *manager.mutable_rds();
  rds.set_route_config_name(route_name(called));
  use_ads(*rds.mutable_config_source());
  add_router(manager);
  return destination_of(name, manager, cluster_name(called, scene.mesh), port->app_protocol,
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
    const ServicePortName called = scene.at_cluster_ip(*address);
    return called.service.empty() ? address_destination(scene, *address, name)
                                  : service_destination(scene, called, name);
  }
  const auto called = parse_destination(name, scene.node.namespace_name, scene.mesh);
  return called ? service_destination(scene, *called, name) : std::nullopt;
}

}  // namespace

std::optional<std::string> build_listener(Scene& scene, std::string_view name) {
  const Node& node = scene.node;
  if (name == kOutboundListener) {
    if (!node.outbound.is_set()) return std::nullopt;
    return outbound_listener(scene);
  }
  if (auto captured = build_captured(scene, name)) return captured;
  for (const NodePort& port : node.ports) {
    if (node.capture || !port.inbound.is_set() || inbound_listener_name(port.port) != name) continue;
    return inbound_listener(scene, port, name);
  }
  return destination(scene, name);
}

}  // namespace tulle::build
