// offering(): a client's TLS context that offers other application protocols than it was made with.
//
// For connections that share everything else, the certificates and the expected peer included: one
// cluster carries HTTP and opaque TCP. Costs next to nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/net/tls.hpp"

namespace tulle {

// `alpn` in order of preference; empty: none is offered.
std::shared_ptr<const TlsContext> offering(const TlsContext& client,
                                           const std::vector<std::string>& alpn);

}  // namespace tulle
