#include "sidecar/config/external_destination.hpp"

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/destinations.hpp"

namespace tulle::config {

namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::http::router::v3::Router;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using SourceProxy = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

constexpr const char* kTypePrefix = "type.googleapis.com";

void put(xds::ResourceSet& resources, xds::ResourceType type, const std::string& name,
         const google::protobuf::Message& message) {
  xds::Resource resource;
  resource.type = type;
  resource.name = name;
  resource.bytes = message.SerializeAsString();
  resource.origin = kEgressOrigin;
  resources.put(std::move(resource));
}

Listener listener_of(const std::string& name) {
  HttpConnectionManager manager;
  auto& filter = *manager.add_http_filters();
  filter.set_name("envoy.filters.http.router");
  filter.mutable_typed_config()->PackFrom(Router(), kTypePrefix);
  auto& host = *manager.mutable_route_config()->add_virtual_hosts();
  host.set_name("external");
  host.add_domains("*");
  auto& route = *host.add_routes();
  route.set_name("external");
  route.mutable_match()->set_prefix("/");
  route.mutable_route()->set_cluster(external_cluster_name(name));
  Listener listener;
  listener.set_name(name);
  listener.mutable_api_listener()->mutable_api_listener()->PackFrom(manager, kTypePrefix);
  // What is not HTTP passes as it is, TLS of the application's own included.
  SourceProxy proxy;
  proxy.set_stat_prefix("external");
  proxy.set_cluster(external_cluster_name(name));
  auto& opaque = *listener.mutable_default_filter_chain()->add_filters();
  opaque.set_name("envoy.filters.network.tcp_proxy");
  opaque.mutable_typed_config()->PackFrom(proxy, kTypePrefix);
  return listener;
}

Cluster cluster_of(const std::string& name, const std::vector<Address>& addresses) {
  Cluster cluster;
  cluster.set_name(external_cluster_name(name));
  cluster.set_type(Cluster::STATIC);
  cluster.set_lb_policy(Cluster::LEAST_REQUEST);
  auto& assignment = *cluster.mutable_load_assignment();
  assignment.set_cluster_name(cluster.name());
  auto& group = *assignment.add_endpoints();
  for (const Address& address : addresses) {
    auto& socket = *group.add_lb_endpoints()
                        ->mutable_endpoint()
                        ->mutable_address()
                        ->mutable_socket_address();
    socket.set_address(address.ip());
    socket.set_port_value(address.port());
  }
  return cluster;
}

}  // namespace

std::string external_cluster_name(const std::string& name) { return "external|" + name; }

void add_external_destination(xds::ResourceSet& resources, const std::string& name,
                              const std::vector<Address>& addresses) {
  put(resources, xds::ResourceType::listener, name, listener_of(name));
  put(resources, xds::ResourceType::cluster, external_cluster_name(name),
      cluster_of(name, addresses));
}

}  // namespace tulle::config
