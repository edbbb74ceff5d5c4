// Route tables: matches, actions and changes of fields; what is read, and what is refused.
#include <gtest/gtest.h>

#include "sidecar/config/compile_fixture_test.hpp"

namespace tulle::config {
namespace {

using testing::changed;
using testing::compiled;
using testing::expect_problems;
using testing::kHostAt;
using testing::kInHost;
using testing::kInRoute;
using testing::kManagerAt;
using testing::kRouteAt;
using testing::match;

TEST(Compile, RefusesFaultyRoutes) {
  expect_problems({
      {kRouteAt + "/route/cluster", "\"nobody\"",
       kInRoute + ".route.cluster: cluster \"nobody\" does not exist\n"},
      {kRouteAt + "/route", "{}",
       kInRoute + ".route: needs one of cluster, weighted_clusters\n"},
      {kRouteAt + "/route", "-",
       kInRoute + ": needs one of route, redirect, direct_response\n"},
      {kRouteAt + "/match", "-", kInRoute + ".match: is missing\n"},
      {kRouteAt + "/match", "{}",
       kInRoute + ".match: needs one of prefix, path, path_separated_prefix, safe_regex, "
                "connect_matcher\n"},
      {kRouteAt + "/match", R"({"prefix": "api"})",
       kInRoute + ".match.prefix: must begin with '/'\n"},
      {kRouteAt + "/match", R"({"path": "/a?b"})",
       kInRoute + ".match.path: must not hold '?' or '#': the query is not part of the path\n"},
      {kRouteAt + "/match", R"({"path_separated_prefix": "/a/"})",
       kInRoute + ".match.path_separated_prefix: must be more than \"/\" and not end with '/'\n"},
      {kRouteAt + "/match", R"({"safe_regex": {"regex": "("}})",
       kInRoute +
           ".match.safe_regex.regex: not a valid RE2 expression: missing ): (\n"},
      {kRouteAt + "/match", R"({"safe_regex": {}})",
       kInRoute + ".match.safe_regex.regex: must not be empty\n"},
      {kRouteAt + "/match/headers", R"([{"name": "x-a"}])",
       kInRoute + ".match.headers[0]: needs one of string_match, range_match, present_match\n"},
      {kRouteAt + "/match/headers", R"([{"name": "x-a", "string_match": {}}])",
       kInRoute +
           ".match.headers[0].string_match: needs one of exact, prefix, suffix, contains, "
           "safe_regex\n"},
      {kRouteAt + "/match/headers", R"([{"name": "x-a", "string_match": {"prefix": ""}}])",
       kInRoute + ".match.headers[0].string_match.prefix: must not be empty\n"},
      {kRouteAt + "/match/headers", R"([{"name": "x a", "present_match": true}])",
       kInRoute + ".match.headers[0].name: \"x a\" is not a field name\n"},
      {kRouteAt + "/match/headers", R"([{"name": "a", "range_match": {"start": 3, "end": 3}}])",
       kInRoute + ".match.headers[0].range_match: start must be less than end\n"},
      {kRouteAt + "/match/query_parameters", R"([{"name": "q"}])",
       kInRoute + ".match.query_parameters[0]: needs one of string_match, present_match\n"},
      {kRouteAt + "/match/runtime_fraction", "{}",
       kInRoute + ".match.runtime_fraction.default_value: is missing\n"},
      {kRouteAt + "/route/rate_limits", R"([{}])",
       kInRoute + ".route.rate_limits: not supported yet\n"},
      {kRouteAt + "/route/hash_policy", R"([{}])",
       kInRoute + ".route.hash_policy: not supported yet\n"},
      {kRouteAt + "/route/priority", "\"HIGH\"",
       kInRoute + ".route.priority: not supported yet\n"},
      {kRouteAt + "/route/timeout", "\"99999999999s\"",
       kInRoute + ".route.timeout: must be at most a year\n"},
      {kRouteAt + "/route/prefix_rewrite", "\"x\"",
       kInRoute + ".route.prefix_rewrite: must begin with '/'\n"},
      {kRouteAt + "/route/prefix_rewrite", "\"/x\\r\\ny\"",
       kInRoute + ".route.prefix_rewrite: holds a character that a path cannot hold\n"},
      {kRouteAt + "/route/host_rewrite_literal", "\"a/b\"",
       kInRoute + ".route.host_rewrite_literal: \"a/b\" is not a host\n"},
      {kRouteAt + "/typed_per_filter_config",
       R"({"x": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig"}})",
       kInRoute + ".typed_per_filter_config: not supported yet\n"},
      {kHostAt + "/domains", "[]", kInHost + ".domains: must not be empty\n"},
      {kHostAt + "/domains/1", "\"ORDERS\"",
       kInHost + ".domains[1]: \"ORDERS\" already belongs to virtual host \"orders\"\n"},
      {kHostAt + "/domains/1", "\"a*b\"",
       kInHost + ".domains[1]: \"a*b\" may hold '*' only at its beginning or end\n"},
      {kHostAt + "/name", "-", kInHost + ".name: must not be empty\n"},
      {kHostAt + "/require_tls", "\"ALL\"", kInHost + ".require_tls: not supported yet\n"},
      {kHostAt + "/retry_policy", "{}", kInHost + ".retry_policy: not supported yet\n"},
  });
}

