#include "sidecar/config/read_membership.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "sidecar/config/strict_json.hpp"

namespace tulle::config {

namespace {

using nlohmann::json;

// An application with more ports than this is several applications.
constexpr size_t kMostPorts = 64;
constexpr size_t kMostLabels = 64;
constexpr size_t kLongestLabel = 317;  // a key of Kubernetes: prefix, '/', name

// RFC 1123: what may stand in a host name and a SPIFFE ID without anybody escaping it.
bool is_dns_label(std::string_view text) {
  const auto is_edge = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 63 && is_edge(text.front()) && is_edge(text.back()) &&
         std::ranges::all_of(text, [&](char c) { return is_edge(c) || c == '-'; });
}

void check_dns_label(const std::string& text, const Place& place) {
  if (!text.empty() && !is_dns_label(text)) {
    place.invalid("\"" + text + "\" must be letters a to z, digits and '-', at most 63");
  }
}

Address read_address(JsonObject& object, const char* name, std::string_view otherwise) {
  const std::string text = object.text(name, otherwise);
  const Result<Address> address = Address::parse(text);
  if (address) return *address;
  object.place(name).invalid("\"" + text + "\" is not <ip>:<port>");
  return {};
}

ControlPlane read_control_plane(const json& value, const Place& place) {
  JsonObject object(value, place);
  ControlPlane control_plane;
  if (!object.required_text("address").empty()) {
    control_plane.address = read_address(object, "address", "");
    if (control_plane.address.is_set() && control_plane.address.port() == 0) {
      object.place("address").invalid("must have a port");
    }
  }
  control_plane.trust_bundle = object.required_text("trust_bundle");
  object.finish();
  return control_plane;
}

IssuedIdentity read_issued(const json& value, const Place& place) {
  JsonObject object(value, place);
  IssuedIdentity identity;
  identity.directory = object.required_text("directory");
  identity.trust_domain = object.required_text("trust_domain");
  identity.join_token_file = object.text("join_token_file");
  for (const char* file : {"certificate", "key", "trust_bundle"}) {
    if (object.find(file) == nullptr) continue;
    object.place(file).invalid("does not go with \"directory\", where the issued one is kept");
  }
  object.finish();
  return identity;
}

constexpr std::string_view kAppProtocols[] = {"http",  "h2c",        "grpc",    "auto",
                                              "tcp",   "tls",        "redis",   "mysql",
                                              "postgresql", "mongodb", "amqp",  "kafka"};

// Others call the port itself, and the packet filter sends that to the sidecar.
void set_captured(const Address& instance, JsonObject& object, WorkloadPort& port) {
  if (object.find("inbound") != nullptr) {
    object.place("inbound").invalid("does not go with \"capture\": the port itself is captured");
  }
  port.inbound = instance.with_port(port.port);
}

// `captured`: the address of an instance whose traffic is, else null.
WorkloadPort read_port(const json& value, const Address* captured, const Place& place) {
  JsonObject object(value, place);
  WorkloadPort port;
  port.name = object.text("name");
  check_dns_label(port.name, object.place("name"));
  if (object.find("port") == nullptr) object.place("port").invalid("is missing");
  port.port = static_cast<uint16_t>(object.number("port", 1, 1, UINT16_MAX));
  port.app_protocol = object.text("app_protocol", "http");
  if (std::ranges::find(kAppProtocols, port.app_protocol) == std::end(kAppProtocols)) {
    object.place("app_protocol")
        .invalid("must be one of: http h2c grpc auto tcp tls redis mysql postgresql mongodb amqp "
                 "kafka");
  }
  // What nobody declares is found out per connection.
  if (port.app_protocol == "auto") port.app_protocol.clear();
  if (captured != nullptr) {
    set_captured(*captured, object, port);
  } else {
    port.inbound = read_address(object, "inbound", "127.0.0.1:0");
  }
  object.finish();
  return port;
}

void read_ports(const json& list, const Address* captured, std::vector<WorkloadPort>& ports,
                const Place& place) {
  if (!list.is_array()) {
    return place.invalid(std::string("expected a list, found ") + kind_of(list));
  }
  if (list.size() > kMostPorts) return place.invalid("must hold at most 64");
  std::set<std::string> names;
  std::set<uint16_t> numbers;
  for (size_t i = 0; i < list.size(); ++i) {
    const Place at = place.at(i);
    const size_t before = at.problem_count();
    WorkloadPort port = read_port(list[i], captured, at);
    if (at.problem_count() > before) continue;
    if (port.name.empty() && list.size() > 1) at.field("name").invalid("is missing");
    if (!port.name.empty() && !names.insert(port.name).second) {
      at.field("name").invalid("\"" + port.name + "\" is given twice");
    }
    if (!numbers.insert(port.port).second) {
      at.field("port").invalid(std::to_string(port.port) + " is given twice");
    }
    ports.push_back(std::move(port));
  }
}

void read_labels(const json& value, std::map<std::string, std::string>& labels,
                 const Place& place) {
  if (!value.is_object()) {
    return place.invalid(std::string("expected an object, found ") + kind_of(value));
  }
  if (value.size() > kMostLabels) return place.invalid("must hold at most 64");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      place.key(key).invalid(std::string("expected a string, found ") + kind_of(text));
    } else if (key.empty() || key.size() > kLongestLabel) {
      place.key(key).invalid("is no label: 1 to 317 characters");
    } else {
      labels.emplace(key, text.get<std::string>());
    }
  }
}

