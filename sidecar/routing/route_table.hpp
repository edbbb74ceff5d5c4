// RouteTable: request to route. Virtual host by authority, then the first route that matches.
//
// Owns its virtual hosts; immutable after construction and shared by all workers.
// Hosts are chosen by exact domain, then the longest "*.suffix", then the longest "prefix.*", then
// "*"; ASCII case does not matter. A wildcard stands for one character or more. The authority is
// tried as sent and, when it names the scheme's default port, without it; one trailing dot is
// ignored. Invariant: a domain belongs to one virtual host.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sidecar/routing/route.hpp"

namespace tulle::routing {

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;
  std::vector<Route> routes;  // first match wins
};

class RouteTable {
 public:
  // Domains must be valid and unique (see authority.hpp); the compile step has checked.
  RouteTable(std::string name, std::vector<VirtualHost> hosts, bool ignore_port);

  // Null: no virtual host, or none of its routes. `random` decides shares; see Forward::pick.
  const Route* match(const RequestView& request, uint64_t random) const;

  const std::string& name() const { return name_; }
  const std::vector<VirtualHost>& virtual_hosts() const { return hosts_; }
  size_t route_count() const { return route_count_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using HostIndex = uint32_t;
  static constexpr HostIndex kNone = UINT32_MAX;
  // Wildcards of one kind: their fixed parts, and which lengths occur, longest first.
  struct Affixes {
    std::unordered_map<std::string, HostIndex, Hash, std::equal_to<>> hosts;
    std::vector<size_t> lengths;
    void add(std::string fixed, HostIndex host);
  };

  HostIndex find_host(std::string_view authority, std::string_view scheme) const;
  HostIndex find_exact(std::string_view host) const;
  HostIndex find_suffix(std::string_view host) const;
  HostIndex find_prefix(std::string_view host) const;

  std::string name_;
  std::vector<VirtualHost> hosts_;
  std::unordered_map<std::string, HostIndex, Hash, std::equal_to<>> exact_;
  Affixes suffixes_;
  Affixes prefixes_;
  HostIndex any_ = kNone;
  size_t route_count_ = 0;
  bool ignore_port_;
};

}  // namespace tulle::routing
