#include "sidecar/config/compile.hpp"

#include <gtest/gtest.h>

#include "core/net/tls.hpp"
#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/policies/catalog.hpp"

namespace tulle::config {
namespace {

using testing::BadCase;
using testing::changed;
using testing::compile_json;
using testing::Outcome;

const std::string kOrders = testing::kOrders;
const std::string kOutbound = testing::kOutbound;
const std::string kApplication = testing::kApplication;
const std::string kManager = kOutbound + testing::kManager;
const std::string kHost = kOutbound + testing::kHost;
const std::string kRoute = kOutbound + testing::kRoute;

const std::string kInOrders = "static_resources[1] Cluster \"orders\": ";
const std::string kInOutbound = "static_resources[0] Listener \"outbound\": ";
const std::string kInApplication = "static_resources[3] Cluster \"application\": ";
const std::string kInManager = kInOutbound + "filter_chains[0].filters[0].typed_config";
const std::string kInHost = kInManager + ".route_config.virtual_hosts[0]";
const std::string kInRoute = kInHost + ".routes[0]";

void expect_problems(std::initializer_list<BadCase> cases) {
  for (const BadCase& each : cases) {
    const Outcome outcome = compile_json(changed(each.pointer, each.value));
    EXPECT_EQ(outcome.snapshot, nullptr) << each.pointer << " " << each.value;
    EXPECT_EQ(outcome.problems, each.problems) << each.pointer << " " << each.value;
  }
}

std::shared_ptr<const Snapshot> compiled(const nlohmann::json& json,
                                         const Snapshot* previous = nullptr) {
  Outcome outcome = compile_json(json, previous);
  EXPECT_EQ(outcome.problems, "");
  return outcome.snapshot;
}

// The policies of a route or cluster, one line each.
std::string policies_of(const policies::Entries& entries) {
  std::string text;
  for (const policies::Entry& entry : entries) {
    text.append(entry.type->name).append(": ").append(entry.config->text()).append("\n");
  }
  return text;
}

const routing::Route* match(const Snapshot& snapshot, size_t listener, std::string_view authority,
                            std::string_view path) {
  static const Fields kNone;
  return snapshot.listeners[listener]->routes->match({"GET", "http", authority, path, &kNone}, 0);
}

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
      {kManager + "/codec_type", "\"HTTP3\"",
       kInManager + ".codec_type: only AUTO, HTTP1 and HTTP2 are supported yet\n"},
      {kManager + "/http_filters", "[]",
       kInManager + ".http_filters: must end with the router\n"},
      {kManager + "/http_filters/0/typed_config", "-",
       kInManager + ".http_filters[0]: needs a typed_config with \"@type\"\n" + kInManager +
           ".http_filters: must end with the router\n"},
      {kManager + "/http_filters/0/disabled", "true",
       kInManager + ".http_filters[0].disabled: not supported yet\n"},
      {kManager + "/http_filters/0/typed_config/start_child_span", "true",
       kInManager + ".http_filters[0].typed_config.start_child_span: not supported yet\n"},
      {kManager + "/route_config", "-",
       kInManager + ": needs one of route_config, rds\n"},
      {kManager + "/access_log", R"([{"name": "x"}])",
       kInManager + ".access_log: not supported yet\n"},
      {kManager + "/server_name", "\"x\"", kInManager + ".server_name: not supported yet\n"},
      {kManager + "/normalize_path", "false",
       kInManager + ".normalize_path: paths are always normalised here; leave it out\n"},
      {kManager + "/path_with_escaped_slashes_action", "\"UNESCAPE_AND_FORWARD\"",
       kInManager + ".path_with_escaped_slashes_action: only KEEP_UNCHANGED and REJECT_REQUEST "
                    "are supported\n"},
      {kManager + "/upgrade_configs", R"([{"upgrade_type": "websocket", "filters": [{"name": "x"}]}])",
       kInManager + ".upgrade_configs[0].filters: not supported yet\n"},
      {kManager + "/upgrade_configs", R"([{}, {"upgrade_type": "h2c"}, {"upgrade_type": "tcp"},
                                          {"upgrade_type": "TCP"}])",
       kInManager + ".upgrade_configs[0].upgrade_type: must not be empty\n" + kInManager +
           ".upgrade_configs[1].upgrade_type: \"h2c\" is no protocol that can be switched to; "
           "HTTP/2 needs no upgrade\n" +
           kInManager + ".upgrade_configs[3].upgrade_type: \"TCP\" is given twice\n"},
      {kManager + "/max_request_headers_kb", "0",
       kInManager + ".max_request_headers_kb: must be from 1 to 8192\n"},
      {kManager + "/stream_idle_timeout", "\"-1s\"",
       kInManager + ".stream_idle_timeout: must not be negative\n"},
      {kManager + "/http2_protocol_options", R"({"initial_stream_window_size": 1024})",
       kInManager +
           ".http2_protocol_options.initial_stream_window_size: must be from 65535 to "
           "2147483647\n"},
      {kManager + "/http_protocol_options", R"({"accept_http_10": true})",
       kInManager + ".http_protocol_options.accept_http_10: not supported yet\n"},
      {kManager + "/common_http_protocol_options", R"({"max_stream_duration": "1s"})",
       kInManager + ".common_http_protocol_options.max_stream_duration: not supported yet\n"},
  });
}

