// Summary: what happened to one exchange. Read by the access log, metrics and traces at its end.
//
// Views point into the exchange's streams, its snapshot or the worker and are valid only while the
// exchange is being concluded.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "core/http/head.hpp"

namespace tulle {
class Address;
class PeerIdentity;
struct Refused;
}
namespace tulle::config {
struct ListenerConfig;
}
namespace tulle::routing {
class Cluster;
class Endpoint;
struct Route;
}  // namespace tulle::routing

namespace tulle::exchange {

struct Summary {
  const Head* request = nullptr;                // as received; null: there was none
  bool opaque = false;                          // a connection of opaque TCP
  std::string_view server_name;                 // the SNI of one, where it was looked at
  const config::ListenerConfig* listener = nullptr;
  uint32_t listener_stat_slot = 0;
  bool external = false;                        // let through to outside of the mesh
  const routing::Route* route = nullptr;        // null: none matched
  const routing::Cluster* cluster = nullptr;
  const routing::Endpoint* endpoint = nullptr;  // of the last attempt
  const PeerIdentity* caller = nullptr;         // verified; null: plaintext or no certificate
  std::string_view callee;                      // verified SPIFFE ID of the upstream; empty: none
  std::string_view config_version;
  const Error* error = nullptr;                 // why it did not go well; null: it did
  bool answered_by_mesh = false;                // the answer is ours, not the upstream's
  int status = 0;                               // sent downstream; 0: no head was sent
  int grpc_status = -1;                         // the same of a gRPC call; -1: none
  uint32_t attempts = 0;
  bool retries_exhausted = false;               // another attempt was due and not allowed
  uint64_t bytes_received = 0;                  // request body
  uint64_t bytes_sent = 0;                      // response body
  Duration duration{};                          // head received to last byte handed to the codec
  Duration upstream_latency{};                  // attempt started to response head; 0: none
};

// Something that was refused before there was an exchange.
struct RefusalSummary {
  const config::ListenerConfig* listener = nullptr;
  uint32_t listener_stat_slot = 0;
  const Refused* what = nullptr;
  bool http2 = false;                           // else HTTP/1
  const Address* from = nullptr;
  const PeerIdentity* caller = nullptr;         // verified; null: plaintext or no certificate
};

}  // namespace tulle::exchange
