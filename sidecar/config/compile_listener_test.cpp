// Listeners and their HTTP options: what is read, and what is refused.
#include <gtest/gtest.h>

#include "sidecar/config/compile_fixture_test.hpp"

namespace tulle::config {
namespace {

using testing::changed;
using testing::compiled;
using testing::expect_problems;
using testing::kInManager;
using testing::kInOutbound;
using testing::kInRoute;
using testing::kManagerAt;
using testing::kRouteAt;
using testing::match;

const std::string kOutbound = testing::kOutbound;

TEST(Compile, RefusesFaultyListeners) {
  expect_problems({
      {kOutbound + "/traffic_direction", "-",
       kInOutbound + "traffic_direction: must be INBOUND or OUTBOUND\n"},
      {kOutbound + "/address", "-", kInOutbound + "address: needs a socket_address\n"},
      {kOutbound + "/address/socket_address/address", "\"localhost\"",
       kInOutbound + "address.socket_address.address: \"localhost\" is not an IP address\n"},
      {kOutbound + "/address/socket_address/port_value", "70000",
       kInOutbound + "address.socket_address.port_value: must be from 0 to 65535\n"},
      {kOutbound + "/address/socket_address/protocol", "\"UDP\"",
       kInOutbound + "address.socket_address.protocol: only TCP is supported yet\n"},
      {kOutbound + "/address/socket_address", R"({"address": "0.0.0.0", "port_value": 15006})",
       kInOutbound + "address: 0.0.0.0:15006 is also the address of listener \"inbound\"\n"},
      {kOutbound + "/filter_chains", "[]", kInOutbound + "filter_chains: must not be empty\n"},
      {kOutbound + "/filter_chains/0/filters/1", R"({"name": "x"})",
       kInOutbound + "filter_chains[0].filters: must hold exactly one filter, the HTTP connection "
                     "manager or the TCP proxy\n"},
      {kOutbound + "/listener_filters", R"([{"name": "envoy.filters.listener.original_dst"}])",
       kInOutbound + "listener_filters[0]: needs a typed_config with \"@type\"\n"},
      {kOutbound + "/bind_to_port", "false",
       kInOutbound + "bind_to_port: only true is supported yet\n"},
      {kOutbound + "/freebind", "true",
       kInOutbound + "freebind: only false is supported yet\n"},
  });
}

TEST(Compile, RefusesFaultyHttpOptions) {
  expect_problems({
      {kManagerAt + "/codec_type", "\"HTTP3\"",
       kInManager + ".codec_type: only AUTO, HTTP1 and HTTP2 are supported yet\n"},
      {kManagerAt + "/http_filters", "[]",
       kInManager + ".http_filters: must end with the router\n"},
      {kManagerAt + "/http_filters/0/typed_config", "-",
       kInManager + ".http_filters[0]: needs a typed_config with \"@type\"\n" + kInManager +
           ".http_filters: must end with the router\n"},
      {kManagerAt + "/http_filters/0/disabled", "true",
       kInManager + ".http_filters[0].disabled: not supported yet\n"},
      {kManagerAt + "/http_filters/0/typed_config/start_child_span", "true",
       kInManager + ".http_filters[0].typed_config.start_child_span: not supported yet\n"},
      {kManagerAt + "/route_config", "-",
       kInManager + ": needs one of route_config, rds\n"},
      {kManagerAt + "/access_log", R"([{"name": "x"}])",
       kInManager + ".access_log: not supported yet\n"},
      {kManagerAt + "/server_name", "\"x\"", kInManager + ".server_name: not supported yet\n"},
      {kManagerAt + "/normalize_path", "false",
       kInManager + ".normalize_path: paths are always normalised here; leave it out\n"},
      {kManagerAt + "/path_with_escaped_slashes_action", "\"UNESCAPE_AND_FORWARD\"",
       kInManager + ".path_with_escaped_slashes_action: only KEEP_UNCHANGED and REJECT_REQUEST "
                    "are supported\n"},
      {kManagerAt + "/upgrade_configs",
       R"([{"upgrade_type": "websocket", "filters": [{"name": "x"}]}])",
       kInManager + ".upgrade_configs[0].filters: not supported yet\n"},
      {kManagerAt + "/upgrade_configs", R"([{}, {"upgrade_type": "h2c"}, {"upgrade_type": "tcp"},
                                          {"upgrade_type": "TCP"}])",
       kInManager + ".upgrade_configs[0].upgrade_type: must not be empty\n" + kInManager +
           ".upgrade_configs[1].upgrade_type: \"h2c\" is no protocol that can be switched to; "
           "HTTP/2 needs no upgrade\n" +
           kInManager + ".upgrade_configs[3].upgrade_type: \"TCP\" is given twice\n"},
      {kManagerAt + "/max_request_headers_kb", "0",
       kInManager + ".max_request_headers_kb: must be from 1 to 8192\n"},
      {kManagerAt + "/stream_idle_timeout", "\"-1s\"",
       kInManager + ".stream_idle_timeout: must not be negative\n"},
      {kManagerAt + "/http2_protocol_options", R"({"initial_stream_window_size": 1024})",
       kInManager +
           ".http2_protocol_options.initial_stream_window_size: must be from 65535 to "
           "2147483647\n"},
      {kManagerAt + "/http_protocol_options", R"({"accept_http_10": true})",
       kInManager + ".http_protocol_options.accept_http_10: not supported yet\n"},
      {kManagerAt + "/common_http_protocol_options", R"({"max_stream_duration": "1s"})",
       kInManager + ".common_http_protocol_options.max_stream_duration: not supported yet\n"},
  });
}