void read_flag(JsonObject& object, const char* name, bool& into) {
  const json* value = object.find(name);
  if (value == nullptr) return;
  if (value->is_boolean()) {
    into = value->get<bool>();
  } else {
    object.place(name).invalid(std::string("expected true or false, found ") + kind_of(*value));
  }
}

Capture read_capture(const json& value, const Place& place) {
  JsonObject object(value, place);
  Capture capture;
  capture.outbound = static_cast<uint16_t>(object.number("outbound", 15001, 1, UINT16_MAX));
  capture.inbound = static_cast<uint16_t>(object.number("inbound", 15006, 1, UINT16_MAX));
  read_flag(object, "ipv6", capture.ipv6);
  read_flag(object, "transparent", capture.transparent);
  const std::string mtls = object.text("mtls", "strict");
  capture.permissive = mtls == "permissive";
  if (mtls != "strict" && mtls != "permissive") {
    object.place("mtls").invalid("must be \"strict\" or \"permissive\"");
  }
  if (capture.inbound == capture.outbound) object.place("inbound").invalid("is outbound's port");
  object.finish();
  return capture;
}

Workload read_workload(const json& value, const Place& place) {
  JsonObject object(value, place);
  Workload workload;
  workload.name_space = object.text("namespace", "default");
  check_dns_label(workload.name_space, object.place("namespace"));
  if (workload.name_space.empty()) object.place("namespace").invalid("must not be empty");
  workload.service = object.required_text("service");
  check_dns_label(workload.service, object.place("service"));
  if (const json* labels = object.find("labels")) {
    read_labels(*labels, workload.labels, object.place("labels"));
  }
  workload.address = object.text("address", "127.0.0.1");
  const Result<Address> address = Address::parse(workload.address, 0);
  if (!address) {
    object.place("address").invalid("\"" + workload.address + "\" is not an IP address");
  }
  if (const json* capture = object.find("capture")) {
    workload.capture = read_capture(*capture, object.place("capture"));
    if (address && address->is_loopback()) {
      object.place("address").invalid("loopback is not captured: \"capture\" needs an address that "
                                      "others reach the instance at");
    }
  }
  const bool captured = workload.capture && address;
  workload.outbound =
      read_address(object, "outbound", captured ? "127.0.0.1:0" : "127.0.0.1:15001");
  if (const json* ports = object.find("ports")) {
    read_ports(*ports, captured ? &*address : nullptr, workload.ports, object.place("ports"));
  }
  object.finish();
  return workload;
}

Egress read_egress(JsonObject& object) {
  const std::string egress = object.text("egress", "allow");
  if (egress == "deny") return Egress::deny;
  if (egress != "allow") object.place("egress").invalid("must be \"allow\" or \"deny\"");
  return Egress::allow;
}

// What means nothing without something else is a mistake worth hearing about.
void check_company(const Membership& membership, JsonObject& object) {
  constexpr const char* kNeeds = "needs \"control_plane\"";
  if (!membership.control_plane) {
    if (membership.issued_identity) object.place("identity").field("directory").invalid(kNeeds);
    for (const char* name : {"workload", "state_dir", "egress"}) {
      if (object.find(name) != nullptr) object.place(name).invalid(kNeeds);
    }
    return;
  }
  if (membership.issued_identity && !membership.workload) {
    object.place("identity").field("directory").invalid(
        "needs \"workload\", which says whose certificate is asked for");
  }
  if (object.find("identity") == nullptr) {
    object.place("identity").invalid("is missing: the control plane must know who asks");
  }
}

}  // namespace

bool is_issued_identity(const json& identity) {
  return identity.is_object() &&
         (identity.contains("directory") || identity.contains("join_token_file"));
}

Membership read_membership(JsonObject& object) {
  Membership membership;
  if (const json* value = object.find("control_plane")) {
    membership.control_plane = read_control_plane(*value, object.place("control_plane"));
  }
  if (const json* value = object.find("identity"); value != nullptr && is_issued_identity(*value)) {
    membership.issued_identity = read_issued(*value, object.place("identity"));
  }
  if (const json* value = object.find("workload")) {
    membership.workload = read_workload(*value, object.place("workload"));
  }
  membership.state_dir = object.text("state_dir");
  membership.egress = read_egress(object);
  check_company(membership, object);
  return membership;
}

}  // namespace tulle::config
