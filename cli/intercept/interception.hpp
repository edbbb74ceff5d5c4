// Interception: which traffic of a network namespace a sidecar gets, as plain values.
//
// Owns nothing and knows no program; nft_rules and iptables_rules turn it into rules. Only TCP is
// meant: UDP, and with it most DNS, is left alone. Values are checked when they are read, so that
// whoever holds an Interception can write every one of them into a script.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace tulle::cli {

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// A block of addresses in canonical CIDR form: bits behind the prefix are zero.
struct AddressRange {
  bool ipv6 = false;
  std::string text;  // "10.0.0.0/8"
  friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

struct Interception {
  enum class Mode : uint8_t {
    redirect,  // both directions by NAT; applications see 127.0.0.6 as the caller
    tproxy,    // inbound without NAT: the caller's address stays visible
  };
  Mode mode = Mode::redirect;
  uint16_t inbound_port = 15006;
  uint16_t outbound_port = 15001;
  std::vector<uint32_t> proxy_users = {2102};  // never 0: root's own traffic must not escape
  std::vector<uint32_t> proxy_groups;
  std::vector<uint32_t> excluded_users;        // their outbound traffic stays as it is
  std::vector<PortRange> included_inbound;     // empty: all
  std::vector<PortRange> excluded_inbound;     // besides the sidecar's own
  std::vector<PortRange> excluded_outbound;
  std::vector<AddressRange> included_outbound; // empty: all
  std::vector<AddressRange> excluded_outbound_ranges;
  std::vector<std::string> excluded_interfaces;
  bool ipv6 = true;
  bool drop_invalid = false;  // packets that conntrack cannot place escape NAT; see kernel docs
};

// What the sidecar answers itself (metrics and health): never intercepted on the way in.
inline constexpr PortRange kOwnPorts = {15020, 15021};
// The source address with which a sidecar delivers to its application (::6 for IPv6): how its
// connections are told from the application's own.
inline constexpr std::string_view kDeliveryAddress = "127.0.0.6";
inline constexpr std::string_view kDeliveryAddress6 = "::6";
// TPROXY: the mark of packets that belong to the sidecar's sockets, and the routing table that keeps
// them on this machine.
inline constexpr uint32_t kTransparentMark = 0x539;
inline constexpr uint32_t kTransparentTable = 133;

// "80", "8000-8100"; lists are separated by commas.
Result<std::vector<PortRange>> parse_ports(std::string_view list);
Result<std::vector<AddressRange>> parse_ranges(std::string_view list);
// Names of users (groups) or their numbers, looked up on this machine.
Result<std::vector<uint32_t>> parse_users(std::string_view list);
Result<std::vector<uint32_t>> parse_groups(std::string_view list);
Result<std::vector<std::string>> parse_interfaces(std::string_view list);
// What does not fit together, for people; empty: fine.
std::vector<std::string> problems_of(const Interception& wanted);

std::string to_string(const PortRange& range, char dash);

}  // namespace tulle::cli
