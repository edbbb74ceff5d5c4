#include "control-plane/build/names.hpp"

#include <charconv>

#include "control-plane/model/names.hpp"
#include "control-plane/model/service_rules.hpp"

namespace tulle::build {

namespace {

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool canonical = !text.empty() && text.front() != '0';
  if (error != std::errc() || end != text.data() + text.size() || !canonical) return std::nullopt;
  return port;
}

// "kitchen.default"
bool parse_service(std::string_view text, ServicePortName& name) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return false;
  name.service = text.substr(0, dot);
  name.namespace_name = text.substr(dot + 1);
  return model::is_dns_label(name.service) && model::is_dns_label(name.namespace_name);
}

}  // namespace

std::string route_name(const ServicePortName& name) {
  return std::to_string(name.port) + "|" + name.service + "." + name.namespace_name;
}

std::optional<ServicePortName> parse_route_name(std::string_view text) {
  const size_t bar = text.find('|');
  if (bar == std::string_view::npos) return std::nullopt;
  const std::optional<uint16_t> port = parse_port(text.substr(0, bar));
  ServicePortName name;
  if (!port || !parse_service(text.substr(bar + 1), name)) return std::nullopt;
  name.port = *port;
  return name;
}

std::string cluster_name(const ServicePortName& name, const Mesh& mesh) {
  return "outbound|" + std::to_string(name.port) + "||" + name.service + "." +
         name.namespace_name + ".svc." + mesh.cluster_domain;
}

std::optional<ServicePortName> parse_cluster_name(std::string_view text, const Mesh& mesh) {
  constexpr std::string_view kPrefix = "outbound|";
  const std::string suffix = ".svc." + mesh.cluster_domain;
  if (!text.starts_with(kPrefix) || !text.ends_with(suffix) ||
      text.size() <= kPrefix.size() + suffix.size()) {
    return std::nullopt;
  }
  text.remove_prefix(kPrefix.size());
  text.remove_suffix(suffix.size());
  const size_t bars = text.find("||");
  if (bars == std::string_view::npos) return std::nullopt;
  const std::optional<uint16_t> port = parse_port(text.substr(0, bars));
  ServicePortName name;
  if (!port || !parse_service(text.substr(bars + 2), name)) return std::nullopt;
  name.port = *port;
  return name;
}

std::string cluster_name(const AddressPortName& name) {
  return "outbound|" + std::to_string(name.port) + "||" + name.ip;
}

std::optional<AddressPortName> parse_address_cluster_name(std::string_view text) {
  constexpr std::string_view kPrefix = "outbound|";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  const size_t bars = text.find("||");
  if (bars == std::string_view::npos) return std::nullopt;
  const std::optional<uint16_t> port = parse_port(text.substr(0, bars));
  const Result<Address> address = Address::parse(text.substr(bars + 2), 0);
  // In one spelling only.
  if (!port || !address || address->ip() != text.substr(bars + 2)) return std::nullopt;
  return AddressPortName{address->ip(), *port};
}

std::optional<AddressPortName> parse_address_destination(std::string_view text) {
  const Result<Address> address = Address::parse(text);
  if (!address || address->port() == 0 || address->to_string() != text) return std::nullopt;
  return AddressPortName{address->ip(), address->port()};
}

std::optional<ServicePortName> parse_destination(std::string_view text,
                                                 std::string_view caller_namespace,
                                                 const Mesh& mesh) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<uint16_t> port = parse_port(text.substr(colon + 1));
  const auto service =
      model::service_of_host(text.substr(0, colon), caller_namespace, mesh.cluster_domain);
  if (!port || !service) return std::nullopt;
  return ServicePortName{service->namespace_name, service->name, *port};
}

std::string inbound_listener_name(uint16_t port) { return "inbound|" + std::to_string(port); }

std::string inbound_cluster_name(uint16_t port) { return inbound_listener_name(port) + "||"; }

}  // namespace tulle::build
