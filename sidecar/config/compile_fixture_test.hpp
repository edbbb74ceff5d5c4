// What the tests of compile() share: the places of the example's parts, as JSON pointers and as
// problems name them, and what is made of the example after a change.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/policies/catalog.hpp"

namespace tulle::config::testing {

inline const std::string kManagerAt = std::string(kOutbound) + kManager;
inline const std::string kHostAt = std::string(kOutbound) + kHost;
inline const std::string kRouteAt = std::string(kOutbound) + kRoute;

inline const std::string kInOutbound = "static_resources[0] Listener \"outbound\": ";
inline const std::string kInOrders = "static_resources[1] Cluster \"orders\": ";
inline const std::string kInApplication = "static_resources[3] Cluster \"application\": ";
inline const std::string kInManager = kInOutbound + "filter_chains[0].filters[0].typed_config";
inline const std::string kInHost = kInManager + ".route_config.virtual_hosts[0]";
inline const std::string kInRoute = kInHost + ".routes[0]";

inline void expect_problems(std::initializer_list<BadCase> cases) {
  for (const BadCase& each : cases) {
    const Outcome outcome = compile_json(changed(each.pointer, each.value));
    EXPECT_EQ(outcome.problems, each.problems) << each.pointer << " " << each.value;
    EXPECT_EQ(outcome.snapshot == nullptr, !each.problems.empty())
        << each.pointer << " " << each.value;
  }
}

inline std::shared_ptr<const Snapshot> compiled(const nlohmann::json& json,
                                                const Snapshot* previous = nullptr) {
  Outcome outcome = compile_json(json, previous);
  EXPECT_EQ(outcome.problems, "");
  return outcome.snapshot;
}

// The policies of a route or cluster, one line each.
inline std::string policies_of(const policies::Entries& entries) {
  std::string text;
  for (const policies::Entry& entry : entries) {
    text.append(entry.type->name).append(": ").append(entry.config->text()).append("\n");
  }
  return text;
}

inline const routing::Route* match(const Snapshot& snapshot, size_t listener,
                                   std::string_view authority, std::string_view path) {
  static const Fields kNone;
  return snapshot.listeners[listener]->routes->match({"GET", "http", authority, path, &kNone}, 0);
}

// The example with its routes, or the endpoints of "orders", as resources of their own.
inline nlohmann::json with_rds() {
  nlohmann::json json = example();
  nlohmann::json& manager = json[nlohmann::json::json_pointer(kManagerAt)];
  nlohmann::json table = manager["route_config"];
  table["@type"] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
  table["name"] = "by-name";
  manager.erase("route_config");
  manager["rds"] = {{"route_config_name", "by-name"}, {"config_source", {{"ads", {}}}}};
  manager["rds"]["config_source"]["ads"] = nlohmann::json::object();
  json["static_resources"].push_back(table);
  return json;
}

inline nlohmann::json with_eds(nlohmann::json json) {
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

}  // namespace tulle::config::testing
