#include "core/net/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>
#include <vector>

#include "core/net/address.hpp"
#include "core/net/tls_bio.hpp"
#include "core/net/tls_certificate.hpp"
#include "core/net/tls_offer.hpp"
#include "core/net/tls_words.hpp"

namespace tulle {

namespace {

constexpr const char* kCipherSuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
// The hybrid group exists from OpenSSL 3.5 on; a list with an unknown name is refused whole.
constexpr const char* kHybridGroups = "X25519MLKEM768:X25519:P-256";
constexpr const char* kGroups = "X25519:P-256";
constexpr int kMaxIntermediates = 4;
constexpr long kMaxChainBytes = 32 * 1024;

Error refused(const TlsOptions& options, const std::string& what) {
  const std::string where = options.origin.empty() ? "" : " (" + options.origin + ")";
  return Error{Code::invalid_config, Origin::local,
               what + where + ": " + take_openssl_reason("OpenSSL gives no reason")};
}

Error invalid(const std::string& origin, const std::string& what) {
  const std::string where = origin.empty() ? "" : " (" + origin + ")";
  return Error{Code::invalid_config, Origin::local, what + where};
}

// ALPN names as people write them, from the wire form; unprintable bytes become '?'.
std::string protocols_in_words(const unsigned char* list, unsigned size) {
  std::string text;
  for (unsigned i = 0; i < size && text.size() < 100;) {
    const unsigned length = list[i++];
    if (!text.empty())
      text += ", ";
    for (unsigned k = 0; k < length && i < size; ++k, ++i) {
      text += list[i] > 0x20 && list[i] < 0x7f ? static_cast<char>(list[i]) : '?';
    }
  }
  return text;
}

}  // namespace

// What OpenSSL calls back. A struct so that it can see the context's members.
struct ContextCallbacks {
  static int verify(X509_STORE_CTX* chain, void*) {
    auto* session =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* verdict = static_cast<TlsVerdict*>(SSL_get_app_data(session));
    return verdict->context->expectation_.judge(*chain, *verdict) ? 1 : 0;
  }

  // Our order of preference decides. A client without the extension never comes here.
  static int choose_protocol(SSL* session, const unsigned char** out, unsigned char* out_size,
                             const unsigned char* offered, unsigned offered_size, void*) {
    auto* verdict = static_cast<TlsVerdict*>(SSL_get_app_data(session));
    const OpenSslContext& context = *verdict->context;
    const auto* ours = reinterpret_cast<const unsigned char*>(context.protocols_wire_.data());
    unsigned char* chosen = nullptr;
    const int found = SSL_select_next_proto(&chosen, out_size, ours,
                                            static_cast<unsigned>(context.protocols_wire_.size()),
                                            offered, offered_size);
    if (found == OPENSSL_NPN_NEGOTIATED) {
      *out = chosen;
      return SSL_TLSEXT_ERR_OK;
    }
    verdict->refusal = Error{Code::tls_failed, context.peer(),
                             "no application protocol in common: peer offers " +
                                 protocols_in_words(offered, offered_size) + "; we have " +
                                 context.protocols_text_};
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
};

void FreeContext::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}
void FreeSession::operator()(ssl_st* session) const {
  SSL_free(session);
}

Result<void> OpenSslContext::set_defaults(const TlsOptions& options) {
  SSL_CTX* context = context_.get();
  const int oldest = options.allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  const char* suites =
      options.cipher_suites.empty() ? kCipherSuites : options.cipher_suites.c_str();
  SSL_CTX_set_security_level(context, 2);
  if (SSL_CTX_set_min_proto_version(context, oldest) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1) {
    return refused(options, "TLS versions");
  }
  if (SSL_CTX_set_ciphersuites(context, suites) != 1 ||
      SSL_CTX_set_cipher_list(context, kTls12Ciphers) != 1) {
    return refused(options, std::string("cipher suites ") + suites);
  }
  if (SSL_CTX_set1_groups_list(context, kHybridGroups) != 1 &&
      SSL_CTX_set1_groups_list(context, kGroups) != 1) {
    return refused(options, "key exchange groups");
  }
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(context, 0);
  // The chain is sent as it was given: building one costs CPU per handshake and would add the root.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // SSL_read must return after each record without data, so that a flood of them can be counted.
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_verify_depth(context, kMaxIntermediates);
  SSL_CTX_set_max_cert_list(context, kMaxChainBytes);
  ERR_clear_error();  // of the group that this OpenSSL does not have
  return {};
}

Result<void> OpenSslContext::set_certificate(const TlsOptions& options) {
  if (options.certificate_pem.empty() && options.key_pem.empty()) {
    if (role_ == Role::client)
      return {};
    return invalid(options.origin, "a TLS server needs a certificate");
  }
  auto chain = parse_certificates(options.certificate_pem, "certificate", options.origin);
  if (!chain)
    return chain.error();
  auto key = parse_key(options.key_pem, options.origin);
  if (!key)
    return key.error();
  auto matching = check_key_matches(options.certificate_pem, options.key_pem, options.origin);
  if (!matching)
    return matching.error();
  SSL_CTX* context = context_.get();
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) {
    return refused(options, "certificate");
  }
  for (size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) != 1) {
      return refused(options, "intermediate certificate");
    }
  }
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1)
    return refused(options, "private key");
  LeafNames names = read_leaf_names(*chain->front());
  spiffe_id_ = std::move(names.identity.spiffe_id);
  not_after_ = names.identity.not_after;
  return {};
}

