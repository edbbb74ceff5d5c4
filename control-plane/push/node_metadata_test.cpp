#include "control-plane/push/node_metadata.hpp"

#include <gtest/gtest.h>

namespace tulle::push {
namespace {

Result<SidecarNode> read(const std::string& tulle, const std::string& id = "orders-1") {
  xds::Node node;
  node.id = id;
  node.region = "eu";
  node.metadata_json = tulle.empty() ? "" : "{\"tulle\": " + tulle + "}";
  return read_node(node, "default", "orders");
}

TEST(NodeMetadata, IsANodeAndItsWorkload) {
  const auto node = read(R"({"namespace": "shop", "service": "orders", "labels": {"version": "v1"},
      "address": "127.0.0.1", "outbound": "127.0.0.1:15001", "weight": 3.0, "ports": [
        {"name": "http", "port": 8080.0, "app_protocol": "grpc", "inbound": "[::1]:9001"}]})");
  ASSERT_TRUE(node) << node.error().detail;
  EXPECT_EQ(node->node.namespace_name, "shop");
  EXPECT_EQ(node->node.outbound.to_string(), "127.0.0.1:15001");
  EXPECT_EQ(node->node.ports.at(0).port, 8080);
  EXPECT_EQ(node->node.ports.at(0).app_protocol, model::AppProtocol::grpc);
  EXPECT_EQ(node->workload.ports.at(0).inbound, "[::1]:9001");
  EXPECT_EQ(node->workload.labels.at("version"), "v1");
  EXPECT_EQ(node->workload.weight, 3u);
  EXPECT_EQ(node->workload.locality.region, "eu");
}

TEST(NodeMetadata, SaysHowItsTrafficIsCaptured) {
  const auto node = read(R"({"namespace": "shop", "service": "orders", "address": "10.0.0.2",
      "ports": [], "capture": {"outbound": 15001.0, "inbound": 15006, "ipv6": false,
                               "transparent": true, "mtls": "permissive"}})");
  ASSERT_TRUE(node) << node.error().detail;
  EXPECT_EQ(*node->node.capture, (build::Capture{.outbound = 15001, .inbound = 15006, .ipv6 = false,
                                                 .transparent = true, .permissive = true}));
  const auto faulty = read(R"({"namespace": "shop", "service": "orders",
      "capture": {"outbound": 0, "ipv6": 1, "mtls": "maybe"}})");
  ASSERT_FALSE(faulty);
  EXPECT_EQ(faulty.error().detail,
            "node metadata: capture.outbound: must be from 1 to 65535; "
            "capture.inbound: must be from 1 to 65535; "
            "capture.ipv6: must be true or false; "
            "capture.mtls: must be \"strict\" or \"permissive\"");
}

TEST(NodeMetadata, AForeignClientIsItsIdentity) {
  const auto node = read("", "anything at all");
  ASSERT_TRUE(node);
  EXPECT_EQ(node->node.namespace_name, "default");
  EXPECT_EQ(node->node.service, "orders");
  EXPECT_TRUE(node->workload.ports.empty());
}

TEST(NodeMetadata, SaysEverythingThatIsWrong) {
  const auto node = read(R"({"namespace": 1, "labels": {"tulle.dev/service": "x", "a b": "c"},
      "outbound": "here", "weight": -1, "ports": [
        {"name": "http", "port": 0, "inbound": "127.0.0.1:1"},
        {"name": "x", "port": 1, "inbound": ""},
        {"name": "Y", "port": 1.5, "app_protocol": "https", "inbound": "127.0.0.1:0"}, 7]})");
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().detail,
            "node metadata: namespace: must be a string; "
            "outbound: must be an IP address with a port; "
            "weight: must be from 0 to 1000000; "
            "labels[\"a b\"]: is not a label; "
            "labels[\"tulle.dev/service\"]: belongs to the mesh; "
            "ports[0].port: must be from 1 to 65535; "
            "ports[1].inbound: is missing; "
            "ports[2].name: is not a name; "
            "ports[2].port: must be from 1 to 65535; "
            "ports[2].inbound: must be an IP address with a port; "
            "ports[2].app_protocol: \"https\" is not supported yet; "
            "ports[3]: must be an object");
  EXPECT_FALSE(read("[]"));
  EXPECT_FALSE(read("{}", "no such name"));
  EXPECT_FALSE(read("{}", "../x"));
}

TEST(NodeMetadata, AnAccountIsOneOfThisMesh) {
  const auto account = account_of_spiffe_id("spiffe://mesh.local/ns/a/sa/b", "mesh.local");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->namespace_name, "a");
  EXPECT_EQ(account->name, "b");
  for (const char* other : {"", "spiffe://mesh.local/ns/a/sa/b/c", "spiffe://mesh.local.evil/ns/a/sa/b",
                            "spiffe://mesh.local/ns//sa/b", "spiffe://mesh.local/ns/a/b",
                            "spiffe://mesh.local/ns/a/sa/", "https://mesh.local/ns/a/sa/b"}) {
    EXPECT_FALSE(account_of_spiffe_id(other, "mesh.local")) << other;
  }
}

}  // namespace
}  // namespace tulle::push
