#include "cli/intercept/interception.hpp"

#include <arpa/inet.h>
#include <grp.h>
#include <net/if.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/base/ascii.hpp"

namespace tulle::cli {
namespace {

Error wrong(std::string_view item, const char* expected) {
  return {Code::invalid_config, Origin::local, "'" + std::string(item) + "' is not " + expected};
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Every item between commas must be fine; blanks around it do not count. An empty list is fine too.
template <class Item, class Parse>
Result<std::vector<Item>> parse_list(std::string_view list, Parse parse) {
  std::vector<Item> items;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    Result<Item> parsed = parse(item);
    if (!parsed) return parsed.error();
    items.push_back(std::move(*parsed));
  }
  return items;
}

Result<PortRange> parse_port_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = number<uint16_t>(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : number<uint16_t>(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *last < *first) {
    return wrong(text, "a port (1 to 65535) or a range of ports (8000-8100)");
  }
  return PortRange{*first, *last};
}

void clear_behind(std::array<uint8_t, 16>& bytes, size_t size, size_t prefix) {
  for (size_t bit = prefix; bit < size * 8; ++bit) {
    bytes[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  }
}

Result<AddressRange> parse_range(std::string_view text) {
  static constexpr const char* kExpected = "an address or a block of addresses (10.0.0.0/8, fd00::/8)";
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  const bool ipv6 = address.find(':') != std::string::npos;
  const int family = ipv6 ? AF_INET6 : AF_INET;
  const size_t size = ipv6 ? 16 : 4;
  std::array<uint8_t, 16> bytes{};
  if (inet_pton(family, address.c_str(), bytes.data()) != 1) return wrong(text, kExpected);
  const auto prefix = slash == std::string_view::npos ? std::optional<size_t>(size * 8)
                                                      : number<size_t>(text.substr(slash + 1));
  if (!prefix || *prefix > size * 8) return wrong(text, kExpected);
  clear_behind(bytes, size, *prefix);
  std::array<char, INET6_ADDRSTRLEN> shown{};
  inet_ntop(family, bytes.data(), shown.data(), shown.size());
  return AddressRange{ipv6, std::string(shown.data()) + "/" + std::to_string(*prefix)};
}

Result<uint32_t> parse_user(std::string_view text) {
  if (const auto id = number<uint32_t>(text)) return *id;
  const passwd* found = getpwnam(std::string(text).c_str());
  if (found == nullptr) return wrong(text, "a user of this machine, nor a user id");
  return uint32_t{found->pw_uid};
}

Result<uint32_t> parse_group(std::string_view text) {
  if (const auto id = number<uint32_t>(text)) return *id;
  const group* found = getgrnam(std::string(text).c_str());
  if (found == nullptr) return wrong(text, "a group of this machine, nor a group id");
  return uint32_t{found->gr_gid};
}

// Stricter than the kernel, which takes nearly every byte: these names are written into scripts.
Result<std::string> parse_interface(std::string_view text) {
  const auto plain = [](char c) {
    return is_alphanumeric(c) || std::string_view("-_.@").find(c) != std::string_view::npos;
  };
  if (text.empty() || text.size() >= IF_NAMESIZE || !std::all_of(text.begin(), text.end(), plain)) {
    return wrong(text, "the name of a network interface");
  }
  return std::string(text);
}

}  // namespace

Result<std::vector<PortRange>> parse_ports(std::string_view list) {
  return parse_list<PortRange>(list, parse_port_range);
}
Result<std::vector<AddressRange>> parse_ranges(std::string_view list) {
  return parse_list<AddressRange>(list, parse_range);
}
Result<std::vector<uint32_t>> parse_users(std::string_view list) {
  return parse_list<uint32_t>(list, parse_user);
}
Result<std::vector<uint32_t>> parse_groups(std::string_view list) {
  return parse_list<uint32_t>(list, parse_group);
}
Result<std::vector<std::string>> parse_interfaces(std::string_view list) {
  return parse_list<std::string>(list, parse_interface);
}

std::vector<std::string> problems_of(const Interception& wanted) {
  std::vector<std::string> problems;
  const auto has_root = [](const std::vector<uint32_t>& ids) {
    return std::find(ids.begin(), ids.end(), 0U) != ids.end();
  };
  if (wanted.proxy_users.empty() && wanted.proxy_groups.empty()) {
    problems.emplace_back("--proxy-user: the sidecar needs a user or group of its own, or its own "
                          "connections would be sent back to it for ever");
  }
  if (has_root(wanted.proxy_users) || has_root(wanted.proxy_groups)) {
    problems.emplace_back("--proxy-user: root (0) cannot be the sidecar's user, because whatever runs "
                          "as root would bypass the mesh; run the sidecar as a user of its own");
  }
  if (wanted.inbound_port == 0 || wanted.outbound_port == 0) {
    problems.emplace_back("--inbound-port, --outbound-port: 0 is not a port");
  }
  if (wanted.inbound_port == wanted.outbound_port) {
    problems.emplace_back("--inbound-port and --outbound-port are the same; they need a port each");
  }
  return problems;
}

std::string to_string(const PortRange& range, char dash) {
  const std::string first = std::to_string(range.first);
  return range.first == range.last ? first : first + dash + std::to_string(range.last);
}

}  // namespace tulle::cli