TEST(Compile, RefusesFaultyTunnels) {
  expect_problems({
      {kRoute + "/route/upgrade_configs",
       R"([{"upgrade_type": "websocket", "connect_config": {}}])",
       kInRoute + ".route.upgrade_configs[0].connect_config: goes with upgrade_type CONNECT only\n"},
      {kRoute, R"({"match": {"connect_matcher": {}},
                   "route": {"cluster": "orders", "prefix_rewrite": "/x"}})",
       kInRoute +
           ".route: rewrites a path, and connect_matcher is for requests without one\n"},
      {kRoute, R"({"match": {"connect_matcher": {}}, "direct_response": {"status": 200}})",
       kInRoute +
           ".direct_response.status: must be 300 or more with connect_matcher: a success would "
           "open the tunnel\n"},
  });
}

TEST(Compile, ReadsUpgradesOfListenerAndRoute) {
  nlohmann::json json = changed(
      kManager + "/upgrade_configs",
      R"([{"upgrade_type": "WebSocket"}, {"upgrade_type": "CONNECT"},
          {"upgrade_type": "tcp", "enabled": false}])");
  json[nlohmann::json::json_pointer(kRoute)] = nlohmann::json::parse(
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
  nlohmann::json json = changed(kManager + "/http2_protocol_options",
                                R"({"max_concurrent_streams": 7,
                                    "initial_stream_window_size": 65535,
                                    "initial_connection_window_size": 2000000})");
  json = changed(kManager + "/common_http_protocol_options",
                 R"({"idle_timeout": "60s", "max_headers_count": 50})", json);
  json = changed(kManager + "/max_request_headers_kb", "8", json);
  json = changed(kManager + "/stream_idle_timeout", "\"0s\"", json);
  json = changed(kManager + "/request_timeout", "\"3.5s\"", json);
  json = changed(kManager + "/normalize_path", "true", json);
  json = changed(kManager + "/merge_slashes", "true", json);
  json = changed(kManager + "/path_with_escaped_slashes_action", "\"REJECT_REQUEST\"", json);
  json = changed(kManager + "/request_headers_timeout", "\"2s\"", json);
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

