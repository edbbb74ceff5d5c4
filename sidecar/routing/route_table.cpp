#include "sidecar/routing/route_table.hpp"

#include <algorithm>
#include <array>

#include "core/base/ascii.hpp"
#include "sidecar/routing/authority.hpp"

namespace tulle::routing {

namespace {

// A DNS name, a port and a little. Longer authorities can only match "*".
constexpr size_t kLongestAuthority = 272;

}  // namespace

void RouteTable::Affixes::add(std::string fixed, HostIndex host) {
  const size_t length = fixed.size();
  hosts.emplace(std::move(fixed), host);
  if (std::ranges::find(lengths, length) == lengths.end()) lengths.push_back(length);
  std::ranges::sort(lengths, std::greater<>());
}

RouteTable::RouteTable(std::string name, std::vector<VirtualHost> hosts, bool ignore_port)
    : name_(std::move(name)), hosts_(std::move(hosts)), ignore_port_(ignore_port) {
  for (HostIndex i = 0; i < hosts_.size(); ++i) {
    for (Route& route : hosts_[i].routes) route.ordinal = static_cast<uint32_t>(route_count_++);
    for (const std::string& written : hosts_[i].domains) {
      const std::string domain = lower_case(written);
      if (domain == "*") {
        any_ = i;
      } else if (domain.starts_with('*')) {
        suffixes_.add(domain.substr(1), i);
      } else if (domain.ends_with('*')) {
        prefixes_.add(domain.substr(0, domain.size() - 1), i);
      } else {
        exact_.emplace(domain, i);
      }
    }
  }
}

const Route* RouteTable::match(const RequestView& request, uint64_t random) const {
  const HostIndex host = find_host(request.authority, request.scheme);
  if (host == kNone) return nullptr;
  const SplitPath path = split_path(request.path);
  for (const Route& route : hosts_[host].routes) {
    if (route.match.matches(request, path, random)) return &route;
  }
  return nullptr;
}

RouteTable::HostIndex RouteTable::find_host(std::string_view authority,
                                            std::string_view scheme) const {
  if (exact_.empty() && suffixes_.hosts.empty() && prefixes_.hosts.empty()) return any_;
  std::array<char, kLongestAuthority> buffer;
  if (authority.size() > buffer.size()) return any_;
  std::ranges::transform(authority, buffer.begin(), lower);
  const std::string_view sent(buffer.data(), authority.size());

  // The host alone stands for the authority when its port says nothing.
  const auto [host, port] = split_authority(sent);
  const bool bare = port.empty() || ignore_port_ || port == default_port(scheme);
  std::string_view name = bare ? host : sent;
  if (bare && name.ends_with('.')) name.remove_suffix(1);

  const std::array candidates{ignore_port_ ? name : sent, name};
  const size_t count = candidates[0] == candidates[1] ? 1 : 2;
  for (const auto find : {&RouteTable::find_exact, &RouteTable::find_suffix,
                          &RouteTable::find_prefix}) {
    for (size_t i = 0; i < count; ++i) {
      const HostIndex found = (this->*find)(candidates[i]);
      if (found != kNone) return found;
    }
  }
  return any_;
}

RouteTable::HostIndex RouteTable::find_exact(std::string_view host) const {
  const auto found = exact_.find(host);
  return found == exact_.end() ? kNone : found->second;
}

RouteTable::HostIndex RouteTable::find_suffix(std::string_view host) const {
  for (const size_t length : suffixes_.lengths) {
    if (length >= host.size()) continue;  // '*' stands for at least one character
    const auto found = suffixes_.hosts.find(host.substr(host.size() - length));
    if (found != suffixes_.hosts.end()) return found->second;
  }
  return kNone;
}

RouteTable::HostIndex RouteTable::find_prefix(std::string_view host) const {
  for (const size_t length : prefixes_.lengths) {
    if (length >= host.size()) continue;
    const auto found = prefixes_.hosts.find(host.substr(0, length));
    if (found != prefixes_.hosts.end()) return found->second;
  }
  return kNone;
}

}  // namespace tulle::routing
