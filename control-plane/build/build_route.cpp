// A port of a Service to a RouteConfiguration: the merged rules of its HTTPRoutes, or one default.
#include <optional>
#include <string>

#include "control-plane/build/build_parts.hpp"
#include "control-plane/build/route_order.hpp"
#include "envoy/config/route/v3/route.pb.h"

namespace tulle::build {

namespace {

namespace v3 = envoy::config::route::v3;

// What metrics and logs call a route: "default/kitchen[0]", or the rule's own name in brackets.
std::string title_of(const RouteEntry& entry) {
  const model::Metadata& metadata = entry.route->metadata;
  const std::string& name = entry.rule_of().name;
  return metadata.namespace_name + "/" + metadata.name + "[" +
         (name.empty() ? std::to_string(entry.rule) : name) + "]";
}

}  // namespace

std::optional<std::string> build_route(Scene& scene, std::string_view name) {
  const auto parsed = parse_route_name(name);
  if (!parsed) return std::nullopt;
  model::DocumentPtr service;
  const model::ServicePort* port = scene.find_port(*parsed, service);
  if (port == nullptr) return std::nullopt;
  scene.inputs.push_back(routes_input(parsed->namespace_name, parsed->service));

  v3::RouteConfiguration config;
  config.set_name(std::string(name));
  v3::VirtualHost& host = *config.add_virtual_hosts();
  host.set_name(parsed->service + "." + parsed->namespace_name);
  host.add_domains("*");
  const std::vector<RouteEntry> entries =
      route_entries(scene.index, *parsed, *port, scene.node.namespace_name);
  for (const RouteEntry& entry : entries) {
    v3::Route& route = *host.add_routes();
    route.set_name(title_of(entry));
    build_match(entry.match_of(), *route.mutable_match());
    build_action(scene, entry.rule_of(), entry.match_of(), parsed->port, route);
  }
  if (entries.empty()) {
    v3::Route& route = *host.add_routes();
    route.set_name("default");
    route.mutable_match()->set_prefix("/");
    build_default_action(cluster_name(*parsed, scene.mesh), route);
  }
  return to_bytes(config);
}

}  // namespace tulle::build
