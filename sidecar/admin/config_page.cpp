#include "sidecar/admin/config_page.hpp"

#include <nlohmann/json.hpp>

#include "core/net/tls.hpp"
#include "sidecar/policies/catalog.hpp"
#include "xds/names.hpp"

namespace tulle::admin {
namespace {

using Json = nlohmann::ordered_json;

Json tls_json(const std::shared_ptr<const TlsContext>& tls) {
  if (tls == nullptr) return nullptr;
  return {{"spiffe_id", tls->own_spiffe_id()}, {"not_after", tls->certificate_not_after()}};
}

Json policies_json(const policies::Entries& entries) {
  Json json = Json::object();
  for (const policies::Entry& entry : entries) json[entry.type->name] = entry.config->text();
  return json;
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
  return {{"clusters", clusters}, {"policies", policies_json(route.policies)}};
}

Json hosts_json(const routing::RouteTable& table, const config::Snapshot& snapshot) {
  Json hosts = Json::array();
  for (const routing::VirtualHost& host : table.virtual_hosts()) {
    Json routes = Json::array();
    for (const routing::Route& route : host.routes) {
      routes.push_back({{"name", route.name}, {"action", action_json(route, snapshot)}});
    }
    hosts.push_back({{"name", host.name}, {"domains", host.domains}, {"routes", routes}});
  }
  return hosts;
}

Json tcp_json(const config::TcpProxy& proxy, const config::Snapshot& snapshot) {
  Json json = {{"idle_timeout_seconds", seconds(proxy.idle_timeout)},
               {"connect_attempts", proxy.connect_attempts}};
  if (proxy.on_demand) {
    json["destination"] = proxy.destination.empty() ? "original" : proxy.destination;
  } else {
    const routing::Route& route = proxy.routes->virtual_hosts()[0].routes[0];
    json["clusters"] = action_json(route, snapshot)["clusters"];
  }
  return json;
}

Json chain_json(const config::FilterChain& chain, const config::Snapshot& snapshot) {
  constexpr const char* kTransports[] = {"any", "raw_buffer", "tls"};
  Json json = {{"name", chain.name},
               {"match",
                {{"destination_port", chain.match.destination_port},
                 {"server_names", chain.match.server_names},
                 {"transport_protocol", kTransports[static_cast<size_t>(chain.match.transport)]},
                 {"application_protocols", chain.match.protocols}}},
               {"tls", tls_json(chain.tls)}};
  if (chain.http != nullptr) {
    json["on_demand"] = chain.http->on_demand;
    json["virtual_hosts"] = hosts_json(*chain.http->routes, snapshot);
  } else {
    json["tcp"] = tcp_json(*chain.tcp, snapshot);
  }
  return json;
}

Json chains_json(const config::FilterChains& chains, const config::Snapshot& snapshot) {
  Json json = Json::array();
  for (const config::FilterChain& chain : chains.chains) {
    json.push_back(chain_json(chain, snapshot));
  }
  if (chains.fallback) json.push_back(chain_json(*chains.fallback, snapshot));
  return json;
}

Json listener_json(const config::ListenerConfig& listener, const config::Snapshot& snapshot,
                   const BoundAddresses& bound) {
  const auto real = bound.find(listener.name);
  Json json = {
      {"name", listener.name},
      {"address", (real == bound.end() ? listener.address : real->second).to_string()},
      {"direction", listener.direction == config::Direction::inbound ? "inbound" : "outbound"},
      {"tls", tls_json(listener.tls)},
      {"on_demand", listener.on_demand},
      {"virtual_hosts", hosts_json(*listener.routes, snapshot)}};
  if (listener.chains != nullptr) {
    json["by_original_destination"] = listener.chains->by_original_destination;
    json["filter_chains"] = chains_json(*listener.chains, snapshot);
  }
  return json;
}

Json cluster_json(const config::ClusterConfig& cluster) {
  Json endpoints = Json::array();
  for (const config::EndpointConfig& endpoint : cluster.endpoints) {
    endpoints.push_back({{"address", endpoint.address.to_string()}, {"weight", endpoint.weight}});
  }
  return {{"name", cluster.name},
          {"tls", tls_json(cluster.tls)},
          {"connect_timeout_seconds", seconds(cluster.connect_timeout)},
          {"policies", policies_json(cluster.policies)},
          {"endpoints", endpoints}};
}

Json destination_json(const config::Destination& destination, const config::Snapshot& snapshot) {
  constexpr const char* kKinds[] = {"mesh", "external", "refused"};
  Json json = {{"name", destination.name}, {"kind", kKinds[static_cast<size_t>(destination.kind)]}};
  if (destination.kind == config::Destination::Kind::refused) return json;
  json["version"] = destination.version;
  if (destination.routes != nullptr) {
    json["virtual_hosts"] = hosts_json(*destination.routes, snapshot);
  }
  if (destination.tcp != nullptr) json["tcp"] = tcp_json(*destination.tcp, snapshot);
  return json;
}

Json control_plane_json(const source::ControlPlaneView* view) {
  if (view == nullptr) return nullptr;
  Json resources = Json::array();
  for (const auto& each : view->resources) {
    resources.push_back({{"type", each.type}, {"name", each.name}, {"version", each.version}});
  }
  Json held = Json::array();
  for (const auto& each : view->held) {
    held.push_back({{"type", each.type},
                    {"name", each.name},
                    {"former_in_force", each.former_in_force},
                    {"why", each.why}});
  }
  return {{"address", view->address},
          {"connected", view->connected},
          {"last_failure", view->last_failure},
          {"identity", view->identity},
          {"destinations", view->destinations},
          {"unknown", view->unknown},
          {"rejections", view->rejections},
          {"held_back", held},
          {"resources", resources}};
}

}  // namespace

std::string render_config(const config::Bootstrap& bootstrap, const config::Snapshot& snapshot,
                          const BoundAddresses& bound,
                          const source::ControlPlaneView* control_plane) {
  Json listeners = Json::array();
  for (const auto& listener : snapshot.listeners) {
    listeners.push_back(listener_json(*listener, snapshot, bound));
  }
  Json destinations = Json::array();
  if (snapshot.destinations != nullptr) {
    for (const config::Destination& each : snapshot.destinations->all()) {
      destinations.push_back(destination_json(each, snapshot));
    }
  }
  Json clusters = Json::array();
  for (const auto& cluster : snapshot.clusters) {
    if (cluster != nullptr) clusters.push_back(cluster_json(*cluster));
  }
  const Json page = {{"node", {{"id", bootstrap.node.id}, {"cluster", bootstrap.node.cluster}}},
                     {"generation", snapshot.generation},
                     {"version", snapshot.version},
                     {"control_plane", control_plane_json(control_plane)},
                     {"listeners", listeners},
                     {"destinations", destinations},
                     {"clusters", clusters}};
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tulle::admin
