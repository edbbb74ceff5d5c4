#include "sidecar/admin/config_page.hpp"

#include <nlohmann/json.hpp>

#include "core/net/tls.hpp"
#include "xds/names.hpp"

namespace tulle::admin {
namespace {

using Json = nlohmann::ordered_json;

Json tls_json(const std::shared_ptr<const TlsContext>& tls) {
  if (tls == nullptr) return nullptr;
  return {{"spiffe_id", tls->own_spiffe_id()}, {"not_after", tls->certificate_not_after()}};
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

Json action_json(const routing::Route& route, const config::Snapshot& snapshot) {
  if (const auto* direct = std::get_if<routing::DirectResponse>(&route.action)) {
    return {{"direct_response", direct->status}};
  }
  if (const auto* redirect = std::get_if<routing::Redirect>(&route.action)) {
    return {{"redirect", redirect->status}};
  }
  Json clusters = Json::array();
  const auto& forward = std::get<routing::Forward>(route.action);
  for (const routing::Target& target : forward.targets) {
    const bool known = target.cluster != routing::kInvalidBackend;
    const std::string name = known ? snapshot.cluster(target.cluster).name
                                   : std::string(xds::kInvalidBackendCluster);
    clusters.push_back({{"name", name}, {"weight", target.weight}});
  }
  Json json = {{"clusters", clusters}};
  if (forward.timeout) json["timeout_seconds"] = seconds(*forward.timeout);
  return json;
}

Json listener_json(const config::ListenerConfig& listener, const config::Snapshot& snapshot,
                   const BoundAddresses& bound) {
  const auto real = bound.find(listener.name);
  Json hosts = Json::array();
  for (const routing::VirtualHost& host : listener.routes->virtual_hosts()) {
    Json routes = Json::array();
    for (const routing::Route& route : host.routes) {
      routes.push_back({{"name", route.name}, {"action", action_json(route, snapshot)}});
    }
    hosts.push_back({{"name", host.name}, {"domains", host.domains}, {"routes", routes}});
  }
  return {{"name", listener.name},
          {"address", (real == bound.end() ? listener.address : real->second).to_string()},
          {"direction", listener.direction == config::Direction::inbound ? "inbound" : "outbound"},
          {"tls", tls_json(listener.tls)},
          {"virtual_hosts", hosts}};
}

Json cluster_json(const config::ClusterConfig& cluster) {
  Json endpoints = Json::array();
  for (const config::EndpointConfig& endpoint : cluster.endpoints) {
    endpoints.push_back({{"address", endpoint.address.to_string()}, {"weight", endpoint.weight}});
  }
  return {{"name", cluster.name},
          {"tls", tls_json(cluster.tls)},
          {"connect_timeout_seconds", seconds(cluster.connect_timeout)},
          {"limits",
           {{"max_connections", cluster.limits.max_connections},
            {"max_pending_requests", cluster.limits.max_pending_requests},
            {"max_requests", cluster.limits.max_requests}}},
          {"endpoints", endpoints}};
}

}  // namespace

std::string render_config(const config::Bootstrap& bootstrap, const config::Snapshot& snapshot,
                          const BoundAddresses& bound) {
  Json listeners = Json::array();
  for (const auto& listener : snapshot.listeners) {
    listeners.push_back(listener_json(*listener, snapshot, bound));
  }
  Json clusters = Json::array();
  for (const auto& cluster : snapshot.clusters) {
    if (cluster != nullptr) clusters.push_back(cluster_json(*cluster));
  }
  const Json page = {{"node", {{"id", bootstrap.node.id}, {"cluster", bootstrap.node.cluster}}},
                     {"generation", snapshot.generation},
                     {"version", snapshot.version},
                     {"listeners", listeners},
                     {"clusters", clusters}};
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tulle::admin
