// TlsContext and TlsStream: TLS 1.2/1.3 over any ByteStream, with our own BIO.
//
// A TlsContext is immutable, built once per certificate generation, shared by all workers.
// A TlsStream owns its inner stream and its SSL. No tickets, no session cache, no 0-RTT, no
// renegotiation, no compression. Everything written in a turn goes out in as few records as
// possible, in the write stage. A resumed stream first redelivers what OpenSSL still holds.
// Handshake steps are limited per turn (Loop::take_handshake_step).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/net/byte_stream.hpp"

namespace tulle {

class Loop;

// Who the peer is, taken from its verified certificate. Empty fields: absent.
class PeerIdentity {
 public:
  std::string spiffe_id;                 // the one URI SAN, when it is a SPIFFE ID
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  std::string subject;
  std::string serial;
  int64_t not_after = 0;                 // Unix seconds
};

struct SanMatcher {
  enum class Type { uri, dns } type = Type::uri;
  enum class Kind { exact, prefix, suffix } kind = Kind::exact;
  std::string value;
};

struct TlsOptions {
  std::string certificate_pem;           // leaf first, then intermediates
  std::string key_pem;
  std::string trust_pem;                 // CA bundle; empty: peers are not verified
  std::string origin;                    // for messages: where the material comes from (paths)
  std::vector<SanMatcher> peer_sans;     // any one must match; checked after the chain
  std::vector<std::string> alpn;         // in order of preference
  std::string cipher_suites;             // TLS 1.3 names, ':'-separated; empty: our default
  bool allow_tls12 = false;
};

class TlsContext {
 public:
  // `require_client` : without a verified certificate the handshake fails. Otherwise, with a CA
  // bundle, a certificate is asked for and may be absent; one that is presented must verify.
  static Result<std::shared_ptr<const TlsContext>> server(const TlsOptions& options, bool require_client);
  // `server_name`: sent as SNI; also verified as DNS name when peer_sans is empty.
  static Result<std::shared_ptr<const TlsContext>> client(const TlsOptions& options,
                                                          std::string server_name);
  // The same in every respect but for whom it expects (TlsOptions::peer_sans, and the server name
  // of a client). Costs next to nothing: what is expensive to make and to hold is shared.
  virtual Result<std::shared_ptr<const TlsContext>> with_peer(std::vector<SanMatcher> peer_sans,
                                                              std::string server_name) const = 0;
  virtual ~TlsContext() = default;
  virtual int64_t certificate_not_after() const = 0;   // Unix seconds; 0 when there is none
  virtual const std::string& own_spiffe_id() const = 0;
};

// Role is the context's. Errors reach on_end as tls_failed or identity_mismatch, with the reason in
// words ("certificate expired 2 h ago", "peer has spiffe://..., expected spiffe://...").
std::unique_ptr<ByteStream> make_tls_stream(Loop& loop, std::unique_ptr<ByteStream> inner,
                                            std::shared_ptr<const TlsContext> context);

// Facts about PEM material, for start-up checks and `/config`. Errors name `origin`.
struct CertificateFacts {
  std::string spiffe_id;
  std::string subject;
  int64_t not_before = 0;
  int64_t not_after = 0;
};
Result<CertificateFacts> read_certificate(const std::string& pem, const std::string& origin);
Result<void> check_key_matches(const std::string& certificate_pem, const std::string& key_pem,
                               const std::string& origin);

}  // namespace tulle