TEST(Compile, RefusesFaultyRoutes) {
  expect_problems({
      {kRoute + "/route/cluster", "\"nobody\"",
       kInRoute + ".route.cluster: cluster \"nobody\" does not exist\n"},
      {kRoute + "/route", "{}",
       kInRoute + ".route: needs one of cluster, weighted_clusters\n"},
      {kRoute + "/route", "-",
       kInRoute + ": needs one of route, redirect, direct_response\n"},
      {kRoute + "/match", "-", kInRoute + ".match: is missing\n"},
      {kRoute + "/match", "{}",
       kInRoute + ".match: needs one of prefix, path, path_separated_prefix, safe_regex, "
                "connect_matcher\n"},
      {kRoute + "/match", R"({"prefix": "api"})",
       kInRoute + ".match.prefix: must begin with '/'\n"},
      {kRoute + "/match", R"({"path": "/a?b"})",
       kInRoute + ".match.path: must not hold '?' or '#': the query is not part of the path\n"},
      {kRoute + "/match", R"({"path_separated_prefix": "/a/"})",
       kInRoute + ".match.path_separated_prefix: must be more than \"/\" and not end with '/'\n"},
      {kRoute + "/match", R"({"safe_regex": {"regex": "("}})",
       kInRoute +
           ".match.safe_regex.regex: not a valid RE2 expression: missing ): (\n"},
      {kRoute + "/match", R"({"safe_regex": {}})",
       kInRoute + ".match.safe_regex.regex: must not be empty\n"},
      {kRoute + "/match/headers", R"([{"name": "x-a"}])",
       kInRoute + ".match.headers[0]: needs one of string_match, range_match, present_match\n"},
      {kRoute + "/match/headers", R"([{"name": "x-a", "string_match": {}}])",
       kInRoute +
           ".match.headers[0].string_match: needs one of exact, prefix, suffix, contains, "
           "safe_regex\n"},
      {kRoute + "/match/headers", R"([{"name": "x-a", "string_match": {"prefix": ""}}])",
       kInRoute + ".match.headers[0].string_match.prefix: must not be empty\n"},
      {kRoute + "/match/headers", R"([{"name": "x a", "present_match": true}])",
       kInRoute + ".match.headers[0].name: \"x a\" is not a field name\n"},
      {kRoute + "/match/headers", R"([{"name": "a", "range_match": {"start": 3, "end": 3}}])",
       kInRoute + ".match.headers[0].range_match: start must be less than end\n"},
      {kRoute + "/match/query_parameters", R"([{"name": "q"}])",
       kInRoute + ".match.query_parameters[0]: needs one of string_match, present_match\n"},
      {kRoute + "/match/runtime_fraction", "{}",
       kInRoute + ".match.runtime_fraction.default_value: is missing\n"},
      {kRoute + "/route/rate_limits", R"([{}])",
       kInRoute + ".route.rate_limits: not supported yet\n"},
      {kRoute + "/route/hash_policy", R"([{}])",
       kInRoute + ".route.hash_policy: not supported yet\n"},
      {kRoute + "/route/priority", "\"HIGH\"",
       kInRoute + ".route.priority: not supported yet\n"},
      {kRoute + "/route/timeout", "\"99999999999s\"",
       kInRoute + ".route.timeout: must be at most a year\n"},
      {kRoute + "/route/prefix_rewrite", "\"x\"",
       kInRoute + ".route.prefix_rewrite: must begin with '/'\n"},
      {kRoute + "/route/prefix_rewrite", "\"/x\\r\\ny\"",
       kInRoute + ".route.prefix_rewrite: holds a character that a path cannot hold\n"},
      {kRoute + "/route/host_rewrite_literal", "\"a/b\"",
       kInRoute + ".route.host_rewrite_literal: \"a/b\" is not a host\n"},
      {kRoute + "/typed_per_filter_config",
       R"({"x": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig"}})",
       kInRoute + ".typed_per_filter_config: not supported yet\n"},
      {kHost + "/domains", "[]", kInHost + ".domains: must not be empty\n"},
      {kHost + "/domains/1", "\"ORDERS\"",
       kInHost + ".domains[1]: \"ORDERS\" already belongs to virtual host \"orders\"\n"},
      {kHost + "/domains/1", "\"a*b\"",
       kInHost + ".domains[1]: \"a*b\" may hold '*' only at its beginning or end\n"},
      {kHost + "/name", "-", kInHost + ".name: must not be empty\n"},
      {kHost + "/require_tls", "\"ALL\"", kInHost + ".require_tls: not supported yet\n"},
      {kHost + "/retry_policy", "{}", kInHost + ".retry_policy: not supported yet\n"},
  });
}

