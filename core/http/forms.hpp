// forms: what a proxy must do to fields between its two sides; the only place.
//
// Codecs have already removed what belongs to one connection. Here: mesh-internal and identity
// fields that a peer may not assert, Via, Forwarded / X-Forwarded-*, TE.
#pragma once

#include <string_view>

#include "core/http/head.hpp"

namespace tulle {

class PeerIdentity;

struct ForwardingContext {
  std::string_view via;             // pseudonym of this hop
  bool peer_is_mesh = false;        // the message came over verified mesh TLS
  const PeerIdentity* peer = nullptr;
  std::string_view client_ip;       // empty: do not append x-forwarded-for
};

// Copies `from` into `to` (which is clear) as the next hop should see it.
void forward_request(const Head& from, Head& to, const ForwardingContext& context);
void forward_response(const Head& from, Head& to, const ForwardingContext& context);
// How often a message has passed proxies of this name, as its `via` fields say.
size_t passages(const Fields& fields, std::string_view pseudonym);

// `peer_is_mesh`: a hop in the mesh says in the trailers why a gRPC call has ended.
void forward_trailers(const Fields& from, Fields& to, bool peer_is_mesh = false);

}  // namespace tulle
