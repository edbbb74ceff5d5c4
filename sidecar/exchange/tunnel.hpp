// Tunnels: which requests may become one, and where they lead. Pure.
//
// A tunnel is asked for by an Upgrade, an extended CONNECT or a CONNECT. Its life in an exchange:
//   asked   the request is forwarded, and not a byte behind it: it is held by the codec downstream
//   open    101, or 2xx to CONNECT, has come: bytes pass both ways, each way ends by itself
// An answer that declines is an ordinary answer.
#pragma once

#include <cstdint>

#include "core/http/head.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/routing/route.hpp"

namespace tulle::exchange {

enum class Tunnel : uint8_t { none, asked, open };

// How long a tunnel may be silent in both directions, unless its route says otherwise.
inline constexpr Duration kTunnelIdle = 1h;

inline bool asks_for_tunnel(const Head& request) {
  return request.method == Method::connect || !request.protocol.empty();
}

// Whether such an answer opens what was asked for.
inline bool opens_tunnel(const Head& request, const Head& answer) {
  if (request.method != Method::connect) return answer.status == 101;
  return answer.status >= 200 && answer.status < 300;
}

// What the route, else the listener, says about the upgrade or the CONNECT.
routing::ConnectRule rule_for(const Head& request, const config::HttpOptions& http,
                              const routing::Forward& forward);

}  // namespace tulle::exchange
