// OpenSslContext: the one implementation of TlsContext, an SSL_CTX with everything set once.
//
// Owns: the expectation about peers, and, together with those made from it by with_peer(), the
// SSL_CTX and the protocol list. An SSL_CTX knows nothing of peers: its callbacks find the context
// through the SSL. Immutable, any thread.
#pragma once

#include <memory>
#include <string>

#include "core/base/bytes.hpp"
#include "core/net/tls.hpp"
#include "core/net/tls_verify.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace tulle {

class TlsWire;

struct FreeContext {
  void operator()(ssl_ctx_st* context) const;
};
struct FreeSession {
  void operator()(ssl_st* session) const;
};
using SessionPointer = std::unique_ptr<ssl_st, FreeSession>;

class OpenSslContext final : public TlsContext {
 public:
  enum class Role { server, client };

  static Result<std::shared_ptr<const TlsContext>> make(const TlsOptions& options, Role role,
                                                        bool require_client,
                                                        std::string server_name);

  int64_t certificate_not_after() const override { return not_after_; }
  const std::string& own_spiffe_id() const override { return spiffe_id_; }

  Result<std::shared_ptr<const TlsContext>> with_peer(std::vector<SanMatcher> peer_sans,
                                                      std::string server_name) const override;

  std::shared_ptr<const TlsContext> offering(const std::vector<std::string>& alpn) const;

  bool is_server() const { return role_ == Role::server; }
  Origin peer() const { return is_server() ? Origin::downstream : Origin::upstream; }
  bool offers(ByteView protocol) const;  // true for none at all as well

  // An SSL in our role over `wire`. Both arguments must outlive it; null when memory is short.
  SessionPointer open(TlsWire& wire, TlsVerdict& verdict) const;

 private:
  OpenSslContext() = default;
  OpenSslContext(const OpenSslContext&) = default;
  Result<void> set_peer(std::vector<SanMatcher> peer_sans, std::string server_name);
  Result<void> set_defaults(const TlsOptions& options);
  Result<void> set_certificate(const TlsOptions& options);
  Result<void> set_trust(const TlsOptions& options, bool require_client);
  Result<void> set_protocols(const TlsOptions& options);
  void name_protocols(const std::vector<std::string>& alpn);

  std::shared_ptr<ssl_ctx_st> context_;
  Role role_ = Role::server;
  bool verifies_ = false;       // there is a CA bundle
  std::string origin_;
  PeerExpectation expectation_;
  std::string sni_;             // empty: none is sent (an IP address must not be)
  std::string protocols_wire_;  // ALPN list in wire form
  std::string protocols_text_;  // the same for messages
  bool own_protocols_ = false;  // they differ from those of the SSL_CTX
  std::string spiffe_id_;
  int64_t not_after_ = 0;

  friend struct ContextCallbacks;
};

}  // namespace tulle
