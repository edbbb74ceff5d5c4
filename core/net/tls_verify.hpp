// Verification of a peer: the chain, the dates, then whether it is the peer we expect.
//
// Runs inside the handshake, so that a refused peer gets an alert and no byte of a request. Fails
// closed: whatever is not understood is refused. Immutable after construction, any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/net/tls.hpp"

struct x509_store_ctx_st;

namespace tulle {

class OpenSslContext;

// Filled while OpenSSL works on one connection; the SSL points to it.
struct TlsVerdict {
  const OpenSslContext* context = nullptr;  // in whose name: an SSL_CTX may serve several
  std::optional<Error> refusal;            // better words than OpenSSL's, when we have them
  std::unique_ptr<PeerIdentity> identity;  // only of a verified peer
};

struct PeerExpectation {
  Origin peer = Origin::upstream;  // whose fault a refusal is
  std::vector<SanMatcher> sans;
  std::string server_name;  // checked when `sans` is empty; empty: any name

  // Verifies and fills `verdict`. On false the error in `chain` chooses the alert; on true the chain
  // that was found is given back already.
  bool judge(x509_store_ctx_st& chain, TlsVerdict& verdict) const;
};

}  // namespace tulle
