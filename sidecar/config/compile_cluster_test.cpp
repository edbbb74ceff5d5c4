// Clusters: endpoints, limits and the protocol of an upstream; what is read, and what is refused.
#include <gtest/gtest.h>

#include "sidecar/config/compile_fixture_test.hpp"

namespace tulle::config {
namespace {

using testing::changed;
using testing::compiled;
using testing::expect_problems;
using testing::kInOrders;
using testing::policies_of;

const std::string kApplication = testing::kApplication;
const std::string kOrders = testing::kOrders;

TEST(Compile, RefusesFaultyClusters) {
  const std::string endpoint = kOrders + "/load_assignment/endpoints/0/lb_endpoints/0";
  const std::string in_endpoint = kInOrders + "load_assignment.endpoints[0].lb_endpoints[0]";
  expect_problems({
      {kOrders + "/connect_timeout", "\"0s\"",
       kInOrders + "connect_timeout: must be more than 0s\n"},
      {kOrders + "/type", "\"STRICT_DNS\"",
       kInOrders + "type: only STATIC, EDS and ORIGINAL_DST are supported yet\n"},
      {kOrders + "/cluster_type", R"({"name": "x"})",
       "static_resources[1] Cluster \"orders\": type: excludes \"cluster_type\"; only one may be "
       "set\n"},
      {kOrders + "/lb_policy", "\"RING_HASH\"",
       kInOrders + "lb_policy: only ROUND_ROBIN and LEAST_REQUEST are supported yet\n"},
      {kOrders + "/load_balancing_policy", R"({"policies": []})",
       kInOrders + "load_balancing_policy: none of the policies is supported yet\n"},
      {kOrders + "/health_checks", "[{}]", kInOrders + "health_checks: not supported yet\n"},
      {kOrders + "/outlier_detection", R"({"success_rate_minimum_hosts": 5})",
       kInOrders + "outlier_detection.success_rate_minimum_hosts: not supported yet\n"},
      {kOrders + "/circuit_breakers", R"({"thresholds": [{"max_connection_pools": 3}]})",
       kInOrders + "circuit_breakers.thresholds[0].max_connection_pools: not supported yet\n"},
      {kOrders + "/circuit_breakers", R"({"thresholds": [{"max_requests": 0}]})",
       kInOrders + "circuit_breakers.thresholds[0].max_requests: must be from 1 to 4294967295\n"},
      {kOrders + "/circuit_breakers", R"({"thresholds": [{"priority": "HIGH"}]})",
       kInOrders + "circuit_breakers.thresholds[0].priority: only DEFAULT is supported yet\n"},
      {kOrders + "/circuit_breakers", R"({"thresholds": [{}, {}]})",
       kInOrders + "circuit_breakers.thresholds[1].priority: is given twice\n"},
      {kOrders + "/typed_extension_protocol_options/x",
       R"({"@type": "type.googleapis.com/tulle.config.v1.PeakEwma"})",
       kInOrders + "typed_extension_protocol_options[\"x\"]: not supported yet\n"},
      {kOrders + "/transport_socket_matches", R"([{}])",
       kInOrders + "transport_socket_matches: not supported yet\n"},
      {endpoint, "{}", in_endpoint + ": needs an endpoint\n"},
      {endpoint + "/endpoint/address/socket_address/port_value", "0",
       in_endpoint + ".endpoint.address.socket_address.port_value: must be from 1 to 65535\n"},
      {endpoint + "/endpoint/address/socket_address/address", "\"db.example.org\"",
       in_endpoint +
           ".endpoint.address.socket_address.address: \"db.example.org\" is not an IP address\n"},
      {endpoint + "/load_balancing_weight", "0",
       in_endpoint + ".load_balancing_weight: must be from 1 to 4294967295\n"},
      {endpoint + "/health_status", "\"DEGRADED\"",
       in_endpoint + ".health_status: DEGRADED is not supported yet\n"},
      {kOrders + "/load_assignment/endpoints/0/priority", "1",
       kInOrders + "load_assignment.endpoints[0].priority: only 0 is supported yet\n"},
      {kOrders + "/load_assignment/policy", R"({"drop_overloads": [{"category": "x"}]})",
       kInOrders + "load_assignment.policy: not supported yet\n"},
      {kOrders + "/load_assignment/endpoints/1",
       R"({"lb_endpoints": [{"endpoint": {"address": {"socket_address":
          {"address": "10.0.0.7", "port_value": 15006}}}}]})",
       kInOrders + "load_assignment.endpoints: 10.0.0.7:15006 is given twice\n"},
  });
}

