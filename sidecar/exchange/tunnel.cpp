#include "sidecar/exchange/tunnel.hpp"

#include <algorithm>

namespace tulle::exchange {

using routing::ConnectRule;

ConnectRule rule_for(const Head& request, const config::HttpOptions& http,
                     const routing::Forward& forward) {
  const auto rule = [](bool allowed) {
    return allowed ? ConnectRule::forwarded : ConnectRule::refused;
  };
  if (request.method == Method::connect) {
    return forward.connect != ConnectRule::unsaid ? forward.connect : rule(http.connect);
  }
  for (const routing::UpgradeRule& own : forward.upgrades) {
    if (own.protocol == request.protocol) return rule(own.allowed);
  }
  return rule(std::find(http.upgrades.begin(), http.upgrades.end(), request.protocol) !=
              http.upgrades.end());
}

}  // namespace tulle::exchange