TEST(Compile, RefusesFaultyActions) {
  expect_problems({
      {kRoute + "/route", R"({"weighted_clusters": {"clusters": [{"name": "orders"}]}})",
       kInRoute +
           ".route.weighted_clusters.clusters: the weights must add up to 1 to 4294967295\n"},
      {kRoute + "/route",
       R"({"weighted_clusters": {"clusters": [{"name": "orders", "weight": 1},
                                              {"name": "gone", "weight": 0}]}})",
       kInRoute + ".route.weighted_clusters.clusters[1].name: cluster \"gone\" does not exist\n"},
      {kRoute, R"({"match": {"prefix": "/"}, "direct_response": {"status": 99}})",
       kInRoute + ".direct_response.status: must be from 200 to 599\n"},
      {kRoute,
       R"({"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {}}})",
       kInRoute +
           ".direct_response.body: needs one of filename, inline_bytes, inline_string\n"},
      {kRoute,
       R"({"match": {"prefix": "/"}, "direct_response":
           {"status": 200, "body": {"inline_string": ")" + std::string(4097, 'x') + R"("}}})",
       kInRoute + ".direct_response.body: is longer than 4096 bytes\n"},
      {kRoute,
       R"({"match": {"prefix": "/"}, "direct_response":
           {"status": 200, "body": {"environment_variable": "HOME"}}})",
       kInRoute + ".direct_response.body.environment_variable: not supported yet\n"},
      {kRoute, R"({"match": {"prefix": "/"}, "redirect": {"port_redirect": 70000}})",
       kInRoute + ".redirect.port_redirect: must be from 1 to 65535\n"},
      {kRoute, R"({"match": {"prefix": "/"}, "redirect": {"scheme_redirect": "ftp"}})",
       kInRoute + ".redirect.scheme_redirect: must be http or https\n"},
      {kRoute, R"({"match": {"prefix": "/"}, "redirect": {"host_redirect": "a b"}})",
       kInRoute + ".redirect.host_redirect: \"a b\" is not a host\n"},
      {kRoute,
       R"({"match": {"prefix": "/"}, "redirect": {"regex_rewrite": {"substitution": "x"}}})",
       kInRoute + ".redirect.regex_rewrite: not supported yet\n"},
      {kRoute, R"({"match": {"prefix": "/"}, "non_forwarding_action": {}})",
       kInRoute + ".non_forwarding_action: not supported yet\n"},
  });
}

TEST(Compile, RefusesFaultyHeaderChanges) {
  const std::string add = kRoute + "/request_headers_to_add";
  const std::string in_add = kInRoute + ".request_headers_to_add[0]";
  expect_problems({
      {add, R"([{"header": {"key": "Host", "value": "x"}}])",
       in_add + ".header.key: \"Host\" is changed by rewrites, not as a field\n"},
      {add, R"([{"header": {"key": ":path", "value": "x"}}])",
       in_add + ".header.key: \":path\" is changed by rewrites, not as a field\n"},
      {add, R"([{"header": {"key": "Content-Length", "value": "1"}}])",
       in_add + ".header.key: \"Content-Length\" belongs to the connection\n"},
      {add, R"([{"header": {"key": "tulle-error", "value": "1"}}])",
       in_add + ".header.key: \"tulle-error\" belongs to the mesh\n"},
      {add, R"([{"header": {"key": "x y", "value": "1"}}])",
       in_add + ".header.key: \"x y\" is not a field name\n"},
      {add, R"([{"header": {"key": "x-a", "value": "%REQ(y)%"}}])",
       in_add +
           ".header.value: %COMMAND% is not supported yet; write %% for a percent sign\n"},
      {add, R"([{"header": {"key": "x-a", "value": "a\nb"}}])",
       in_add + ".header.value: must not hold control characters\n"},
      {kRoute + "/response_headers_to_remove", R"(["x", "connection"])",
       kInRoute +
           ".response_headers_to_remove[1]: \"connection\" belongs to the connection\n"},
  });
}

TEST(Compile, HeaderChangesOfAllScopesInOrder) {
  const auto add = [](const char* name, const char* action = "APPEND_IF_EXISTS_OR_ADD") {
    return std::string(R"([{"append_action": ")") + action + R"(", "header": {"key": "X-)" + name +
           R"(", "value": "100%%"}}])";
  };
  nlohmann::json json = changed(kRoute + "/request_headers_to_add", add("Route"));
  json = changed(kRoute + "/request_headers_to_remove", R"(["x-gone"])", json);
  json = changed(kHost + "/request_headers_to_add", add("Host", "ADD_IF_ABSENT"), json);
  json = changed(kManager + "/route_config/request_headers_to_add",
                 add("Table", "OVERWRITE_IF_EXISTS"), json);
  json = changed(kRoute + "/route",
                 R"({"weighted_clusters": {"clusters": [{"name": "orders", "weight": 1,
                     "request_headers_to_add": [{"header": {"key": "x-target", "value": ""},
                                                 "append": false}]}]}})",
                 json);
  const auto snapshot = compiled(json);
  ASSERT_NE(snapshot, nullptr);
  const routing::Route* route = match(*snapshot, 1, "orders", "/");
  const auto& changes = std::get<routing::Forward>(route->action).targets[0].changes.request;
  using Action = routing::FieldChange::Action;
  const std::pair<Action, std::string> expected[] = {
      {Action::remove, "x-target"},  // overwriting with nothing removes
      {Action::remove, "x-gone"},    {Action::append, "x-route"},
      {Action::add_if_absent, "x-host"}, {Action::overwrite_if_present, "x-table"}};
  ASSERT_EQ(changes.size(), std::size(expected));
  for (size_t i = 0; i < changes.size(); ++i) {
    EXPECT_EQ(changes[i].action, expected[i].first) << i;
    EXPECT_EQ(changes[i].name, expected[i].second) << i;
  }
  EXPECT_EQ(changes[2].value, "100%");
  EXPECT_EQ(route->changes.request.size(), 4u);
}

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

