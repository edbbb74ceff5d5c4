// ClusterLoadAssignment to endpoints.
#include <google/protobuf/util/json_util.h>

#include <unordered_set>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;
namespace endpoint = envoy::config::endpoint::v3;

// Endpoints that must get no new requests are left out: their pools finish what runs.
bool is_usable(core::HealthStatus status, const Place& place) {
  switch (status) {
    case core::UNKNOWN:
    case core::HEALTHY: return true;
    case core::UNHEALTHY:
    case core::DRAINING:
    case core::TIMEOUT: return false;
    default: break;
  }
  place.field("health_status").unsupported("DEGRADED is not supported yet");
  return false;
}

std::string metadata_json(const core::Metadata& metadata) {
  core::Metadata shown;
  *shown.mutable_filter_metadata() = metadata.filter_metadata();
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (shown.filter_metadata().empty() ||
      !google::protobuf::util::MessageToJsonString(shown, &text, options).ok()) {
    return {};
  }
  return text;
}

void compile_endpoint(const endpoint::LbEndpoint& source,
                      const std::shared_ptr<const Locality>& locality,
                      std::vector<EndpointConfig>& endpoints, const Place& place) {
  if (!source.has_endpoint()) {
    if (source.host_identifier_case() == endpoint::LbEndpoint::HOST_IDENTIFIER_NOT_SET) {
      place.invalid("needs an endpoint");
    }
    return;
  }
  EndpointConfig compiled;
  compiled.locality = locality;
  const auto address =
      address_of(source.endpoint().address(), false, place.field("endpoint").field("address"));
  if (source.has_load_balancing_weight()) {
    read_number(source.load_balancing_weight(), 1, UINT32_MAX, compiled.weight,
                place.field("load_balancing_weight"));
  }
  if (!address || !is_usable(source.health_status(), place)) return;
  compiled.address = *address;
  compiled.hostname = source.endpoint().hostname();
  if (source.has_metadata()) compiled.metadata_json = metadata_json(source.metadata());
  endpoints.push_back(std::move(compiled));
}

struct AddressHash {
  size_t operator()(const Address& address) const { return address.hash(); }
};

// Twice the same address would be two endpoints sharing one pool's fate.
void refuse_duplicates(const std::vector<EndpointConfig>& endpoints, const Place& place) {
  std::unordered_set<Address, AddressHash> seen;
  for (const EndpointConfig& each : endpoints) {
    if (!seen.insert(each.address).second) {
      place.field("endpoints").invalid(each.address.to_string() + " is given twice");
    }
  }
}

}  // namespace

std::vector<EndpointConfig> compile_endpoints(const endpoint::ClusterLoadAssignment& assignment,
                                              const Place& place) {
  std::vector<EndpointConfig> endpoints;
  for (int i = 0; i < assignment.endpoints_size(); ++i) {
    const endpoint::LocalityLbEndpoints& group = assignment.endpoints(i);
    const Place at = place.field("endpoints").at(static_cast<size_t>(i));
    if (group.priority() != 0) at.field("priority").unsupported("only 0 is supported yet");
    const auto& where = group.locality();
    const auto locality = std::make_shared<const Locality>(
        Locality{where.region(), where.zone(), where.sub_zone()});
    const Place list = at.field("lb_endpoints");
    for (int k = 0; k < group.lb_endpoints_size(); ++k) {
      compile_endpoint(group.lb_endpoints(k), locality, endpoints,
                       list.at(static_cast<size_t>(k)));
    }
  }
  refuse_duplicates(endpoints, place);
  return endpoints;
}

}  // namespace tulle::config
