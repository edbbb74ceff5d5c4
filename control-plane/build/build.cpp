#include "control-plane/build/build.hpp"

#include <algorithm>
#include <deque>
#include <set>

#include "control-plane/build/build_parts.hpp"
#include "control-plane/model/service_rules.hpp"
#include "xds/names.hpp"
#include "xds/references.hpp"

namespace tulle::build {

namespace {

std::optional<std::string> bytes_of(Scene& scene, ResourceType type, std::string_view name) {
  switch (type) {
    case ResourceType::listener: return build_listener(scene, name);
    case ResourceType::route: return build_route(scene, name);
    case ResourceType::cluster: return build_cluster(scene, name);
    case ResourceType::endpoints: return build_endpoints(scene, name);
    case ResourceType::secret: return build_secret(scene, name);
  }
  return std::nullopt;
}

bool is_own(ResourceType type, std::string_view name) {
  if (type == ResourceType::cluster) return name.starts_with("inbound|");
  // Destinations have a colon.
  return type == ResourceType::listener && name.find(':') == std::string_view::npos;
}

// All that its own resources are made from: a node that comes back with other ports is another one.
std::string own_scope(const Node& node) {
  std::string scope = node.namespace_name + "/" + node.service + "/" + node.id + "/";
  scope += node.outbound.to_string();
  for (const NodePort& port : node.ports) {
    scope.append(" ").append(std::to_string(port.port)).append(" ");
    scope.append(port.inbound.to_string()).append(model::to_string(port.app_protocol));
  }
  if (node.capture) {
    const Capture& capture = *node.capture;
    for (const int each : {int{capture.outbound}, int{capture.inbound}, int{capture.ipv6},
                           int{capture.transparent}, int{capture.permissive}}) {
      scope.append(" ").append(std::to_string(each));
    }
  }
  return scope;
}

}  // namespace

const model::ServicePort* Scene::find_port(const ServicePortName& name,
                                           model::DocumentPtr& service) {
  inputs.push_back(service_input(name.namespace_name, name.service));
  service = index.service(name.namespace_name, name.service);
  return service == nullptr ? nullptr : model::find_port(service->service(), name.port);
}

ServicePortName Scene::at_cluster_ip(const AddressPortName& name) {
  inputs.push_back(cluster_ip_input(name.ip));
  const model::DocumentPtr service = index.service_at(name.ip);
  if (service == nullptr) return {};
  return {service->metadata.namespace_name, service->metadata.name, name.port};
}

const model::WorkloadPort* Scene::find_port(const AddressPortName& name,
                                            model::DocumentPtr& workload) {
  inputs.push_back(address_input(name.ip));
  // On one machine several workloads share an address.
  for (const model::DocumentPtr& each : index.workloads_at(name.ip)) {
    for (const model::WorkloadPort& port : each->workload().ports) {
      if (port.port != name.port) continue;
      workload = each;
      return &port;
    }
  }
  return nullptr;
}

Built build(const Index& index, const Mesh& mesh, const Node& node, ResourceType type,
            std::string_view name) {
  Built built;
  Scene scene{index, mesh, node, built.inputs};
  std::optional<std::string> bytes = bytes_of(scene, type, name);
  std::ranges::sort(built.inputs);
  const auto doubles = std::ranges::unique(built.inputs);
  built.inputs.erase(doubles.begin(), doubles.end());
  if (bytes) {
    xds::Resource resource;
    resource.type = type;
    resource.name = name;
    resource.bytes = std::move(*bytes);
    resource.hash = xds::hash_of(resource.bytes);
    resource.version = resource.hash.hex();
    built.resource = std::make_shared<const xds::Resource>(std::move(resource));
  }
  return built;
}

std::string scope_of(const Node& node, ResourceType type, std::string_view name) {
  if (is_own(type, name)) return own_scope(node);
  // Short host names, and routes that a namespace has for its own calls.
  if (type == ResourceType::listener || type == ResourceType::route) return node.namespace_name;
  return {};
}

std::vector<std::string> own_listeners(const Node& node) {
  std::vector<std::string> names;
  if (node.capture) {
    names.emplace_back(kCapturedOutbound);
    if (node.capture->ipv6) names.emplace_back(kCapturedOutbound6);
    if (!node.ports.empty() || node.capture->permissive) names.emplace_back(kCapturedInbound);
  }
  for (const NodePort& port : node.ports) {
    if (!node.capture && port.inbound.is_set()) names.push_back(inbound_listener_name(port.port));
  }
  if (node.outbound.is_set()) names.emplace_back(kOutboundListener);
  return names;
}

xds::ResourceSet build_closure(const Index& index, const Mesh& mesh, const Node& node,
                               const Wanted& wanted) {
  std::deque<xds::ResourceKey> left(wanted.begin(), wanted.end());
  xds::ResourceSet set;
  std::set<xds::ResourceKey> seen;
  for (; !left.empty(); left.pop_front()) {
    if (!seen.insert(left.front()).second) continue;
    const auto& [type, name] = left.front();
    const Built built = build(index, mesh, node, type, name);
    if (built.resource == nullptr) continue;
    set.put(*built.resource);
    for (const xds::ResourceKey& each : xds::references_of(*built.resource)) left.push_back(each);
  }
  return set;
}

xds::ResourceSet build_all(const Index& index, const Mesh& mesh, const Node& node,
                           const std::vector<std::string>& destinations) {
  Wanted wanted;
  for (std::string& name : own_listeners(node)) {
    wanted.emplace_back(ResourceType::listener, std::move(name));
  }
  for (const std::string& name : destinations) wanted.emplace_back(ResourceType::listener, name);
  return build_closure(index, mesh, node, wanted);
}

}  // namespace tulle::build