TEST(Compile, RefusesFaultyTunnels) {
  expect_problems({
      {kRouteAt + "/route/upgrade_configs",
       R"([{"upgrade_type": "websocket", "connect_config": {}}])",
       kInRoute +
           ".route.upgrade_configs[0].connect_config: goes with upgrade_type CONNECT only\n"},
      {kRouteAt, R"({"match": {"connect_matcher": {}},
                   "route": {"cluster": "orders", "prefix_rewrite": "/x"}})",
       kInRoute +
           ".route: rewrites a path, and connect_matcher is for requests without one\n"},
      {kRouteAt, R"({"match": {"connect_matcher": {}}, "direct_response": {"status": 200}})",
       kInRoute +
           ".direct_response.status: must be 300 or more with connect_matcher: a success would "
           "open the tunnel\n"},
  });
}

TEST(Compile, ReadsUpgradesOfListenerAndRoute) {
  nlohmann::json json = changed(
      kManagerAt + "/upgrade_configs",
      R"([{"upgrade_type": "WebSocket"}, {"upgrade_type": "CONNECT"},
          {"upgrade_type": "tcp", "enabled": false}])");
  json[nlohmann::json::json_pointer(kRouteAt)] = nlohmann::json::parse(
      R"({"match": {"connect_matcher": {}},
          "route": {"cluster": "orders", "upgrade_configs": [
            {"upgrade_type": "CONNECT", "connect_config": {}}, {"upgrade_type": "spdy/3.1"},
            {"upgrade_type": "websocket", "enabled": false}]}})");
  const auto snapshot = compiled(json);
  ASSERT_NE(snapshot, nullptr);
  const HttpOptions& http = snapshot->listeners[1]->http;
  EXPECT_EQ(http.upgrades, std::vector<std::string>{"websocket"});
  EXPECT_TRUE(http.connect);
  ASSERT_NE(http.limits.upgrades, nullptr);
  EXPECT_EQ(*http.limits.upgrades, (std::vector<std::string>{"spdy/3.1", "websocket"}));
  const routing::Route* route = match(*snapshot, 1, "orders.default", "");
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(match(*snapshot, 1, "orders.default", "/"), nullptr) << "for CONNECT only";
  const auto& forward = std::get<routing::Forward>(route->action);
  EXPECT_EQ(forward.connect, routing::ConnectRule::terminated);
  ASSERT_EQ(forward.upgrades.size(), 2u);
  EXPECT_TRUE(forward.upgrades[0].allowed);
  EXPECT_FALSE(forward.upgrades[1].allowed);
  const HttpOptions& quiet = snapshot->listeners[0]->http;
  EXPECT_FALSE(quiet.connect);
  EXPECT_TRUE(quiet.limits.upgrades->empty()) << "nothing is switched to unless it is said";
}

TEST(Compile, ReadsHttpOptions) {
  nlohmann::json json = changed(kManagerAt + "/http2_protocol_options",
                                R"({"max_concurrent_streams": 7,
                                    "initial_stream_window_size": 65535,
                                    "initial_connection_window_size": 2000000})");
  json = changed(kManagerAt + "/common_http_protocol_options",
                 R"({"idle_timeout": "60s", "max_headers_count": 50})", json);
  json = changed(kManagerAt + "/max_request_headers_kb", "8", json);
  json = changed(kManagerAt + "/stream_idle_timeout", "\"0s\"", json);
  json = changed(kManagerAt + "/request_timeout", "\"3.5s\"", json);
  json = changed(kManagerAt + "/normalize_path", "true", json);
  json = changed(kManagerAt + "/merge_slashes", "true", json);
  json = changed(kManagerAt + "/path_with_escaped_slashes_action", "\"REJECT_REQUEST\"", json);
  json = changed(kManagerAt + "/request_headers_timeout", "\"2s\"", json);
  json = changed(kOutbound + "/filter_chains/0/transport_socket_connect_timeout", "\"2s\"", json);
  const auto snapshot = compiled(json);
  ASSERT_NE(snapshot, nullptr);
  const ListenerConfig& outbound = *snapshot->listeners[1];
  EXPECT_EQ(outbound.http.limits.max_concurrent_streams, 7u);
  EXPECT_EQ(outbound.http.limits.stream_window, 65535u);
  EXPECT_EQ(outbound.http.limits.connection_window, 2000000u);
  EXPECT_EQ(outbound.http.limits.idle_timeout, 60s);
  EXPECT_EQ(outbound.http.limits.head_fields, 50u);
  EXPECT_EQ(outbound.http.limits.head_weight, 8u * 1024);
  EXPECT_EQ(outbound.http.limits.head_timeout, 2s);
  EXPECT_EQ(outbound.http.stream_idle_timeout, 0s);
  EXPECT_EQ(outbound.http.request_timeout, 3500ms);
  EXPECT_EQ(outbound.tls_handshake_timeout, 2s);
  EXPECT_EQ(outbound.http.paths,
            (PathRules{.merge_slashes = true, .refuse_escaped_slashes = true}));

  const auto mesh = compiled(changed(std::string(testing::kInbound) + testing::kManager +
                                         "/http2_protocol_options",
                                     R"({"max_concurrent_streams": 100})"));
  EXPECT_EQ(mesh->listeners[0]->http.limits.max_concurrent_streams, 100u);  // not the mesh's 1024
  EXPECT_EQ(mesh->listeners[1]->http.limits.max_concurrent_streams, 100u);  // by default
}

}  // namespace
}  // namespace tulle::config
