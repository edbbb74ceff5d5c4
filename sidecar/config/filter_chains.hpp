// FilterChains: which part of a listener a connection is for, and what happens to it there.
//
// Immutable, a part of its ListenerConfig; listeners of which every connection is HTTP and for the
// same routes have none. A chain is chosen once per connection, by what is known of it then. No
// chain means that the connection is closed: nothing is passed on because nobody has decided.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.hpp"
#include "sidecar/routing/route_table.hpp"

namespace tulle {
class TlsContext;
}

namespace tulle::config {

struct ListenerConfig;

// Opaque TCP: where its connections go.
struct TcpProxy {
  // One route that takes everything; none when the destination is found on demand. Never null.
  std::shared_ptr<const routing::RouteTable> routes;
  bool on_demand = false;
  std::string destination;     // on demand, "<host>:<port>"; empty: where the connection was going
  Duration idle_timeout = 1h;  // without a byte either way; zero: none
  uint32_t connect_attempts = 1;

  const routing::Forward* forward() const;  // null exactly when on_demand
};

// What is known of a connection.
struct ConnectionFacts {
  uint16_t destination_port = 0;
  bool tls = false;                            // else raw_buffer
  std::string_view server_name;                // in lower case
  std::span<const std::string> protocols;      // the client's ALPN, or "http/1.1" and the like
};

// All conditions must hold; an empty one always does.
struct ChainMatch {
  enum class Transport : uint8_t { any, plain, tls };
  uint16_t destination_port = 0;
  std::vector<std::string> server_names;  // in lower case; "*.suffix" for everything below it
  Transport transport = Transport::any;
  std::vector<std::string> protocols;

  bool empty() const {
    return destination_port == 0 && server_names.empty() && transport == Transport::any &&
           protocols.empty();
  }
  friend bool operator==(const ChainMatch&, const ChainMatch&) = default;
};

struct FilterChain {
  std::string name;
  ChainMatch match;
  std::shared_ptr<const TlsContext> tls;  // null: plaintext
  Duration tls_handshake_timeout = 5s;
  // One of the two.
  std::shared_ptr<const ListenerConfig> http;  // the listener as its HTTP connections see it
  std::shared_ptr<const TcpProxy> tcp;
};

struct FilterChains {
  static constexpr size_t kMost = 512;  // a captured instance has up to five per port
  std::vector<FilterChain> chains;      // at most kMost
  std::optional<FilterChain> fallback;  // where none of them matches
  bool inspects_tls = false;            // looks for a ClientHello before it chooses
  bool inspects_http = false;           // ... and for HTTP
  bool by_original_destination = false; // what the destination's own configuration says comes first
  Duration inspection_timeout = 15s;    // how long a client may be silent
  // After that: the connection is what it looks like without having said anything; else closed.
  bool goes_on_when_silent = false;

  bool inspects() const { return inspects_tls || inspects_http; }
  // The order of criteria is Envoy's: destination port, server name, transport, protocols; each
  // leaves the most specific ones. Null: none.
  const FilterChain* choose(const ConnectionFacts& facts) const;
};

// A lower-case SNI against "name" or "*.suffix". 0: no; larger is more specific.
size_t server_name_rank(std::string_view pattern, std::string_view name);

}  // namespace tulle::config
