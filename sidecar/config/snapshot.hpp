// Snapshot: everything a worker needs to serve, as immutable plain structs.
//
// Owns nothing but itself; all nodes are shared_ptr<const> and shared between generations while
// their content is equal (pointer equality of two nodes means "unchanged"). Mutable state, such as
// pools, balancers and counters, belongs to the worker.
// Invariants: every ClusterIndex in a route table of this snapshot, those of destinations included,
// names a cluster of this snapshot. A cluster keeps its index as long as it exists, and the index of a removed cluster is
// never given to another one: an exchange that still holds a route of an older generation finds
// its own cluster or none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.hpp"
#include "core/http/canonical_path.hpp"
#include "core/http/limits.hpp"
#include "core/net/address.hpp"
#include "sidecar/config/destinations.hpp"
#include "sidecar/config/filter_chains.hpp"
#include "sidecar/policies/entry.hpp"
#include "sidecar/routing/route_table.hpp"
#include "sidecar/tracing/collector.hpp"
#include "xds/content_hash.hpp"

namespace tulle {
class TlsContext;
}

namespace tulle::config {

using routing::ClusterIndex;

enum class Direction : uint8_t { outbound, inbound };

// What a listener speaks, and its bounds. A Duration of zero means "no limit".
struct HttpOptions {
  enum class Codec : uint8_t { automatic, http1, http2 };
  Codec codec = Codec::automatic;       // ALPN, else the connection preface
  PathRules paths;                      // what more is asked of paths than being canonical
  HttpLimits limits;                    // heads, streams, windows, head and idle timers
  // What requests may switch to where the route does not say; limits.upgrades has what any route of
  // the listener's own allows as well.
  std::vector<std::string> upgrades;
  bool connect = false;                 // CONNECT goes where a route for it leads
  Duration request_timeout{0};          // until the whole request has been received
  Duration stream_idle_timeout = 5min;  // a route's idle_timeout overrides it
};

struct ListenerConfig {
  std::string name;
  Address address;
  Direction direction = Direction::outbound;
  std::shared_ptr<const TlsContext> tls;  // null: plaintext
  Duration tls_handshake_timeout = 5s;
  HttpOptions http;
  std::shared_ptr<const routing::RouteTable> routes;  // never null
  bool on_demand = false;  // what `routes` does not match is looked up in the destinations
  // ... by where the connection was going when it was captured, not by what requests name.
  bool by_original_destination = false;
  bool transparent = false;  // takes what TPROXY hands over
  std::shared_ptr<const tracing::Tracing> tracing;    // null: no spans
  bool make_request_id = true;                        // where a request has none
  // Null: every connection is HTTP and for `routes`. Else each chain has what it needs, and the
  // fields above that concern HTTP and TLS mean nothing.
  std::shared_ptr<const FilterChains> chains;
  std::string stat_name;                              // stat_prefix, else the name
  xds::ContentHash hash{};
};

// Every route table that belongs to a listener, as shared_ptr.
template <class Visit>
void visit_tables(const ListenerConfig& listener, Visit visit) {
  visit(listener.routes);
  if (listener.chains == nullptr) return;
  const auto visit_chain = [&](const FilterChain& chain) {
    visit(chain.http != nullptr ? chain.http->routes : chain.tcp->routes);
  };
  for (const FilterChain& chain : listener.chains->chains) visit_chain(chain);
  if (listener.chains->fallback) visit_chain(*listener.chains->fallback);
}

struct Locality {
  std::string region, zone, sub_zone;
  friend bool operator==(const Locality&, const Locality&) = default;
};

struct EndpointConfig {
  Address address;
  uint32_t weight = 1;
  std::string hostname;                       // for auto_host_rewrite
  std::shared_ptr<const Locality> locality;   // shared by the endpoints of a locality; never null
  std::string metadata_json;                  // filter_metadata; empty when there is none
};

enum class Balancing : uint8_t {
  peak_ewma,    // power of two choices on peak-EWMA latency and outstanding requests
  round_robin,
};

enum class UpstreamProtocol : uint8_t { http1, http2, automatic };  // automatic: by ALPN

struct ClusterConfig {
  std::string name;
  ClusterIndex index = 0;
  std::vector<EndpointConfig> endpoints;  // unhealthy and draining ones are left out
  Duration connect_timeout = 1s;
  Duration tls_handshake_timeout = 5s;
  HttpLimits http;                        // idle_timeout: of a connection without streams
  policies::Entries policies;
  Balancing balancing = Balancing::peak_ewma;
  UpstreamProtocol protocol = UpstreamProtocol::http1;
  std::shared_ptr<const TlsContext> tls;  // null: plaintext
  std::string sni;                        // what tls sends and, without SANs, verifies
  std::vector<std::string> tcp_alpn;      // what tls offers when it carries opaque TCP
  bool original_destination = false;      // connects to wherever a connection was going
  Address source4, source6;               // to connect from, by family; unset: any
  xds::ContentHash hash{};                // endpoints included
};

// Each node of a snapshot that was built keeps its TLS contexts by content, so that the next
// compile reuses them. Opaque here.
struct CompileCache;

struct Snapshot {
  uint64_t generation = 0;  // 1, 2, 3, ... of this process
  std::string version;      // hex hash of what is in force; endpoints and files are left out
  std::vector<std::shared_ptr<const ListenerConfig>> listeners;  // ordered by name
  std::vector<std::shared_ptr<const ClusterConfig>> clusters;    // by index; null: removed
  std::map<std::string, ClusterIndex, std::less<>> cluster_names;
  std::shared_ptr<const Destinations> destinations;  // ordered by name; never null once compiled
  std::shared_ptr<const CompileCache> cache;

  const ClusterConfig& cluster(ClusterIndex index) const { return *clusters[index]; }
  const ClusterConfig* find_cluster(std::string_view name) const {  // not for the hot path
    const auto found = cluster_names.find(name);
    return found == cluster_names.end() ? nullptr : clusters[found->second].get();
  }
  const Destination* find_destination(std::string_view name) const {
    return destinations == nullptr ? nullptr : destinations->find(name);
  }
};

}  // namespace tulle::config
