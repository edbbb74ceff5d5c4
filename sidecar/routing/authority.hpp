// Authorities ("web:8080", "[::1]:80") and the domains of virtual hosts that they are compared to.
#pragma once

#include <string>
#include <string_view>

namespace tulle::routing {

struct SplitAuthority {
  std::string_view host;  // with brackets when it is an IPv6 literal
  std::string_view port;  // digits; empty when there is none
};
SplitAuthority split_authority(std::string_view authority);

// "80" for http, "443" for https.
std::string_view default_port(std::string_view scheme);

// What is wrong with a virtual host's domain; empty when nothing is. At most one '*', first or
// last, and no characters that cannot occur in an authority.
std::string domain_problem(std::string_view domain);

}  // namespace tulle::routing