Result<void> OpenSslContext::set_trust(const TlsOptions& options, bool require_client) {
  SSL_CTX* context = context_.get();
  if (options.trust_pem.empty()) {
    if (require_client) {
      return invalid(options.origin, "peers cannot be verified without a CA bundle");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  auto trusted = parse_certificates(options.trust_pem, "CA bundle", options.origin);
  if (!trusted)
    return trusted.error();
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const CertificatePointer& anchor : *trusted) {
    if (X509_STORE_add_cert(store, anchor.get()) != 1)
      return refused(options, "CA bundle");
  }
  const int required = require_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | required, nullptr);
  SSL_CTX_set_cert_verify_callback(context, ContextCallbacks::verify, nullptr);
  return {};
}

Result<void> OpenSslContext::set_protocols(const TlsOptions& options) {
  for (const std::string& protocol : options.alpn) {
    if (protocol.empty() || protocol.size() > 255) {
      return invalid(options.origin, "an ALPN name has 1 to 255 bytes");
    }
  }
  name_protocols(options.alpn);
  if (protocols_wire_.empty())
    return {};
  SSL_CTX* context = context_.get();
  if (role_ == Role::server) {
    SSL_CTX_set_alpn_select_cb(context, ContextCallbacks::choose_protocol, nullptr);
    return {};
  }
  const auto* wire = reinterpret_cast<const unsigned char*>(protocols_wire_.data());
  if (SSL_CTX_set_alpn_protos(context, wire, static_cast<unsigned>(protocols_wire_.size())) != 0) {
    return refused(options, "ALPN");
  }
  return {};
}

void OpenSslContext::name_protocols(const std::vector<std::string>& alpn) {
  protocols_wire_.clear();
  protocols_text_.clear();
  for (const std::string& protocol : alpn) {
    protocols_wire_ += static_cast<char>(protocol.size());
    protocols_wire_ += protocol;
    protocols_text_ += (protocols_text_.empty() ? "" : ", ") + protocol;
  }
}

std::shared_ptr<const TlsContext> OpenSslContext::offering(
    const std::vector<std::string>& alpn) const {
  ASSERT(role_ == Role::client);
  std::shared_ptr<OpenSslContext> made(new OpenSslContext(*this));
  made->name_protocols(alpn);
  made->own_protocols_ = true;
  return made;
}

