#include "control-plane/push/node_metadata.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "control-plane/model/names.hpp"

namespace tulle::push {

namespace {

using Json = nlohmann::json;

constexpr size_t kMaxPorts = 64;
constexpr size_t kMaxLabels = 64;

// Collects what is wrong, so that one answer says it all.
class Reader {
 public:
  explicit Reader(SidecarNode& into) : into_(into) {}

  void read(const Json& json) {
    if (!json.is_object()) return wrong("metadata.tulle", "must be an object");
    into_.node.namespace_name = text(json, "namespace");
    into_.node.service = text(json, "service");
    into_.workload.service = into_.node.service;
    into_.workload.address = text(json, "address");
    if (!into_.workload.address.empty() && !Address::parse(into_.workload.address, 1)) {
      wrong("address", "is not an IP address");
    }
    into_.node.outbound = address(text(json, "outbound"), "outbound");
    const auto weight = json.find("weight");
    if (weight != json.end()) {
      // Numbers of a protobuf Struct are doubles: 3.0.
      const double value = weight->is_number() ? weight->get<double>() : -1;
      if (value >= 0 && value <= 1'000'000) {
        into_.workload.weight = static_cast<uint32_t>(value);
      } else {
        wrong("weight", "must be from 0 to 1000000");
      }
    }
    read_labels(json);
    read_ports(json);
    read_capture(json);
    if (!into_.workload.ports.empty() && into_.workload.address.empty()) {
      wrong("address", "is missing");
    }
  }

  const std::string& problems() const { return problems_; }

 private:
  void wrong(const std::string& path, const std::string& message) {
    problems_.append(problems_.empty() ? "" : "; ").append(path).append(": ").append(message);
  }

  std::string text(const Json& json, const char* key, const std::string& prefix = {}) {
    const auto found = json.find(key);
    if (found == json.end()) return {};
    if (found->is_string()) return found->get<std::string>();
    wrong(prefix + key, "must be a string");
    return {};
  }

  Address address(const std::string& written, const std::string& path) {
    if (written.empty()) return {};
    const Result<Address> parsed = Address::parse(written);
    if (parsed && parsed->port() != 0) return *parsed;
    wrong(path, "must be an IP address with a port");
    return {};
  }

  void read_labels(const Json& json) {
    const auto labels = json.find("labels");
    if (labels == json.end()) return;
    if (!labels->is_object() || labels->size() > kMaxLabels) {
      return wrong("labels", "must be an object with at most 64 members");
    }
    for (const auto& [key, value] : labels->items()) {
      const bool good = model::is_label_key(key) && value.is_string() &&
                        model::is_label_value(value.get_ref<const std::string&>());
      if (!good) {
        wrong("labels[\"" + key + "\"]", "is not a label");
      } else if (key.starts_with("tulle.dev/")) {
        wrong("labels[\"" + key + "\"]", "belongs to the mesh");
      } else {
        into_.workload.labels.emplace(key, value.get<std::string>());
      }
    }
  }

  void read_ports(const Json& json) {
    const auto ports = json.find("ports");
    if (ports == json.end()) return;
    if (!ports->is_array() || ports->size() > kMaxPorts) {
      return wrong("ports", "must be an array of at most 64");
    }
    std::set<uint16_t> numbers;
    std::set<std::string> names;
    for (size_t i = 0; i < ports->size(); ++i) {
      const std::string at = "ports[" + std::to_string(i) + "]";
      if (!(*ports)[i].is_object()) {
        wrong(at, "must be an object");
        continue;
      }
      const std::optional<build::NodePort> port = read_port((*ports)[i], at + ".");
      if (!port) continue;
      if (!numbers.insert(port->port).second) wrong(at + ".port", "is given twice");
      if (!names.insert(port->name).second) wrong(at + ".name", "is given twice");
      into_.node.ports.push_back(*port);
      into_.workload.ports.push_back(
          {port->name, port->port, port->inbound.to_string(), port->app_protocol});
    }
  }

