#include "control-plane/build/build_chains.hpp"

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace tulle::build {

namespace {

namespace filters = envoy::extensions::filters::http;
namespace inspectors = envoy::extensions::filters::listener;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

constexpr Duration kStreamIdle = 5min;
// Databases keep connections in pools and say nothing on them for long.
constexpr Duration kTcpIdle = 1h;

void add_filter(const char* name, const google::protobuf::Message& config,
                HttpConnectionManager& manager) {
  auto& filter = *manager.add_http_filters();
  filter.set_name(name);
  pack(config, *filter.mutable_typed_config());
}

// WebSocket works with nothing configured.
void begin_manager(const Scene& scene, std::string_view name, HttpConnectionManager& manager) {
  manager.set_stat_prefix(std::string(name));
  set_duration(kStreamIdle, *manager.mutable_stream_idle_timeout());
  manager.add_upgrade_configs()->set_upgrade_type("websocket");
  manager.mutable_route_config()->set_name(std::string(name));
  build_tracing(scene, manager);
}

void add_manager(const HttpConnectionManager& manager, FilterChain& chain) {
  auto& filter = *chain.add_filters();
  filter.set_name("envoy.filters.network.http_connection_manager");
  pack(manager, *filter.mutable_typed_config());
}

void add_listener_filter(const char* name, const google::protobuf::Message& config,
                         Listener& listener) {
  auto& filter = *listener.add_listener_filters();
  filter.set_name(name);
  pack(config, *filter.mutable_typed_config());
}

}  // namespace

void add_router(HttpConnectionManager& manager) {
  add_filter("envoy.filters.http.router", filters::router::v3::Router(), manager);
}

void add_outbound_http(const Scene& scene, std::string_view name, FilterChain& chain) {
  HttpConnectionManager manager;
  begin_manager(scene, name, manager);
  add_filter("envoy.filters.http.on_demand", filters::on_demand::v3::OnDemand(), manager);
  add_router(manager);
  add_manager(manager, chain);
}

void add_inbound_http(const Scene& scene, const NodePort& port, std::string_view name,
                      Transport transport, FilterChain& chain) {
  HttpConnectionManager manager;
  begin_manager(scene, name, manager);
  auto& host = *manager.mutable_route_config()->add_virtual_hosts();
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
  if (transport == Transport::mesh) {
    build_server_tls(Inside::http, *chain.mutable_transport_socket());
  }
  add_manager(manager, chain);
}

void add_inbound_tcp(std::string_view name, const std::string& cluster, Transport transport,
                     FilterChain& chain) {
  if (transport == Transport::mesh) {
    build_server_tls(Inside::tcp, *chain.mutable_transport_socket());
  }
  add_proxy(name, cluster, 1, chain);
}

void add_proxy(std::string_view stat_prefix, const std::string& cluster, uint32_t attempts,
               FilterChain& chain) {
  TcpProxy proxy;
  proxy.set_stat_prefix(std::string(stat_prefix));
  if (cluster.empty()) {
    proxy.mutable_on_demand();
  } else {
    proxy.set_cluster(cluster);
  }
  set_duration(kTcpIdle, *proxy.mutable_idle_timeout());
  proxy.mutable_max_connect_attempts()->set_value(attempts);
  auto& filter = *chain.add_filters();
  filter.set_name("envoy.filters.network.tcp_proxy");
  pack(proxy, *filter.mutable_typed_config());
}

void inspect_tls(Listener& listener) {
  add_listener_filter("envoy.filters.listener.tls_inspector",
                      inspectors::tls_inspector::v3::TlsInspector(), listener);
}

void inspect_http(Listener& listener) {
  add_listener_filter("envoy.filters.listener.http_inspector",
                      inspectors::http_inspector::v3::HttpInspector(), listener);
}

void ask_original_destination(Listener& listener) {
  add_listener_filter("envoy.filters.listener.original_dst",
                      inspectors::original_dst::v3::OriginalDst(), listener);
}

}  // namespace tulle::build