TEST(Compile, RefusesFaultyActions) {
  expect_problems({
      {kRouteAt + "/route", R"({"weighted_clusters": {"clusters": [{"name": "orders"}]}})",
       kInRoute +
           ".route.weighted_clusters.clusters: the weights must add up to 1 to 4294967295\n"},
      {kRouteAt + "/route",
       R"({"weighted_clusters": {"clusters": [{"name": "orders", "weight": 1},
                                              {"name": "gone", "weight": 0}]}})",
       kInRoute + ".route.weighted_clusters.clusters[1].name: cluster \"gone\" does not exist\n"},
      {kRouteAt, R"({"match": {"prefix": "/"}, "direct_response": {"status": 99}})",
       kInRoute + ".direct_response.status: must be from 200 to 599\n"},
      {kRouteAt,
       R"({"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {}}})",
       kInRoute +
           ".direct_response.body: needs one of filename, inline_bytes, inline_string\n"},
      {kRouteAt,
       R"({"match": {"prefix": "/"}, "direct_response":
           {"status": 200, "body": {"inline_string": ")" + std::string(4097, 'x') + R"("}}})",
       kInRoute + ".direct_response.body: is longer than 4096 bytes\n"},
      {kRouteAt,
       R"({"match": {"prefix": "/"}, "direct_response":
           {"status": 200, "body": {"environment_variable": "HOME"}}})",
       kInRoute + ".direct_response.body.environment_variable: not supported yet\n"},
      {kRouteAt, R"({"match": {"prefix": "/"}, "redirect": {"port_redirect": 70000}})",
       kInRoute + ".redirect.port_redirect: must be from 1 to 65535\n"},
      {kRouteAt, R"({"match": {"prefix": "/"}, "redirect": {"scheme_redirect": "ftp"}})",
       kInRoute + ".redirect.scheme_redirect: must be http or https\n"},
      {kRouteAt, R"({"match": {"prefix": "/"}, "redirect": {"host_redirect": "a b"}})",
       kInRoute + ".redirect.host_redirect: \"a b\" is not a host\n"},
      {kRouteAt,
       R"({"match": {"prefix": "/"}, "redirect": {"regex_rewrite": {"substitution": "x"}}})",
       kInRoute + ".redirect.regex_rewrite: not supported yet\n"},
      {kRouteAt, R"({"match": {"prefix": "/"}, "non_forwarding_action": {}})",
       kInRoute + ".non_forwarding_action: not supported yet\n"},
  });
}

TEST(Compile, RefusesFaultyHeaderChanges) {
  const std::string add = kRouteAt + "/request_headers_to_add";
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
      {kRouteAt + "/response_headers_to_remove", R"(["x", "connection"])",
       kInRoute +
           ".response_headers_to_remove[1]: \"connection\" belongs to the connection\n"},
  });
}

TEST(Compile, HeaderChangesOfAllScopesInOrder) {
  const auto add = [](const char* name, const char* action = "APPEND_IF_EXISTS_OR_ADD") {
    return std::string(R"([{"append_action": ")") + action + R"(", "header": {"key": "X-)" + name +
           R"(", "value": "100%%"}}])";
  };
  nlohmann::json json = changed(kRouteAt + "/request_headers_to_add", add("Route"));
  json = changed(kRouteAt + "/request_headers_to_remove", R"(["x-gone"])", json);
  json = changed(kHostAt + "/request_headers_to_add", add("Host", "ADD_IF_ABSENT"), json);
  json = changed(kManagerAt + "/route_config/request_headers_to_add",
                 add("Table", "OVERWRITE_IF_EXISTS"), json);
  json = changed(kRouteAt + "/route",
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

TEST(Compile, AnInvalidBackendKeepsItsShare) {
  const auto snapshot = compiled(changed(
      kRouteAt + "/route",
      R"({"weighted_clusters": {"clusters": [
      {"name": "orders", "weight": 3}, {"name": "tulle.invalid_backend", "weight": 1}]}})"));
  const auto& forward = std::get<routing::Forward>(
      snapshot->listeners[1]->routes->virtual_hosts()[0].routes[0].action);
  ASSERT_EQ(forward.targets.size(), 2u);
  EXPECT_EQ(forward.targets[1].cluster, routing::kInvalidBackend);
  EXPECT_EQ(forward.total_weight, 4u);
}

TEST(Compile, RewritesWholePaths) {
  const auto snapshot = compiled(
      changed(kRouteAt + "/route", R"({"cluster": "orders", "path_rewrite": "/50%%/x"})"));
  const auto& forward = std::get<routing::Forward>(
      snapshot->listeners[1]->routes->virtual_hosts()[0].routes[0].action);
  EXPECT_EQ(forward.path_rewrite, "/50%/x");
  expect_problems({
      {kRouteAt + "/route", R"({"cluster": "orders", "path_rewrite": "/%PATH%"})",
       kInRoute + ".route.path_rewrite: %COMMAND% is not supported yet; write %% for a percent "
                  "sign\n"},
      {kRouteAt + "/route", R"({"cluster": "orders", "path_rewrite": "x"})",
       kInRoute + ".route.path_rewrite: must begin with '/'\n"},
  });
}

}  // namespace
}  // namespace tulle::config
