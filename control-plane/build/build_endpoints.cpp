// Workloads to a ClusterLoadAssignment: those that the Service selects and that have the port.
#include <algorithm>
#include <map>
#include <string>

#include "control-plane/build/build_parts.hpp"
#include "control-plane/model/service_rules.hpp"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace tulle::build {

namespace {

namespace endpoint = envoy::config::endpoint::v3;
using model::DocumentPtr;

struct Place {
  Address address;
  const model::WorkloadSpec* workload;
  uint64_t written;
};

// Two workloads cannot be at one address: the later one has taken it over.
std::map<std::string, Place> places_of(const Scene& scene, const model::Document& service,
                                       const model::ServicePort& port) {
  const std::string& namespace_name = service.metadata.namespace_name;
  std::map<std::string, Place> places;
  for (const DocumentPtr& each :
       scene.index.workloads_of(namespace_name, model::account_of(service))) {
    const model::WorkloadSpec& workload = each->workload();
    const model::WorkloadPort* target = model::target_port(port, workload);
    if (target == nullptr || !model::selects(service, *each)) continue;
    const Result<Address> address = Address::parse(target->inbound);
    if (!address || address->port() == 0) continue;
    const Place place{*address, &workload, each->metadata.resource_version};
    const auto [known, added] = places.try_emplace(address->to_string(), place);
    if (!added && known->second.written <= place.written) known->second = place;
  }
  return places;
}

// A weight of 0 asks for no new requests.
void add_endpoint(const Place& place, endpoint::LocalityLbEndpoints& group) {
  endpoint::LbEndpoint& entry = *group.add_lb_endpoints();
  set_address(place.address, *entry.mutable_endpoint()->mutable_address());
  const uint32_t weight = place.workload->weight;
  if (weight == 0) entry.set_health_status(envoy::config::core::v3::DRAINING);
  entry.mutable_load_balancing_weight()->set_value(std::max<uint32_t>(weight, 1));
}

}  // namespace

std::optional<std::string> build_endpoints(Scene& scene, std::string_view name) {
  const auto parsed = parse_cluster_name(name, scene.mesh);
  if (!parsed) return std::nullopt;
  DocumentPtr service;
  const model::ServicePort* port = scene.find_port(*parsed, service);
  if (port == nullptr) return std::nullopt;
  scene.inputs.push_back(workloads_input(parsed->namespace_name, model::account_of(*service)));

  using Where = std::array<std::string, 3>;
  std::map<Where, endpoint::LocalityLbEndpoints> groups;
  for (const auto& [address, place] : places_of(scene, *service, *port)) {
    const model::Locality& where = place.workload->locality;
    auto& group = groups[{where.region, where.zone, where.sub_zone}];
    add_endpoint(place, group);
  }
  endpoint::ClusterLoadAssignment assignment;
  assignment.set_cluster_name(std::string(name));
  for (auto& [where, group] : groups) {
    group.mutable_locality()->set_region(where[0]);
    group.mutable_locality()->set_zone(where[1]);
    group.mutable_locality()->set_sub_zone(where[2]);
    uint64_t weight = 0;
    for (const auto& each : group.lb_endpoints()) weight += each.load_balancing_weight().value();
    group.mutable_load_balancing_weight()->set_value(
        static_cast<uint32_t>(std::min<uint64_t>(weight, UINT32_MAX)));
    *assignment.add_endpoints() = std::move(group);
  }
  return to_bytes(assignment);
}

}  // namespace tulle::build
