// The names of pushed resources, and what they mean. Pure.
//
// A Service port is called `<port>|<svc>.<ns>` as a route table and
// `outbound|<port>||<svc>.<ns>.svc.<cluster domain>` as a cluster and its endpoints; a destination
// `<host>:<port>` is what a sidecar asks for when its application calls that host. Names come from
// the other side of a connection: what does not parse names nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/build/mesh.hpp"

namespace tulle::build {

struct ServicePortName {
  std::string namespace_name;
  std::string service;
  uint16_t port = 0;
  friend bool operator==(const ServicePortName&, const ServicePortName&) = default;
};

std::string route_name(const ServicePortName& name);
std::optional<ServicePortName> parse_route_name(std::string_view text);

std::string cluster_name(const ServicePortName& name, const Mesh& mesh);
std::optional<ServicePortName> parse_cluster_name(std::string_view text, const Mesh& mesh);

// A port of the workloads at an IP address: what is called by address reaches that very instance.
struct AddressPortName {
  std::string ip;
  uint16_t port = 0;
};
std::string cluster_name(const AddressPortName& name);  // "outbound|6379||10.0.0.5"
std::optional<AddressPortName> parse_address_cluster_name(std::string_view text);
std::optional<AddressPortName> parse_address_destination(std::string_view text);

// As a caller in that namespace spells it. Nothing: no Service could be meant.
std::optional<ServicePortName> parse_destination(std::string_view text,
                                                 std::string_view caller_namespace,
                                                 const Mesh& mesh);

// The node's own.
inline constexpr std::string_view kOutboundListener = "outbound";
// Where its traffic is captured.
inline constexpr std::string_view kCapturedOutbound = "captured-outbound";    // over IPv4
inline constexpr std::string_view kCapturedOutbound6 = "captured-outbound6";  // over IPv6
inline constexpr std::string_view kCapturedInbound = "captured-inbound";
inline constexpr std::string_view kInboundPassthrough = "inbound|*||";  // what has no port of its own
std::string inbound_listener_name(uint16_t port);  // "inbound|8080"
std::string inbound_cluster_name(uint16_t port);   // "inbound|8080||"

}  // namespace tulle::build
