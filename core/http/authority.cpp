#include "core/http/authority.hpp"

#include <algorithm>
#include <array>

#include "core/base/ascii.hpp"

namespace tulle {
namespace {

using Table = std::array<bool, 256>;

// What a name can have in DNS.
constexpr size_t kLongestHost = 255;

// reg-name and IP-literal of RFC 3986 without what lists and user information need.
constexpr Table make_host_table() {
  Table table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (char c : std::string_view("-._~%!$&'()*+;=")) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr Table kHost = make_host_table();

bool all_in(const Table& table, std::string_view text) {
  bool good = true;
  for (char c : text) good &= table[static_cast<unsigned char>(c)];
  return good;
}

bool is_port(std::string_view port) {
  if (port.empty() || port.size() > 5) return false;
  unsigned value = 0;
  for (char c : port) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

bool is_ip_literal(std::string_view inside) {
  if (inside.empty()) return false;
  for (char c : inside) {
    // Addresses, IPvFuture and a zone behind %25; never another bracket.
    if (c != ':' && !kHost[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

struct HostPort {
  std::string_view host;
  std::string_view port;
};

// A port is what digits at the end and a colon before them are.
size_t host_size(std::string_view authority) {
  size_t at = authority.size();
  while (at > 0 && is_digit(authority[at - 1])) --at;
  return at > 0 && authority[at - 1] == ':' ? at - 1 : authority.size();
}

HostPort split(std::string_view authority) {
  const size_t host = host_size(authority);
  return {authority.substr(0, host), authority.substr(std::min(host + 1, authority.size()))};
}

HostPort comparable(std::string_view authority, std::string_view scheme) {
  HostPort parts = split(authority);
  if (parts.host.size() > 1 && parts.host.back() == '.') parts.host.remove_suffix(1);
  const std::string_view by_default = scheme == "https" ? "443" : "80";
  if (parts.port == by_default) parts.port = {};
  return parts;
}

}  // namespace

bool is_authority(std::string_view authority) {
  if (authority.empty()) return false;
  if (authority.front() == '[') {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos || !is_ip_literal(authority.substr(1, end - 1))) return false;
    const std::string_view rest = authority.substr(end + 1);
    return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
  }
  const size_t colon = authority.find(':');
  const std::string_view host = authority.substr(0, colon);
  if (host.empty() || host.size() > kLongestHost || !all_in(kHost, host)) return false;
  return colon == std::string_view::npos || is_port(authority.substr(colon + 1));
}

bool same_authority(std::string_view a, std::string_view b, std::string_view scheme) {
  if (a == b) return true;
  const HostPort left = comparable(a, scheme);
  const HostPort right = comparable(b, scheme);
  return std::ranges::equal(left.host, right.host, {}, lower, lower) &&
         left.port == right.port;
}

void canonicalise_authority(std::string& authority) {
  lower_copy(authority.data(), authority.data(), authority.size());
  const size_t host = host_size(authority);
  // Two dots name nothing; they stay for somebody to say so.
  const bool dot = host > 1 && authority[host - 1] == '.' && authority[host - 2] != '.';
  if (dot) authority.erase(host - 1, 1);
}

}  // namespace tulle
