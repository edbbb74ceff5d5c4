#include "sidecar/source/registration.hpp"

#include <nlohmann/json.hpp>

#include "core/net/network.hpp"
#include "tulle/version.hpp"

namespace tulle::source {
namespace {

using nlohmann::json;

std::string inbound_name(const config::WorkloadPort& port) {
  return "inbound|" + std::to_string(port.port);
}

Result<Address> claim(Address wanted, const std::string& name, const WorkloadAddresses& former) {
  const auto before = former.find(name);
  if (wanted.port() == 0 && before != former.end() &&
      before->second.with_port(0) == wanted) {
    Address same = before->second;
    if (claim_port(same)) return same;
  }
  Result<void> claimed = claim_port(wanted);
  if (!claimed) return claimed.error();
  return wanted;
}

json workload_json(const config::Workload& workload, const WorkloadAddresses& addresses) {
  json ports = json::array();
  for (const config::WorkloadPort& port : workload.ports) {
    ports.push_back({{"name", port.name},
                     {"port", port.port},
                     {"app_protocol", port.app_protocol},
                     {"inbound", addresses.at(inbound_name(port)).to_string()}});
  }
  json document = {{"namespace", workload.name_space},
                   {"service", workload.service},
                   {"labels", workload.labels},
                   {"address", workload.address},
                   {"outbound", addresses.at("outbound").to_string()},
                   {"ports", ports}};
  if (workload.capture) {
    const config::Capture& capture = *workload.capture;
    document["capture"] = {{"outbound", capture.outbound},
                           {"inbound", capture.inbound},
                           {"ipv6", capture.ipv6},
                           {"transparent", capture.transparent},
                           {"mtls", capture.permissive ? "permissive" : "strict"}};
  }
  return document;
}

}  // namespace

Result<WorkloadAddresses> claim_addresses(const config::Workload& workload,
                                          const WorkloadAddresses& former) {
  WorkloadAddresses addresses;
  const auto add = [&](const std::string& field, const std::string& name,
                       const Address& wanted) -> Result<void> {
    Result<Address> claimed = claim(wanted, name, former);
    if (!claimed) {
      claimed.error().detail = field + ": " + claimed.error().detail;
      return claimed.error();
    }
    addresses[name] = *claimed;
    return {};
  };
  Result<void> added = add("workload.outbound", "outbound", workload.outbound);
  if (!added) return added.error();
  for (size_t i = 0; i < workload.ports.size(); ++i) {
    if (workload.capture) {
      addresses[inbound_name(workload.ports[i])] = workload.ports[i].inbound;
      continue;
    }
    added = add("workload.ports[" + std::to_string(i) + "].inbound",
                inbound_name(workload.ports[i]), workload.ports[i].inbound);
    if (!added) return added.error();
  }
  return addresses;
}

xds::Node node_of(const config::Bootstrap& bootstrap, const WorkloadAddresses& addresses) {
  xds::Node node;
  node.id = bootstrap.node.id;
  node.cluster = bootstrap.node.cluster;
  node.region = bootstrap.node.region;
  node.zone = bootstrap.node.zone;
  node.sub_zone = bootstrap.node.sub_zone;
  node.user_agent_name = "tulle-sidecar";
  node.user_agent_version = std::string(kVersion);
  json metadata = json::parse(bootstrap.node.metadata_json);
  if (bootstrap.membership.workload) {
    metadata["tulle"] = workload_json(*bootstrap.membership.workload, addresses);
  }
  node.metadata_json = metadata.dump(-1, ' ', false, json::error_handler_t::replace);
  return node;
}

}  // namespace tulle::source