nlohmann::json with_rds() {
  nlohmann::json json = testing::example();
  nlohmann::json& manager = json[nlohmann::json::json_pointer(kManager)];
  nlohmann::json table = manager["route_config"];
  table["@type"] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
  table["name"] = "by-name";
  manager.erase("route_config");
  manager["rds"] = {{"route_config_name", "by-name"}, {"config_source", {{"ads", {}}}}};
  manager["rds"]["config_source"]["ads"] = nlohmann::json::object();
  json["static_resources"].push_back(table);
  return json;
}

nlohmann::json with_eds(nlohmann::json json) {
  nlohmann::json& orders = json["static_resources"][1];
  nlohmann::json assignment = orders["load_assignment"];
  assignment["@type"] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
  assignment["cluster_name"] = "orders-endpoints";
  orders.erase("load_assignment");
  orders["type"] = "EDS";
  orders["eds_cluster_config"] = {{"service_name", "orders-endpoints"}};
  json["static_resources"].push_back(assignment);
  return json;
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
  json = changed(kRoute + "/route/cluster", "\"gone\"", json);
  json = changed(kRoute + "/match", "{}", json);
  json = changed(kApplication + "/lb_policy", "\"MAGLEV\"", json);
  EXPECT_EQ(compile_json(json).problems,
            kInApplication + "lb_policy: only ROUND_ROBIN and LEAST_REQUEST are supported yet\n" +
                kInOrders + "connect_timeout: must be more than 0s\n" + kInRoute +
                ".match: needs one of prefix, path, path_separated_prefix, safe_regex, "
                "connect_matcher\n" +
                kInRoute + ".route.cluster: cluster \"gone\" does not exist\n");
}

TEST(Compile, AnInvalidBackendKeepsItsShare) {
  const auto snapshot = compiled(changed(kRoute + "/route", R"({"weighted_clusters": {"clusters": [
      {"name": "orders", "weight": 3}, {"name": "tulle.invalid_backend", "weight": 1}]}})"));
  const auto& forward = std::get<routing::Forward>(
      snapshot->listeners[1]->routes->virtual_hosts()[0].routes[0].action);
  ASSERT_EQ(forward.targets.size(), 2u);
  EXPECT_EQ(forward.targets[1].cluster, routing::kInvalidBackend);
  EXPECT_EQ(forward.total_weight, 4u);
}

TEST(Compile, RewritesWholePaths) {
  const auto snapshot = compiled(
      changed(kRoute + "/route", R"({"cluster": "orders", "path_rewrite": "/50%%/x"})"));
  const auto& forward = std::get<routing::Forward>(
      snapshot->listeners[1]->routes->virtual_hosts()[0].routes[0].action);
  EXPECT_EQ(forward.path_rewrite, "/50%/x");
  expect_problems({
      {kRoute + "/route", R"({"cluster": "orders", "path_rewrite": "/%PATH%"})",
       kInRoute + ".route.path_rewrite: %COMMAND% is not supported yet; write %% for a percent "
                  "sign\n"},
      {kRoute + "/route", R"({"cluster": "orders", "path_rewrite": "x"})",
       kInRoute + ".route.path_rewrite: must begin with '/'\n"},
  });
}

TEST(Sharing, EqualContentIsTheSameNode) {
  const auto first = compiled(testing::example());
  const auto second = compiled(testing::example(), first.get());
  EXPECT_EQ(second->generation, 2u);
  EXPECT_EQ(second->version, first->version);
  EXPECT_EQ(second->listeners, first->listeners);
  EXPECT_EQ(second->clusters, first->clusters);
}

