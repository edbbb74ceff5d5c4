#include "sidecar/routing/destination_name.hpp"

#include <algorithm>
#include <charconv>

#include "core/base/ascii.hpp"
#include "sidecar/routing/authority.hpp"

namespace tulle::routing {
namespace {

constexpr size_t kLongestHost = 255;
constexpr size_t kLongestPort = 5;

bool is_name_character(char c) {
  return is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
}

bool is_literal_character(char c) {
  return (c >= 'a' && c <= 'f') || is_digit(c) || c == ':' || c == '.';
}

uint16_t port_of(std::string_view digits) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && !digits.starts_with('0') ? port : uint16_t{0};
}

}  // namespace

DestinationName::DestinationName(std::string_view authority, std::string_view scheme) {
  auto [host, port] = split_authority(authority);
  if (port.empty()) port = default_port(scheme);
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > kLongestHost || port.size() > kLongestPort) return;
  char* out = std::ranges::transform(host, buffer_.data(), lower).out;
  *out++ = ':';
  out = std::ranges::copy(port, out).out;
  size_ = static_cast<uint16_t>(out - buffer_.data());
}

HostAndPort parse_destination(std::string_view name) {
  const size_t colon = name.rfind(':');
  if (colon == std::string_view::npos) return {};
  HostAndPort parts{name.substr(0, colon), port_of(name.substr(colon + 1))};
  if (parts.host.starts_with('[') && parts.host.ends_with(']')) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
    if (!std::ranges::all_of(parts.host, is_literal_character)) return {};
  } else if (!std::ranges::all_of(parts.host, is_name_character)) {
    return {};
  }
  const bool named = !parts.host.empty() && parts.host.size() <= kLongestHost &&
                     !parts.host.ends_with('.') && !parts.host.starts_with('.');
  return named && parts.port != 0 ? parts : HostAndPort{};
}

}  // namespace tulle::routing
