// How long a configuration of 1,000 clusters with 20 endpoints each takes to compile: whole, again
// without a change, and after one endpoint, one cluster or one route has changed.
//
//   bench_compile_snapshot [CERTIFICATE KEY CA]     with the files, every cluster speaks mTLS
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/config/compile.hpp"
#include "sidecar/config/read_file.hpp"

namespace tulle {
namespace {

namespace core = envoy::config::core::v3;
namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;

constexpr int kClusters = 1000;
constexpr int kEndpoints = 20;

std::string name_of(int cluster) { return "outbound|80||service-" + std::to_string(cluster); }

void put(xds::ResourceSet& set, xds::ResourceType type, const std::string& name,
         const google::protobuf::Message& message) {
  xds::Resource resource;
  resource.type = type;
  resource.name = name;
  resource.bytes = message.SerializeAsString();
  set.put(std::move(resource));
}

void set_address(core::Address& address, const std::string& ip, uint32_t port) {
  address.mutable_socket_address()->set_address(ip);
  address.mutable_socket_address()->set_port_value(port);
}

// `salt` moves the first endpoint to another port.
void put_endpoints(xds::ResourceSet& set, int cluster, int salt) {
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(name_of(cluster));
  auto& group = *assignment.add_endpoints();
  group.mutable_locality()->set_region("eu");
  for (int i = 0; i < kEndpoints; ++i) {
    const std::string ip = "10." + std::to_string(cluster / 250) + "." +
                           std::to_string(cluster % 250) + "." + std::to_string(i + 1);
    set_address(*group.add_lb_endpoints()->mutable_endpoint()->mutable_address(), ip,
                static_cast<uint32_t>(8080 + (i == 0 ? salt : 0)));
  }
  put(set, xds::ResourceType::endpoints, name_of(cluster), assignment);
}

void put_cluster(xds::ResourceSet& set, int cluster, bool mutual, int64_t timeout = 1) {
  Cluster message;
  message.set_name(name_of(cluster));
  message.set_type(Cluster::EDS);
  message.set_lb_policy(Cluster::LEAST_REQUEST);
  message.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  message.mutable_connect_timeout()->set_seconds(timeout);
  if (mutual) {
    tls::UpstreamTlsContext context;
    auto& common = *context.mutable_common_tls_context();
    common.add_tls_certificate_sds_secret_configs()->set_name("default");
    auto& validation = *common.mutable_combined_validation_context();
    validation.mutable_validation_context_sds_secret_config()->set_name("ROOTCA");
    auto& san =
        *validation.mutable_default_validation_context()->add_match_typed_subject_alt_names();
    san.set_san_type(tls::SubjectAltNameMatcher::URI);
    san.mutable_matcher()->set_exact("spiffe://example.org/ns/default/sa/service-" +
                                     std::to_string(cluster));
    message.mutable_transport_socket()->mutable_typed_config()->PackFrom(context);
  }
  put(set, xds::ResourceType::cluster, name_of(cluster), message);
}

void put_routes(xds::ResourceSet& set, int salt) {
  RouteConfiguration table;
  table.set_name("80");
  for (int i = 0; i < kClusters; ++i) {
    auto& host = *table.add_virtual_hosts();
    host.set_name("service-" + std::to_string(i));
    for (const char* suffix : {"", ".default", ".default.svc", ".default.svc.cluster.local"}) {
      host.add_domains(host.name() + suffix);
    }
    auto& route = *host.add_routes();
    route.mutable_match()->set_prefix("/");
    route.mutable_route()->set_cluster(name_of(i));
    if (i == 0) route.mutable_route()->mutable_timeout()->set_seconds(10 + salt);
  }
  put(set, xds::ResourceType::route, "80", table);
}

void put_listener(xds::ResourceSet& set) {
  hcm::HttpConnectionManager manager;
  manager.set_stat_prefix("outbound");
  manager.mutable_rds()->set_route_config_name("80");
  manager.mutable_rds()->mutable_config_source()->mutable_ads();
  auto& filter = *manager.add_http_filters();
  filter.set_name("envoy.filters.http.router");
  filter.mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
  Listener listener;
  listener.set_name("outbound");
  listener.set_traffic_direction(core::OUTBOUND);
  set_address(*listener.mutable_address(), "127.0.0.1", 15001);
  listener.add_filter_chains()->add_filters()->mutable_typed_config()->PackFrom(manager);
  put(set, xds::ResourceType::listener, "outbound", listener);
}

std::string file_or_exit(const char* path) {
  auto content = config::read_file(path);
  if (content) return *content;
  std::fprintf(stderr, "%s\n", content.error().detail.c_str());
  std::exit(2);
}

struct Timed {
  std::shared_ptr<const config::Snapshot> snapshot;
  double milliseconds;
};

Timed timed_compile(const xds::ResourceSet& set, const config::Materials& materials,
                    const config::Snapshot* previous, int rounds) {
  std::vector<double> times;
  Timed timed{};
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    config::Compiled compiled = config::compile(set, materials, previous);
    const auto took = std::chrono::steady_clock::now() - start;
    if (!compiled.snapshot) {
      std::fprintf(stderr, "%s", config::to_text(compiled.problems).c_str());
      std::exit(1);
    }
    times.push_back(std::chrono::duration<double, std::milli>(took).count());
    timed.snapshot = std::move(compiled.snapshot);
  }
  std::ranges::sort(times);
  timed.milliseconds = times[times.size() / 2];
  return timed;
}

int shared_clusters(const config::Snapshot& a, const config::Snapshot& b) {
  int count = 0;
  for (size_t i = 0; i < a.clusters.size(); ++i) count += a.clusters[i] == b.clusters[i];
  return count;
}

int run(const config::Materials& materials) {
  const bool mutual = materials.identity.has_value();
  xds::ResourceSet set;
  put_listener(set);
  put_routes(set, 0);
  for (int i = 0; i < kClusters; ++i) {
    put_cluster(set, i, mutual);
    put_endpoints(set, i, 0);
  }
  std::printf("%d clusters x %d endpoints, one table of %d hosts, %s\n", kClusters, kEndpoints,
              kClusters, mutual ? "mTLS" : "plaintext");
  const Timed whole = timed_compile(set, materials, nullptr, 5);
  std::printf("  whole            %9.3f ms\n", whole.milliseconds);

  const auto report = [&](const char* what, const xds::ResourceSet& changed) {
    const Timed again = timed_compile(changed, materials, whole.snapshot.get(), 51);
    std::printf("  %-16s %9.3f ms, %d clusters shared, listener %s\n", what, again.milliseconds,
                shared_clusters(*whole.snapshot, *again.snapshot),
                whole.snapshot->listeners == again.snapshot->listeners ? "shared" : "rebuilt");
  };
  report("no change", set);
  xds::ResourceSet endpoint = set;
  put_endpoints(endpoint, 500, 1);
  report("one endpoint", endpoint);
  xds::ResourceSet cluster = set;
  put_cluster(cluster, 500, mutual, 2);
  report("one cluster", cluster);
  xds::ResourceSet route = set;
  put_routes(route, 1);
  report("one route", route);
  return 0;
}

}  // namespace
}  // namespace tulle

int main(int argc, char** argv) {
  tulle::config::Materials materials;
  if (argc == 4) {
    materials.identity = tulle::config::Identity{
        tulle::file_or_exit(argv[1]), tulle::file_or_exit(argv[2]), tulle::file_or_exit(argv[3]),
        "example.org", argv[1]};
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: %s [CERTIFICATE KEY CA]\n", argv[0]);
    return 2;
  }
  return tulle::run(materials);
}