TEST(Compile, ReadsClusters) {
  nlohmann::json json = changed(
      kOrders + "/circuit_breakers",
      R"({"thresholds": [{"max_connections": 1, "max_pending_requests": 2, "max_requests": 3}]})");
  json = changed(kOrders + "/load_balancing_policy",
                 R"({"policies": [{"typed_extension_config": {"name": "x", "typed_config":
                     {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig"}}},
                     {"typed_extension_config": {"name": "y", "typed_config":
                     {"@type": "type.googleapis.com/tulle.config.v1.PeakEwma"}}}]})",
                 json);
  json = changed(kOrders + "/load_assignment/endpoints/0",
                 R"({"locality": {"region": "eu", "zone": "a"}, "lb_endpoints": [
      {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 1}},
                    "hostname": "one"}, "load_balancing_weight": 5,
       "metadata": {"filter_metadata": {"envoy.lb": {"v": "1"}}}},
      {"endpoint": {"address": {"socket_address": {"address": "10.0.0.2", "port_value": 1}}},
       "health_status": "DRAINING"},
      {"endpoint": {"address": {"socket_address": {"address": "::1", "port_value": 1}}}}]})",
                 json);
  const auto snapshot = compiled(json);
  ASSERT_NE(snapshot, nullptr);
  const ClusterConfig& orders = *snapshot->find_cluster("orders");
  EXPECT_EQ(policies_of(orders.policies),
            "limits: max_connections=1 max_pending_requests=2 max_requests=3\n"
            "retry_budget: percent=20 least=3\n");
  EXPECT_EQ(orders.balancing, Balancing::peak_ewma);
  ASSERT_EQ(orders.endpoints.size(), 2u);
  EXPECT_EQ(orders.endpoints[0].weight, 5u);
  EXPECT_EQ(orders.endpoints[0].hostname, "one");
  EXPECT_EQ(orders.endpoints[0].locality->zone, "a");
  EXPECT_EQ(orders.endpoints[0].metadata_json, R"({"filter_metadata":{"envoy.lb":{"v":"1"}}})");
  EXPECT_EQ(orders.endpoints[1].address.to_string(), "[::1]:1");
  EXPECT_EQ(orders.endpoints[1].locality, orders.endpoints[0].locality);
}

TEST(Compile, ProtocolOfAnUpstream) {
  const std::string key =
      "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const std::string type =
      R"({"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions")";
  const auto protocol = [&](const std::string& rest) {
    const auto snapshot = compiled(changed(kOrders + key, type + rest));
    return snapshot->find_cluster("orders")->protocol;
  };
  EXPECT_EQ(protocol(R"(, "explicit_http_config": {"http2_protocol_options": {}}})"),
            UpstreamProtocol::http2);
  EXPECT_EQ(protocol(R"(, "explicit_http_config": {"http_protocol_options": {}}})"),
            UpstreamProtocol::http1);
  const std::string at = kInOrders +
                         "typed_extension_protocol_options[\"envoy.extensions.upstreams.http.v3."
                         "HttpProtocolOptions\"]";
  expect_problems({
      {kOrders + key, type + "}", at + ": needs one of explicit_http_config, auto_config\n"},
      {kOrders + key, type + R"(, "use_downstream_protocol_config": {}})",
       at + ".use_downstream_protocol_config: not supported yet\n"},
      {kOrders + key, R"({"@type": "type.googleapis.com/tulle.config.v1.PeakEwma"})",
       at + ": must be a envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"},
      {kOrders + "/transport_socket", "-",
       at + ".auto_config: chooses by ALPN and so needs a TLS transport_socket\n"},
  });
  const auto older =
      compiled(changed(kApplication + "/http2_protocol_options", "{}"));
  EXPECT_EQ(older->find_cluster("application")->protocol, UpstreamProtocol::http2);
}

}  // namespace
}  // namespace tulle::config