  std::optional<build::NodePort> read_port(const Json& json, const std::string& prefix) {
    const size_t before = problems_.size();
    build::NodePort port;
    port.name = text(json, "name", prefix);
    if (!port.name.empty() && !model::is_dns_label(port.name)) {
      wrong(prefix + "name", "is not a name");
    }
    port.port = port_number(json, "port", prefix);
    port.inbound = address(text(json, "inbound", prefix), prefix + "inbound");
    if (!port.inbound.is_set() && problems_.size() == before) {
      wrong(prefix + "inbound", "is missing");
    }
    const std::string protocol = text(json, "app_protocol", prefix);
    const auto known = model::app_protocol_of(protocol);
    if (known) {
      port.app_protocol = *known;
    } else if (!protocol.empty()) {
      wrong(prefix + "app_protocol", "\"" + protocol + "\" is not supported yet");
    }
    if (problems_.size() != before) return std::nullopt;
    return port;
  }

  uint16_t port_number(const Json& json, const char* key, const std::string& prefix) {
    const auto number = json.find(key);
    const double value = number != json.end() && number->is_number() ? number->get<double>() : 0;
    const uint16_t port = value >= 1 && value <= 65535 ? static_cast<uint16_t>(value) : uint16_t{0};
    if (port == 0 || port != value) wrong(prefix + key, "must be from 1 to 65535");
    return port;
  }

  bool flag(const Json& json, const char* key, bool otherwise, const std::string& prefix) {
    const auto found = json.find(key);
    if (found == json.end()) return otherwise;
    if (found->is_boolean()) return found->get<bool>();
    wrong(prefix + key, "must be true or false");
    return otherwise;
  }

  void read_capture(const Json& json) {
    const auto found = json.find("capture");
    if (found == json.end()) return;
    if (!found->is_object()) return wrong("capture", "must be an object");
    build::Capture& capture = into_.node.capture.emplace();
    capture.outbound = port_number(*found, "outbound", "capture.");
    capture.inbound = port_number(*found, "inbound", "capture.");
    capture.ipv6 = flag(*found, "ipv6", true, "capture.");
    capture.transparent = flag(*found, "transparent", false, "capture.");
    const std::string mtls = text(*found, "mtls", "capture.");
    capture.permissive = mtls == "permissive";
    if (!mtls.empty() && mtls != "strict" && mtls != "permissive") {
      wrong("capture.mtls", "must be \"strict\" or \"permissive\"");
    }
  }

  SidecarNode& into_;
  std::string problems_;
};

Error bad_node(std::string detail) {
  return {Code::bad_request, Origin::downstream, std::move(detail)};
}

}  // namespace

Result<SidecarNode> read_node(const xds::Node& node, std::string_view identity_namespace,
                              std::string_view identity_account) {
  SidecarNode read;
  read.node.id = node.id;
  read.workload.locality = {node.region, node.zone, node.sub_zone};
  read.workload.source = model::WorkloadSpec::Source::registration;
  read.workload.node = node.id;
  const Json metadata = Json::parse(node.metadata_json, nullptr, false);
  const auto own = metadata.is_object() ? metadata.find("tulle") : metadata.end();
  if (!metadata.is_object() || own == metadata.end()) {
    read.node.namespace_name = identity_namespace;
    read.node.service = identity_account;
    return read;
  }
  if (!model::is_dns_subdomain(node.id)) {
    return bad_node("node.id \"" + node.id + "\" must be a DNS name: it names the Workload");
  }
  Reader reader(read);
  reader.read(*own);
  if (!reader.problems().empty()) return bad_node("node metadata: " + reader.problems());
  return read;
}

std::optional<Account> account_of_spiffe_id(std::string_view spiffe_id,
                                            std::string_view trust_domain) {
  const std::string prefix = "spiffe://" + std::string(trust_domain) + "/ns/";
  if (!spiffe_id.starts_with(prefix)) return std::nullopt;
  spiffe_id.remove_prefix(prefix.size());
  const size_t slash = spiffe_id.find("/sa/");
  if (slash == std::string_view::npos) return std::nullopt;
  Account account{std::string(spiffe_id.substr(0, slash)),
                  std::string(spiffe_id.substr(slash + 4))};
  if (!model::is_dns_label(account.namespace_name) || !model::is_dns_label(account.name)) {
    return std::nullopt;
  }
  return account;
}

}  // namespace tulle::push
