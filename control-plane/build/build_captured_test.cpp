// What is built for a node whose traffic is captured.
#include <gtest/gtest.h>

#include <algorithm>

#include "control-plane/build/build_fixture_test.hpp"
#include "control-plane/validate/validate.hpp"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/snapshot.hpp"

namespace tulle::build {
namespace {

using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using testing::parsed;
using testing::Scenario;

const std::string kShop = R"(
apiVersion: v1
kind: Service
metadata: {name: cache}
spec: {clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, "fd00:96::7"], ports: [{name: redis, port: 6379, appProtocol: redis}, {name: web, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, ports: [{port: 5432, appProtocol: postgresql}]}
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: db-0}
spec: {service: db, address: 10.0.0.5, ports: [{port: 5432, inbound: "10.0.0.5:5432", appProtocol: postgresql}]}
)";

Node captured(bool permissive = false) {
  Node node = testing::node_of();
  node.outbound = *Address::parse("127.0.0.1:4000");
  node.capture = Capture{.outbound = 15001, .inbound = 15006, .permissive = permissive};
  using Protocol = model::AppProtocol;
  node.ports = {{"http", 8080, *Address::parse("10.0.0.2:8080"), Protocol::http},
                {"redis", 6379, *Address::parse("10.0.0.2:6379"), Protocol::redis},
                {"any", 7000, *Address::parse("10.0.0.2:7000"), Protocol::unspecified}};
  return node;
}

// The snapshot that a sidecar makes of it.
config::Compiled accepted(const Scenario& mesh, const Node& node,
                          const std::vector<std::string>& destinations = {}) {
  auto outcome = testing::compiled(build_all(mesh.index, mesh.mesh, node, destinations));
  EXPECT_EQ(config::to_text(outcome.problems), "");
  return outcome;
}

const config::ListenerConfig& listener_named(const config::Snapshot& snapshot,
                                             std::string_view name) {
  const auto found = std::ranges::find_if(
      snapshot.listeners, [&](const auto& listener) { return listener->name == name; });
  EXPECT_NE(found, snapshot.listeners.end()) << name;
  return **found;
}

TEST(BuildCaptured, TheListenersOfANode) {
  const Scenario mesh(kShop);
  Node node = captured();
  EXPECT_EQ(own_listeners(node), (std::vector<std::string>{"captured-outbound", "captured-outbound6",
                                                           "captured-inbound", "outbound"}));
  const auto outcome = accepted(mesh, node);
  ASSERT_NE(outcome.snapshot, nullptr);
  const config::Snapshot& snapshot = *outcome.snapshot;
  EXPECT_EQ(listener_named(snapshot, "captured-outbound").address.to_string(), "127.0.0.1:15001");
  EXPECT_EQ(listener_named(snapshot, "captured-outbound6").address.to_string(), "[::1]:15001");
  EXPECT_EQ(listener_named(snapshot, "captured-inbound").address.to_string(), "[::]:15006");
  EXPECT_TRUE(listener_named(snapshot, "captured-outbound").chains->by_original_destination);
  EXPECT_FALSE(listener_named(snapshot, "captured-inbound").chains->by_original_destination);
  const config::ClusterConfig& deliver = *snapshot.find_cluster("inbound|8080||");
  EXPECT_TRUE(deliver.original_destination);
  EXPECT_EQ(deliver.source4.ip(), "127.0.0.6");
  EXPECT_EQ(deliver.source6.ip(), "::6");

  node.capture->ipv6 = false;
  node.capture->transparent = true;
  const auto without = accepted(mesh, node);
  ASSERT_NE(without.snapshot, nullptr);
  const auto& inbound = listener_named(*without.snapshot, "captured-inbound");
  EXPECT_EQ(inbound.address.to_string(), "0.0.0.0:15006");
  EXPECT_TRUE(inbound.transparent);
  EXPECT_EQ(without.snapshot->listeners.size(), 3u);
}

TEST(BuildCaptured, ANodeWithOtherPortsIsAnotherOne) {
  Node other = captured();
  other.capture->inbound = 1;
  EXPECT_NE(scope_of(captured(), ResourceType::listener, "captured-inbound"),
            scope_of(other, ResourceType::listener, "captured-inbound"));
  EXPECT_NE(scope_of(captured(), ResourceType::listener, "captured-inbound"),
            scope_of(captured(true), ResourceType::listener, "captured-inbound"));
}

// What a connection to a port becomes: "mesh http", "plain tcp", or "refused".
std::string becomes(const config::ListenerConfig& inbound, uint16_t port, bool tls,
                    const std::vector<std::string>& protocols = {}) {
  const config::FilterChain* chain =
      inbound.chains->choose({.destination_port = port, .tls = tls, .protocols = protocols});
  if (chain == nullptr) return "refused";
  return std::string(chain->tls != nullptr ? "mesh " : "plain ") +
         (chain->http != nullptr ? "http" : "tcp");
}

TEST(BuildCaptured, StrictTakesTheMeshsTlsForDeclaredPortsOnly) {
  const Scenario mesh(kShop);
  const auto outcome = accepted(mesh, captured());
  ASSERT_NE(outcome.snapshot, nullptr);
  const auto& inbound = listener_named(*outcome.snapshot, "captured-inbound");
  EXPECT_EQ(becomes(inbound, 8080, true, {"tulle-h2", "h2"}), "mesh http");
  EXPECT_EQ(becomes(inbound, 6379, true, {"tulle-tcp"}), "mesh tcp");
  EXPECT_EQ(becomes(inbound, 7000, true, {"tulle-h2", "h2"}), "mesh http");
  EXPECT_EQ(becomes(inbound, 7000, true, {"tulle-tcp"}), "mesh tcp");
  for (const uint16_t port : {uint16_t{8080}, uint16_t{6379}, uint16_t{7000}, uint16_t{1}}) {
    EXPECT_EQ(becomes(inbound, port, false), "refused") << port;
    EXPECT_EQ(becomes(inbound, port, false, {"http/1.1"}), "refused") << port;
  }
  EXPECT_EQ(becomes(inbound, 1, true, {"tulle-tcp"}), "refused");
  EXPECT_FALSE(inbound.chains->goes_on_when_silent);
}

TEST(BuildCaptured, PermissiveLetsTheRestThrough) {
  const Scenario mesh(kShop);
  const auto outcome = accepted(mesh, captured(true));
  ASSERT_NE(outcome.snapshot, nullptr);
  const auto& inbound = listener_named(*outcome.snapshot, "captured-inbound");
  EXPECT_EQ(becomes(inbound, 8080, true, {"tulle-h2", "h2"}), "mesh http");
  EXPECT_EQ(becomes(inbound, 6379, true, {"tulle-tcp"}), "mesh tcp");
  EXPECT_EQ(becomes(inbound, 7000, true, {"tulle-h2", "h2"}), "mesh http");
  EXPECT_EQ(becomes(inbound, 7000, true, {"tulle-tcp"}), "mesh tcp");
  EXPECT_EQ(becomes(inbound, 8080, false, {"http/1.1"}), "plain http");
  EXPECT_EQ(becomes(inbound, 8080, false), "plain http") << "declared HTTP stays HTTP";
  EXPECT_EQ(becomes(inbound, 6379, false), "plain tcp");
  EXPECT_EQ(becomes(inbound, 6379, true, {"h2"}), "plain tcp") << "TLS of the application's own";
  EXPECT_EQ(becomes(inbound, 7000, true, {"h2"}), "plain tcp");
  EXPECT_EQ(becomes(inbound, 7000, false, {"h2c"}), "plain http");
  EXPECT_EQ(becomes(inbound, 7000, false), "plain tcp");
  EXPECT_EQ(becomes(inbound, 1, false), "plain tcp");
  EXPECT_TRUE(inbound.chains->goes_on_when_silent);
}

// ---- what is called ---------------------------------------------------------------------------

TEST(BuildCaptured, AServicesAddressIsTheService) {
  const Scenario mesh(kShop);
  for (const char* name : {"10.96.0.7:6379", "[fd00:96::7]:6379"}) {
    TcpProxy proxy;
    const Built built = mesh.built(ResourceType::listener, name);
    ASSERT_TRUE(parsed<Listener>(built).api_listener().api_listener().UnpackTo(&proxy)) << name;
    EXPECT_EQ(proxy.cluster(), "outbound|6379||cache.default.svc.cluster.local");
  }
  HttpConnectionManager manager;
  const Built web = mesh.built(ResourceType::listener, "10.96.0.7:80", "elsewhere");
  ASSERT_TRUE(parsed<Listener>(web).api_listener().api_listener().UnpackTo(&manager));
  EXPECT_EQ(manager.rds().route_config_name(), "80|cache.default");
  EXPECT_TRUE(parsed<Listener>(web).has_default_filter_chain());
  EXPECT_EQ(mesh.built(ResourceType::listener, "10.96.0.7:81").resource, nullptr);
  EXPECT_EQ(mesh.built(ResourceType::listener, "10.96.0.8:80").resource, nullptr);
  const auto outcome = accepted(mesh, captured(), {"10.96.0.7:80", "[fd00:96::7]:6379", "10.0.0.5:5432"});
  ASSERT_NE(outcome.snapshot, nullptr);
  EXPECT_EQ(outcome.snapshot->destinations->size(), 3u);
}

TEST(BuildCaptured, AnAddressThatAServiceGetsOrLosesIsBuiltAgain) {
  const Scenario mesh(kShop);
  const Built nothing = mesh.built(ResourceType::listener, "10.96.0.9:80");
  EXPECT_EQ(nothing.resource, nullptr);
  EXPECT_NE(std::ranges::find(nothing.inputs, cluster_ip_input("10.96.0.9")), nothing.inputs.end());
  Index index(mesh.index.view());
  const model::StoreView with = testing::view_of(
      kShop + "---\napiVersion: v1\nkind: Service\nmetadata: {name: new}\n"
              "spec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}\n");
  const auto touched = [&](const model::StoreView& view, const Input& input) {
    const std::vector<Touch> touches = index.advance(view);
    return std::ranges::find(touches, input, &Touch::input) != touches.end();
  };
  EXPECT_TRUE(touched(with, cluster_ip_input("10.96.0.9")));
  EXPECT_EQ(index.service_at("10.96.0.9")->metadata.name, "new");
  EXPECT_TRUE(touched(testing::view_of(kShop), cluster_ip_input("10.96.0.9")));
  EXPECT_EQ(index.service_at("10.96.0.9"), nullptr);
}

TEST(BuildCaptured, TwoServicesCannotBeAtOneAddress) {
  const Scenario mesh(kShop);
  const model::StoreView read = testing::view_of(
      "apiVersion: v1\nkind: Service\nmetadata: {name: thief}\n"
      "spec: {clusterIPs: [10.96.0.1, \"fd00:96::7\"], ports: [{port: 80}]}\n");
  const model::DocumentPtr thief = read.find(model::Kind::service, "default", "thief");
  EXPECT_EQ(config::to_text(validate::check_put(mesh.index.view(), *thief, nullptr)),
            "spec.clusterIPs[1]: fd00:96::7 is the address of Service \"default/cache\" already\n");
  const model::DocumentPtr itself = mesh.index.service("default", "cache");
  EXPECT_EQ(config::to_text(validate::check_put(mesh.index.view(), *itself, nullptr)), "");
}

}  // namespace
}  // namespace tulle::build
