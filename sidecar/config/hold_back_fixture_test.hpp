// What the tests of compile_holding_back() share: the resources of a mesh as JSON, and all that can
// be reached in a snapshot as text.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/routing/route_clusters.hpp"

namespace tulle::config::testing {

using nlohmann::json;

inline xds::Resource resource(const json& value, const std::string& origin = "") {
  Problems problems;
  auto read = resource_from_json(value.dump(), origin, problems);
  EXPECT_TRUE(read) << to_text(problems);
  return *read;
}

inline std::string type(const std::string& name) { return "type.googleapis.com/" + name; }

inline json manager(json routes, bool on_demand = false) {
  json filters = json::array();
  const std::string http = "envoy.extensions.filters.http.";
  if (on_demand) {
    filters.push_back({{"name", "on_demand"},
                       {"typed_config", {{"@type", type(http + "on_demand.v3.OnDemand")}}}});
  }
  filters.push_back(
      {{"name", "router"}, {"typed_config", {{"@type", type(http + "router.v3.Router")}}}});
  routes["@type"] = type(
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
  routes["http_filters"] = filters;
  return routes;
}

inline json virtual_hosts(const std::vector<std::string>& clusters) {
  json routes = json::array();
  for (size_t i = 0; i < clusters.size(); ++i) {
    routes.push_back({{"match", {{"prefix", i + 1 == clusters.size() ? "/" : "/" + clusters[i]}}},
                      {"route", {{"cluster", clusters[i]}}}});
  }
  return json::array({{{"name", "all"}, {"domains", {"*"}}, {"routes", routes}}});
}

inline json socket(const std::string& ip, int port) {
  return {{"socket_address", {{"address", ip}, {"port_value", port}}}};
}

inline json outbound() {
  return {{"@type", type("envoy.config.listener.v3.Listener")},
          {"name", "outbound"},
          {"traffic_direction", "OUTBOUND"},
          {"address", socket("127.0.0.1", 15001)},
          {"filter_chains",
           {{{"filters",
              {{{"name", "http"}, {"typed_config", manager({{"route_config", json::object()}}, true)}}}}}}}};
}

inline json inbound(int port = 15006) {
  json listener = outbound();
  listener["name"] = "inbound";
  listener["traffic_direction"] = "INBOUND";
  listener["address"] = socket("127.0.0.1", port);
  listener["filter_chains"][0]["filters"][0]["typed_config"] =
      manager({{"route_config", {{"virtual_hosts", virtual_hosts({"application"})}}}});
  listener["filter_chains"][0]["transport_socket"] = json::parse(R"({
      "name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
          "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": {"ads": {}}}],
          "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": {"ads": {}}}}}})");
  return listener;
}

inline json application() {
  return {{"@type", type("envoy.config.cluster.v3.Cluster")},
          {"name", "application"},
          {"load_assignment",
           {{"cluster_name", "application"},
            {"endpoints",
             {{{"lb_endpoints", {{{"endpoint", {{"address", socket("127.0.0.1", 8080)}}}}}}}}}}}};
}

inline json destination(const std::string& name) {
  return {{"@type", type("envoy.config.listener.v3.Listener")},
          {"name", name},
          {"api_listener",
           {{"api_listener",
             manager({{"rds", {{"route_config_name", "to " + name},
                               {"config_source", {{"ads", json::object()}}}}}})}}}};
}

inline json table(const std::string& name, const std::vector<std::string>& clusters) {
  return {{"@type", type("envoy.config.route.v3.RouteConfiguration")},
          {"name", "to " + name},
          {"virtual_hosts", virtual_hosts(clusters)}};
}

inline json cluster(const std::string& name) {
  return {{"@type", type("envoy.config.cluster.v3.Cluster")},
          {"name", name},
          {"type", "EDS"},
          {"eds_cluster_config", {{"eds_config", {{"ads", json::object()}}}}}};
}

inline json endpoints(const std::string& name, int port) {
  return {{"@type", type("envoy.config.endpoint.v3.ClusterLoadAssignment")},
          {"cluster_name", name},
          {"endpoints",
           {{{"lb_endpoints", {{{"endpoint", {{"address", socket("10.0.0.7", port)}}}}}}}}}};
}

// What can be reached, by names: the same whatever indexes clusters have.
inline std::string shape(const Snapshot& snapshot) {
  std::string text;
  const auto add_routes = [&](const routing::RouteTable& routes) {
    std::set<std::string> names;
    for (const ClusterIndex index : routing::clusters_of(routes)) {
      EXPECT_LT(index, snapshot.clusters.size());
      EXPECT_NE(snapshot.clusters[index], nullptr) << "a route to a cluster that is not there";
      if (snapshot.clusters[index] != nullptr) names.insert(snapshot.clusters[index]->name);
    }
    for (const std::string& name : names) text += " " + name;
    text += "\n";
  };
  for (const auto& listener : snapshot.listeners) {
    text += "listener " + listener->name + " " + listener->address.to_string();
    add_routes(*listener->routes);
  }
  for (const Destination& each : snapshot.destinations->all()) {
    text += "destination " + each.name + " " + each.version;
    if (each.routes != nullptr) add_routes(*each.routes);
  }
  for (const auto& [name, index] : snapshot.cluster_names) {
    EXPECT_EQ(snapshot.clusters[index]->name, name);
    EXPECT_EQ(snapshot.clusters[index]->index, index);
    text += "cluster " + name;
    for (const EndpointConfig& endpoint : snapshot.clusters[index]->endpoints) {
      text += " " + endpoint.address.to_string();
    }
    text += "\n";
  }
  return text + snapshot.version + "\n";
}

}  // namespace tulle::config::testing
