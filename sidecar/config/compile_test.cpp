#include "sidecar/config/compile.hpp"

#include <gtest/gtest.h>

#include "core/net/tls.hpp"
#include "sidecar/config/compile_fixture_test.hpp"

namespace tulle::config {
namespace {

using testing::changed;
using testing::compile_json;
using testing::compiled;
using testing::kInApplication;
using testing::kInManager;
using testing::kInOrders;
using testing::kInRoute;
using testing::kRouteAt;
using testing::match;
using testing::policies_of;
using testing::with_eds;
using testing::with_rds;

const std::string kApplication = testing::kApplication;
const std::string kOrders = testing::kOrders;

TEST(Compile, TheExample) {
  const auto snapshot = compiled(testing::example());
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(snapshot->generation, 1u);
  EXPECT_EQ(snapshot->version.size(), 32u);
  ASSERT_EQ(snapshot->listeners.size(), 2u);

  const ListenerConfig& inbound = *snapshot->listeners[0];  // by name
  EXPECT_EQ(inbound.name, "inbound");
  EXPECT_EQ(inbound.direction, Direction::inbound);
  EXPECT_EQ(inbound.address.to_string(), "0.0.0.0:15006");
  ASSERT_NE(inbound.tls, nullptr);
  EXPECT_EQ(inbound.tls->own_spiffe_id(), "spiffe://example.org/ns/default/sa/web");
  EXPECT_EQ(inbound.http.codec, HttpOptions::Codec::automatic);
  EXPECT_EQ(inbound.http.limits.max_concurrent_streams, 1024u);
  EXPECT_EQ(inbound.http.limits.misbehaviour_per_second, 10'000u);
  EXPECT_EQ(inbound.tls_handshake_timeout, 5s);

  const ListenerConfig& outbound = *snapshot->listeners[1];
  EXPECT_EQ(outbound.direction, Direction::outbound);
  EXPECT_EQ(outbound.tls, nullptr);
  EXPECT_EQ(outbound.stat_name, "outbound");
  EXPECT_EQ(outbound.http.codec, HttpOptions::Codec::http1);
  EXPECT_EQ(outbound.http.stream_idle_timeout, 5min);
  EXPECT_EQ(outbound.http.request_timeout, 0s);

  const ClusterConfig* orders = snapshot->find_cluster("orders");
  ASSERT_NE(orders, nullptr);
  EXPECT_EQ(&snapshot->cluster(orders->index), orders);
  EXPECT_EQ(orders->connect_timeout, 1s);
  EXPECT_EQ(orders->tls_handshake_timeout, 5s);
  EXPECT_EQ(orders->balancing, Balancing::peak_ewma);
  EXPECT_EQ(orders->protocol, UpstreamProtocol::automatic);
  EXPECT_EQ(policies_of(orders->policies),
            "limits: max_connections=1024 max_pending_requests=1024 max_requests=1024\n"
            "retry_budget: percent=20 least=3\n");
  EXPECT_EQ(orders->sni, "orders.default");
  ASSERT_NE(orders->tls, nullptr);
  ASSERT_EQ(orders->endpoints.size(), 1u);
  EXPECT_EQ(orders->endpoints[0].address.to_string(), "10.0.0.7:15006");
  EXPECT_EQ(orders->endpoints[0].weight, 1u);

  const ClusterConfig* application = snapshot->find_cluster("application");
  ASSERT_NE(application, nullptr);
  EXPECT_EQ(application->tls, nullptr);
  EXPECT_EQ(application->protocol, UpstreamProtocol::http1);
  EXPECT_EQ(application->balancing, Balancing::round_robin);

  const routing::Route* route = match(*snapshot, 1, "orders.default", "/x");
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->name, "orders[0]");
  EXPECT_EQ(route->virtual_host, "orders");
  const auto& forward = std::get<routing::Forward>(route->action);
  EXPECT_EQ(forward.pick(7).cluster, orders->index);
  EXPECT_EQ(policies_of(route->policies), "timeout: request=15000ms\n");
  EXPECT_FALSE(forward.idle_timeout);
  EXPECT_EQ(match(*snapshot, 1, "payments", "/x"), nullptr);
  EXPECT_EQ(snapshot->find_cluster("payments"), nullptr);
}

TEST(Compile, NothingIsAnEmptySnapshot) {
  const Compiled none = compile({}, {}, nullptr);
  EXPECT_TRUE(none.problems.empty());
  ASSERT_NE(none.snapshot, nullptr);
  EXPECT_TRUE(none.snapshot->listeners.empty());
}

TEST(Compile, ResourcesReferToEachOther) {
  EXPECT_NE(compiled(changed(kOrders + "/type", "\"EDS\"")), nullptr);  // inline endpoints
  const nlohmann::json json = with_eds(with_rds());
  const auto snapshot = compiled(json);
  ASSERT_NE(snapshot, nullptr);
  EXPECT_NE(match(*snapshot, 1, "orders", "/"), nullptr);
  EXPECT_EQ(snapshot->find_cluster("orders")->endpoints.size(), 1u);

  EXPECT_EQ(compile_json(changed("/static_resources/4", "-", json)).problems,
            kInManager + ".rds.route_config_name: RouteConfiguration \"by-name\" does not exist\n");
  EXPECT_EQ(compile_json(changed("/static_resources/5", "-", json)).problems,
            kInOrders + "ClusterLoadAssignment \"orders-endpoints\" does not exist\n");
  // The fault is where the resource is, once.
  EXPECT_EQ(compile_json(changed("/static_resources/4/virtual_hosts/0/routes/0/match", "-", json))
                .problems,
            "static_resources[4] RouteConfiguration \"by-name\": virtual_hosts[0].routes[0].match: "
            "is missing\n");
}

TEST(Compile, BytesThatAreNoMessage) {
  xds::ResourceSet resources;
  for (const xds::ResourceType type : xds::kResourceTypes) {
    xds::Resource resource;
    resource.type = type;
    resource.name = "x";
    resource.bytes = "\x0a\x01y";  // a message, but called "y"
    resources.put(resource);
  }
  EXPECT_EQ(to_text(compile(resources, {}, nullptr).problems),
            "Cluster \"x\": is called \"y\" inside\n"
            "RouteConfiguration \"x\": is called \"y\" inside\n"
            "Listener \"x\": is called \"y\" inside\n");
  xds::Resource broken = *resources.all(xds::ResourceType::cluster).begin()->second;
  broken.bytes = "\x0a\x7f";
  resources.put(broken);
  EXPECT_EQ(compile(resources, {}, nullptr).problems.front().text(),
            "Cluster \"x\": is not a well-formed envoy.config.cluster.v3.Cluster");
}

TEST(Compile, ReportsAllFaultsAtOnce) {
  nlohmann::json json = changed(kOrders + "/connect_timeout", "\"0s\"");
  json = changed(kRouteAt + "/route/cluster", "\"gone\"", json);
  json = changed(kRouteAt + "/match", "{}", json);
  json = changed(kApplication + "/lb_policy", "\"MAGLEV\"", json);
  EXPECT_EQ(compile_json(json).problems,
            kInApplication + "lb_policy: only ROUND_ROBIN and LEAST_REQUEST are supported yet\n" +
                kInOrders + "connect_timeout: must be more than 0s\n" + kInRoute +
                ".match: needs one of prefix, path, path_separated_prefix, safe_regex, "
                "connect_matcher\n" +
                kInRoute + ".route.cluster: cluster \"gone\" does not exist\n");
}

}  // namespace
}  // namespace tulle::config
