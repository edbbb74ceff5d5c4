// PrivateRange: the addresses of an isolated mesh, IPv4 and IPv6, that this machine has no route to.
//
// Pure. Nothing of an isolated mesh is connected to the machine's own network, so a collision would
// break nothing; but an address that means a colleague's server outside should not mean a service
// inside. The lower half of the range is for instances, the upper half for Services.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace tulle::cli {

class PrivateRange {
 public:
  // The first that does not overlap with a route. `routes4`, `routes6`: as /proc/net/route and
  // /proc/net/ipv6_route say it; the default route counts for nothing.
  static Result<PrivateRange> choose(std::string_view routes4, std::string_view routes6);

  std::string gateway4() const { return instance_number4(1); }
  std::string gateway6() const { return instance_number6(1); }
  std::string instance4(unsigned index) const { return instance_number4(index + 2); }
  std::string instance6(unsigned index) const { return instance_number6(index + 2); }
  std::string service4(unsigned index) const;
  std::string service6(unsigned index) const;
  std::string text4() const;  // "10.213.0.0/16"
  std::string text6() const;
  static constexpr unsigned kInstancePrefix4 = 17;  // what a namespace finds on its own link
  static constexpr unsigned kInstancePrefix6 = 64;

 private:
  PrivateRange(uint8_t first, uint8_t second, uint16_t group)
      : first_(first), second_(second), group_(group) {}
  std::string instance_number4(unsigned number) const;
  std::string instance_number6(unsigned number) const;

  uint8_t first_, second_;  // of an IPv4 /16
  uint16_t group_;          // the fourth of the IPv6 prefix; even, and the next one is ours too
};

}  // namespace tulle::cli