Result<void> OpenSslContext::set_peer(std::vector<SanMatcher> peer_sans, std::string server_name) {
  if (server_name.ends_with('.'))
    server_name.pop_back();
  if (server_name.size() > 253 || server_name.find('\0') != std::string::npos) {
    return invalid(origin_, "the server name is no host name");
  }
  if (!verifies_ && !peer_sans.empty()) {
    return invalid(origin_, "peers cannot be verified without a CA bundle");
  }
  if (verifies_ && role_ == Role::client && peer_sans.empty() && server_name.empty()) {
    return invalid(origin_, "neither a server name nor peer names say whom to expect");
  }
  const bool is_ip_address = Address::parse(server_name, 0).has_value();
  sni_ = is_ip_address ? "" : server_name;
  expectation_.peer = peer();
  expectation_.sans = std::move(peer_sans);
  expectation_.server_name = std::move(server_name);
  return {};
}

Result<std::shared_ptr<const TlsContext>> OpenSslContext::with_peer(
    std::vector<SanMatcher> peer_sans, std::string server_name) const {
  std::shared_ptr<OpenSslContext> made(new OpenSslContext(*this));
  if (auto done = made->set_peer(std::move(peer_sans), std::move(server_name)); !done)
    return done.error();
  return std::shared_ptr<const TlsContext>(std::move(made));
}

bool OpenSslContext::offers(ByteView protocol) const {
  ByteView rest = protocols_wire_;
  while (!protocol.empty() && !rest.empty()) {
    const auto size = static_cast<unsigned char>(rest.front());
    if (rest.substr(1, size) == protocol)
      return true;
    rest.remove_prefix(1 + size);
  }
  return protocol.empty();
}

Result<std::shared_ptr<const TlsContext>> OpenSslContext::make(const TlsOptions& options, Role role,
                                                               bool require_client,
                                                               std::string server_name) {
  ERR_clear_error();
  std::shared_ptr<OpenSslContext> made(new OpenSslContext());
  made->context_ = std::shared_ptr<ssl_ctx_st>(
      SSL_CTX_new(role == Role::server ? TLS_server_method() : TLS_client_method()), FreeContext());
  if (made->context_ == nullptr)
    return refused(options, "TLS context");
  made->role_ = role;
  made->expectation_.peer = made->peer();
  made->verifies_ = !options.trust_pem.empty();
  made->origin_ = options.origin;
  for (auto step : {&OpenSslContext::set_defaults, &OpenSslContext::set_certificate,
                    &OpenSslContext::set_protocols}) {
    if (auto done = (made.get()->*step)(options); !done)
      return done.error();
  }
  if (auto done = made->set_trust(options, require_client); !done)
    return done.error();
  if (auto done = made->set_peer(options.peer_sans, std::move(server_name)); !done)
    return done.error();
  return std::shared_ptr<const TlsContext>(std::move(made));
}

SessionPointer OpenSslContext::open(TlsWire& wire, TlsVerdict& verdict) const {
  ERR_clear_error();
  SessionPointer session(SSL_new(context_.get()));
  if (session == nullptr)
    return nullptr;
  BIO* bio = make_wire_bio(wire);
  SSL_set_bio(session.get(), bio, bio);
  verdict.context = this;
  SSL_set_app_data(session.get(), &verdict);
  if (is_server()) {
    SSL_set_accept_state(session.get());
  } else {
    SSL_set_connect_state(session.get());
    if (own_protocols_) {
      const auto* names = reinterpret_cast<const unsigned char*>(protocols_wire_.data());
      const auto size = static_cast<unsigned>(protocols_wire_.size());
      if (SSL_set_alpn_protos(session.get(), size > 0 ? names : nullptr, size) != 0)
        return nullptr;
    }
    if (!sni_.empty() && SSL_set_tlsext_host_name(session.get(), sni_.c_str()) != 1)
      return nullptr;
  }
  return session;
}

std::shared_ptr<const TlsContext> offering(const TlsContext& client,
                                           const std::vector<std::string>& alpn) {
  // There is one implementation of TlsContext; its factories make nothing else.
  return static_cast<const OpenSslContext&>(client).offering(alpn);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const TlsOptions& options,
                                                             bool require_client) {
  return OpenSslContext::make(options, OpenSslContext::Role::server, require_client, {});
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const TlsOptions& options,
                                                             std::string server_name) {
  return OpenSslContext::make(options, OpenSslContext::Role::client, false, std::move(server_name));
}

}  // namespace tulle