TEST(Sharing, AnEndpointCostsItsClusterOnly) {
  const nlohmann::json json = with_eds(with_rds());
  const auto first = compiled(json);
  const auto second = compiled(
      changed("/static_resources/5/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/"
              "address", "\"10.0.0.8\"", json),
      first.get());
  EXPECT_EQ(second->version, first->version);  // endpoints are left out
  EXPECT_EQ(second->listeners, first->listeners);
  const ClusterConfig& old_orders = *first->find_cluster("orders");
  const ClusterConfig& new_orders = *second->find_cluster("orders");
  EXPECT_NE(&new_orders, &old_orders);
  EXPECT_EQ(new_orders.index, old_orders.index);
  EXPECT_NE(new_orders.hash, old_orders.hash);
  EXPECT_EQ(new_orders.tls, old_orders.tls);  // the context is reused by content
  EXPECT_EQ(second->find_cluster("application"), first->find_cluster("application"));
}

TEST(Sharing, ARouteTableIsANodeOfItsOwn) {
  const nlohmann::json json = with_rds();
  const auto first = compiled(json);
  // The listener changes, its routes do not.
  const auto second = compiled(changed(kManager + "/request_timeout", "\"1s\"", json), first.get());
  EXPECT_NE(second->version, first->version);
  EXPECT_NE(second->listeners[1], first->listeners[1]);
  EXPECT_EQ(second->listeners[1]->routes, first->listeners[1]->routes);
  EXPECT_EQ(second->listeners[0], first->listeners[0]);
  // The routes change, so the listener does.
  const auto third = compiled(
      changed("/static_resources/4/virtual_hosts/0/domains/0", "\"new\"", json), first.get());
  EXPECT_NE(third->listeners[1], first->listeners[1]);
}

TEST(Sharing, ANewIdentityRebuildsWhatUsesIt) {
  const auto first = compiled(testing::example());
  Materials renewed = testing::test_materials();
  const tulle::testing::TestCa ca;
  const auto leaf = ca.issue_spiffe("spiffe://example.org/ns/default/sa/web");
  renewed.identity = Identity{leaf.certificate_pem, leaf.key_pem, ca.pem(), "example.org", "new"};
  const Outcome second = compile_json(testing::example(), first.get(), renewed);
  ASSERT_NE(second.snapshot, nullptr) << second.problems;
  EXPECT_NE(second.snapshot->listeners[0]->tls, first->listeners[0]->tls);
  EXPECT_EQ(second.snapshot->listeners[1], first->listeners[1]);  // plaintext
  EXPECT_NE(second.snapshot->find_cluster("orders"), first->find_cluster("orders"));
  EXPECT_EQ(second.snapshot->find_cluster("application"), first->find_cluster("application"));
}

TEST(Sharing, IndexesAreStableAndNeverReused) {
  const auto first = compiled(testing::example());
  const ClusterIndex orders = first->find_cluster("orders")->index;
  // "application" goes; its route too.
  nlohmann::json json = changed("/static_resources/3", "-");
  json = changed("/static_resources/2", "-", json);
  const auto second = compiled(json, first.get());
  EXPECT_EQ(second->find_cluster("orders")->index, orders);
  EXPECT_EQ(second->find_cluster("application"), nullptr);
  EXPECT_EQ(second->clusters.size(), 2u);
  // It comes back: as somebody new.
  const auto third = compiled(testing::example(), second.get());
  EXPECT_EQ(third->find_cluster("orders"), first->find_cluster("orders"));
  EXPECT_EQ(third->find_cluster("application")->index, 2u);
  EXPECT_EQ(third->clusters.size(), 3u);
}

TEST(Sharing, AReferenceThatAppearsOrVanishesIsNoticed) {
  nlohmann::json without = changed("/static_resources/3", "-");
  const auto first = compiled(testing::example());
  const Outcome second = compile_json(without, first.get());
  EXPECT_EQ(second.problems,
            "static_resources[2] Listener \"inbound\": filter_chains[0].filters[0].typed_config."
            "route_config.virtual_hosts[0].routes[0].route.cluster: cluster \"application\" does "
            "not exist\n");
}

}  // namespace
}  // namespace tulle::config
