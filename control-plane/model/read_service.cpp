// Service and Workload from JSON.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "control-plane/model/read_values.hpp"
#include "control-plane/model/service_rules.hpp"
#include "core/net/address.hpp"

namespace tulle::model {

using nlohmann::json;

namespace {

// Each port is a listener of every instance and a cluster of every caller.
constexpr size_t kMostPorts = 64;
// What a weight can be in a load balancer's sums without overflow.
constexpr uint64_t kMostWeight = 1'000'000;

// Names and numbers must tell ports apart; without a name there is only one.
template <class Port>
void check_ports(const std::vector<Port>& ports, const Place& place) {
  std::set<std::string> names;
  std::set<uint16_t> numbers;
  for (size_t i = 0; i < ports.size(); ++i) {
    const Place at = place.at(i);
    if (ports[i].name.empty() && ports.size() > 1) {
      at.field("name").invalid("is missing; with several ports each needs one");
    } else if (!names.insert(ports[i].name).second) {
      at.field("name").invalid("\"" + ports[i].name + "\" is given twice");
    }
    if (ports[i].port != 0 && !numbers.insert(ports[i].port).second) {
      at.field("port").invalid(std::to_string(ports[i].port) + " is given twice");
    }
  }
}

ServicePort read_service_port(const json& value, const Place& place) {
  Object object(value, place);
  ServicePort port;
  port.name = read_label_name(object, "name");
  port.port = static_cast<uint16_t>(object.required_number("port", 1, UINT16_MAX));
  port.app_protocol = read_app_protocol(object);
  if (object.text("protocol") != "TCP") object.unsupported("protocol", "only TCP is supported");
  object.unsupported("targetPort", "not supported; a workload's port is found by name, else by "
                                   "number, else it is the only one");
  object.unsupported("nodePort");
  object.finish();
  return port;
}

// Somewhere an instance can be: not everybody, not a group, not a link-local service such as the
// metadata server of a cloud.
bool may_be_an_instance(const Address& address) {
  const std::string ip = address.ip();
  if (ip == "0.0.0.0" || ip == "::" || ip.starts_with("169.254.") || ip.starts_with("fe80")) {
    return false;
  }
  if (address.is_ipv6()) return !ip.starts_with("ff");
  const int first = std::stoi(ip.substr(0, ip.find('.')));
  return first != 0 && first < 224;
}

void check_address(const Result<Address>& address, const Place& place, const char* form) {
  if (!address) {
    place.invalid(form);
  } else if (!may_be_an_instance(*address)) {
    place.invalid("an instance cannot be at " + address->ip());
  }
}

// Loopback never leaves the caller's machine, so nothing captures it.
void add_cluster_ip(const json& value, ServiceSpec& spec, const Place& place) {
  const Result<Address> address =
      value.is_string() ? Address::parse(value.get_ref<const std::string&>(), 0)
                        : Result<Address>(Error{});
  if (!address) return place.invalid("must be an IP address");
  if (!may_be_an_instance(*address) || address->is_loopback()) {
    return place.invalid("a Service cannot be at " + address->ip());
  }
  const bool doubled = std::ranges::any_of(spec.cluster_ips, [&](const std::string& other) {
    return Address::parse(other, 0)->is_ipv6() == address->is_ipv6();
  });
  if (doubled) return place.invalid("at most one address of each family");
  spec.cluster_ips.push_back(address->ip());
}

// Both names are Kubernetes'; the first of clusterIPs is clusterIP, where both are given.
void read_cluster_ips(Object& object, ServiceSpec& spec) {
  const json* one = object.find("clusterIP");
  const json* all = object.list("clusterIPs", 2);
  spec.headless = (one != nullptr && *one == "None") ||
                  (one == nullptr && all != nullptr && *all == json::array({"None"}));
  if (all != nullptr && !all->empty()) {
    if (one != nullptr && *one != all->front()) {
      object.place("clusterIPs").at(0).invalid("must be the same as clusterIP");
    }
    for (size_t i = 0; i < all->size(); ++i) {
      const Place at = object.place("clusterIPs").at(i);
      if (!spec.headless) {
        add_cluster_ip((*all)[i], spec, at);
      } else if ((*all)[i] != "None") {
        at.invalid("a headless Service has no address");
      }
    }
  } else if (one != nullptr && !spec.headless && *one != "") {
    add_cluster_ip(*one, spec, object.place("clusterIP"));
  }
}

WorkloadPort read_workload_port(const json& value, const Place& place) {
  Object object(value, place);
  WorkloadPort port;
  port.name = read_label_name(object, "name");
  port.port = static_cast<uint16_t>(object.required_number("port", 1, UINT16_MAX));
  port.inbound = object.required_text("inbound");
  port.app_protocol = read_app_protocol(object);
  if (!port.inbound.empty()) {
    const Result<Address> inbound = Address::parse(port.inbound);
    check_address(inbound, object.place("inbound"), "must be ip:port");
    if (inbound && inbound->port() == 0) object.place("inbound").invalid("the port must not be 0");
  }
  object.finish();
  return port;
}

// Labels that speak for the mesh are the mesh's own.
void refuse_reserved(const StringMap& labels, const Place& place) {
  for (const auto& [key, value] : labels) {
    if (key.starts_with("tulle.dev/")) place.key(key).invalid("labels of tulle.dev/ are reserved");
  }
}

Locality read_locality(const json& value, const Place& place) {
  Object object(value, place);
  Locality locality;
  locality.region = object.text("region");
  locality.zone = object.text("zone");
  locality.sub_zone = object.text("subZone");
  object.finish();
  return locality;
}

void read_origin(Object& object, WorkloadSpec& spec, bool stored) {
  const int source = read_choice(object, "source", {"manual", "registration"});
  if (source == 1) spec.source = WorkloadSpec::Source::registration;
  spec.node = object.text("node");
  if (stored) return;
  if (source == 1) object.place("source").invalid("only a sidecar can register its workload");
  if (!spec.node.empty()) object.place("node").invalid("only a sidecar can register its workload");
}

}  // namespace

ServiceSpec read_service(const json& value, const Place& place) {
  Object object(value, place);
  ServiceSpec spec;
  object.required("ports");
  if (const json* ports = object.list("ports", kMostPorts)) {
    if (ports->empty()) object.place("ports").invalid("must not be empty");
    for (size_t i = 0; i < ports->size(); ++i) {
      spec.ports.push_back(read_service_port((*ports)[i], object.place("ports").at(i)));
    }
    check_ports(spec.ports, object.place("ports"));
  }
  if (object.find("selector") != nullptr) {
    spec.selector = read_labels(object, "selector");
    const auto account = spec.selector->find(std::string(kServiceLabel));
    if (account == spec.selector->end() || account->second.empty()) {
      object.place("selector").invalid(
          "must contain \"" + std::string(kServiceLabel) +
          "\": the service account whose instances it selects, which callers verify");
    }
  }
  read_cluster_ips(object, spec);
  for (const char* name : {"type", "externalName", "sessionAffinity", "publishNotReadyAddresses",
                           "externalIPs"}) {
    object.unsupported(name);
  }
  object.finish();
  return spec;
}

WorkloadSpec read_workload(const json& value, const Place& place, bool stored) {
  Object object(value, place);
  WorkloadSpec spec;
  spec.service = required_label_name(object, "service");
  spec.address = object.required_text("address");
  if (!spec.address.empty()) {
    check_address(Address::parse(spec.address, 0), object.place("address"), "must be an IP address");
  }
  object.required("ports");
  if (const json* ports = object.list("ports", kMostPorts)) {
    if (ports->empty()) object.place("ports").invalid("must not be empty");
    for (size_t i = 0; i < ports->size(); ++i) {
      spec.ports.push_back(read_workload_port((*ports)[i], object.place("ports").at(i)));
    }
    check_ports(spec.ports, object.place("ports"));
  }
  spec.labels = read_labels(object, "labels");
  refuse_reserved(spec.labels, object.place("labels"));
  spec.weight = static_cast<uint32_t>(object.number("weight", 1, kMostWeight).value_or(1));
  if (const json* locality = object.find("locality")) {
    spec.locality = read_locality(*locality, object.place("locality"));
  }
  read_origin(object, spec, stored);
  object.finish();
  return spec;
}

}  // namespace tulle::model
