#include "sidecar/routing/authority.hpp"

#include <algorithm>

#include "core/base/ascii.hpp"

namespace tulle::routing {

namespace {

bool may_occur(char c) {
  return is_alphanumeric(c) || std::string_view("-._~:[]*%").find(c) != std::string_view::npos;
}

}  // namespace

SplitAuthority split_authority(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos) return {authority, {}};
  // Inside brackets, or without them several times: part of an IPv6 address.
  const size_t bracket = authority.rfind(']');
  if (bracket != std::string_view::npos ? colon < bracket : authority.find(':') != colon) {
    return {authority, {}};
  }
  const std::string_view port = authority.substr(colon + 1);
  if (!std::ranges::all_of(port, is_digit)) {
    return {authority, {}};
  }
  return {authority.substr(0, colon), port};
}

std::string_view default_port(std::string_view scheme) { return scheme == "https" ? "443" : "80"; }

std::string domain_problem(std::string_view domain) {
  if (domain.empty()) return "must not be empty";
  if (domain.size() > 260) return "is longer than 260 characters";
  if (!std::ranges::all_of(domain, may_occur)) return "holds a character no authority can hold";
  const size_t star = domain.find('*');
  if (star == std::string_view::npos) return {};
  if (domain.find('*', star + 1) != std::string_view::npos) return "holds more than one '*'";
  if (star != 0 && star + 1 != domain.size()) return "may hold '*' only at its beginning or end";
  return {};
}

}  // namespace tulle::routing
