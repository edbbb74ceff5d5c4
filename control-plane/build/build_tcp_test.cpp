// Opaque ports: what is built for them, and for ports of which nothing is declared.
#include <gtest/gtest.h>

#include <algorithm>

#include "control-plane/build/build_fixture_test.hpp"
#include "control-plane/validate/validate.hpp"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace tulle::build {
namespace {

using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using testing::parsed;
using testing::Scenario;

const std::string kCache = R"(
apiVersion: v1
kind: Service
metadata: {name: cache}
spec: {ports: [{name: redis, port: 6379, appProtocol: redis}, {name: any, port: 7000}]}
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: cache-1}
spec:
  service: cache
  address: 10.0.0.5
  ports:
  - {name: redis, port: 6379, inbound: "10.0.0.5:15006", appProtocol: redis}
  - {name: any, port: 7000, inbound: "10.0.0.5:15007"}
)";

Node cache_node() {
  Node node = testing::node_of();
  node.ports = {{"redis", 6379, *Address::parse("127.0.0.1:1"), model::AppProtocol::redis},
                {"any", 7000, *Address::parse("127.0.0.1:2"), model::AppProtocol::unspecified}};
  return node;
}

std::string cluster_in(const google::protobuf::Any& any) {
  TcpProxy proxy;
  EXPECT_TRUE(any.UnpackTo(&proxy));
  EXPECT_EQ(proxy.idle_timeout().seconds(), 3600);
  return proxy.cluster();
}

TEST(BuildTcp, ADeclaredPortTakesOpaqueConnectionsOnly) {
  const Scenario mesh(kCache);
  const Listener made = parsed<Listener>(mesh.built(ResourceType::listener, "cache:6379"));
  EXPECT_EQ(cluster_in(made.api_listener().api_listener()),
            "outbound|6379||cache.default.svc.cluster.local");
  EXPECT_FALSE(made.has_default_filter_chain());
}

TEST(BuildTcp, AnUndeclaredPortTakesBoth) {
  const Scenario mesh(kCache);
  const Listener made = parsed<Listener>(mesh.built(ResourceType::listener, "cache:7000"));
  EXPECT_TRUE(made.api_listener().api_listener().Is<HttpConnectionManager>());
  EXPECT_EQ(cluster_in(made.default_filter_chain().filters(0).typed_config()),
            "outbound|7000||cache.default.svc.cluster.local");
}

// What looked like something else would go round the rules.
TEST(BuildTcp, WithRulesForRequestsAnUndeclaredPortTakesHttpOnly) {
  const Scenario mesh(kCache + R"(
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{kind: Service, group: '', name: cache, port: 7000}]
  rules: [{}]
)");
  const Built built = mesh.built(ResourceType::listener, "cache:7000");
  EXPECT_FALSE(parsed<Listener>(built).has_default_filter_chain());
  EXPECT_TRUE(std::ranges::find(built.inputs, routes_input("default", "cache")) !=
              built.inputs.end());
}

TEST(BuildTcp, AnInstanceIsReachedByItsAddress) {
  const Scenario mesh(kCache);
  const Built built = mesh.built(ResourceType::listener, "10.0.0.5:6379");
  EXPECT_EQ(cluster_in(parsed<Listener>(built).api_listener().api_listener()),
            "outbound|6379||10.0.0.5");
  EXPECT_EQ(built.inputs,
            (std::vector<Input>{address_input("10.0.0.5"), cluster_ip_input("10.0.0.5")}));

  const auto cluster = parsed<envoy::config::cluster::v3::Cluster>(
      mesh.built(ResourceType::cluster, "outbound|6379||10.0.0.5"));
  const auto& socket = cluster.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address()
                           .socket_address();
  EXPECT_EQ(socket.address() + ":" + std::to_string(socket.port_value()), "10.0.0.5:15006");
  envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext tls;
  ASSERT_TRUE(cluster.transport_socket().typed_config().UnpackTo(&tls));
  EXPECT_EQ(tls.common_tls_context().combined_validation_context().default_validation_context()
                .match_typed_subject_alt_names(0).matcher().exact(),
            "spiffe://mesh.local/ns/default/sa/cache");

  EXPECT_EQ(mesh.built(ResourceType::listener, "10.0.0.6:6379").resource, nullptr);
  EXPECT_EQ(mesh.built(ResourceType::listener, "10.0.0.5:1").resource, nullptr);
  EXPECT_EQ(mesh.built(ResourceType::cluster, "outbound|6379||10.0.0.05").resource, nullptr);
}

TEST(BuildTcp, InboundListenersByWhatIsDeclared) {
  const Scenario mesh(kCache);
  const Node node = cache_node();
  const auto own = [&](const char* name) {
    return parsed<Listener>(build(mesh.index, mesh.mesh, node, ResourceType::listener, name));
  };
  const Listener redis = own("inbound|6379");
  ASSERT_EQ(redis.filter_chains_size(), 1);
  EXPECT_EQ(cluster_in(redis.filter_chains(0).filters(0).typed_config()), "inbound|6379||");
  EXPECT_TRUE(redis.filter_chains(0).has_transport_socket());
  EXPECT_EQ(redis.listener_filters_size(), 0);

  const Listener any = own("inbound|7000");
  ASSERT_EQ(any.filter_chains_size(), 1);
  EXPECT_EQ(any.filter_chains(0).filter_chain_match().application_protocols(0), "tulle-tcp");
  EXPECT_TRUE(any.filter_chains(0).has_transport_socket());
  EXPECT_TRUE(any.default_filter_chain().has_transport_socket());
  EXPECT_EQ(any.listener_filters_size(), 1);
}

TEST(BuildTcp, AllOfItIsAcceptedByTheSidecar) {
  const Scenario mesh(kCache);
  const Node node = cache_node();
  const xds::ResourceSet resources =
      build_all(mesh.index, mesh.mesh, node,
                {"cache:6379", "cache:7000", "10.0.0.5:6379", "10.0.0.5:7000"});
  EXPECT_EQ(resources.all(ResourceType::listener).size(), 7u);
  EXPECT_EQ(config::to_text(testing::compiled(resources).problems), "");
}

TEST(BuildTcp, RoutesForRequestsDoNotGoWithOpaquePorts) {
  const Scenario mesh(kCache);
  const auto problems = [&](const std::string& spec) {
    const model::StoreView read = testing::view_of(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: " +
        spec + "\n");
    const model::DocumentPtr route = read.find(model::Kind::http_route, "default", "r");
    return config::to_text(validate::check_put(mesh.index.view(), *route, nullptr));
  };
  const std::string why = "port 6379 is declared \"redis\": its bytes are carried as they are, "
                          "there are no requests to route\n";
  EXPECT_EQ(problems("{parentRefs: [{kind: Service, group: '', name: cache, port: 6379}], "
                     "rules: [{}]}"),
            "spec.parentRefs[0].port: " + why);
  EXPECT_EQ(problems("{parentRefs: [{kind: Service, group: '', name: cache, port: 7000}], "
                     "rules: [{backendRefs: [{name: cache, port: 6379}]}]}"),
            "spec.rules[0].backendRefs[0].port: " + why);
}

}  // namespace
}  // namespace tulle::build
