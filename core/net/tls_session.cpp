#include "core/net/tls_session.hpp"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace tulle {

namespace {

struct FreeTlsSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

// The external form of a session that has a version and a cipher suite and nothing else. Empty:
// no memory.
std::string write_bare_session(int version, const SSL_CIPHER* cipher) {
  const std::unique_ptr<SSL_SESSION, FreeTlsSession> bare(SSL_SESSION_new());
  if (bare == nullptr || SSL_SESSION_set_protocol_version(bare.get(), version) != 1 ||
      SSL_SESSION_set_cipher(bare.get(), cipher) != 1) {
    return {};
  }
  const int size = i2d_SSL_SESSION(bare.get(), nullptr);
  std::string form(size > 0 ? static_cast<size_t>(size) : 0, '\0');
  auto* next = reinterpret_cast<unsigned char*>(form.data());
  return size > 0 && i2d_SSL_SESSION(bare.get(), &next) == size ? form : std::string();
}

// Nearly all connections of a process agree on the same, so the last form is kept.
const std::string& bare_session_like(const SSL& live) {
  static thread_local int last_version = 0;
  static thread_local const SSL_CIPHER* last_cipher = nullptr;
  static thread_local std::string form;
  const int version = SSL_version(&live);
  const SSL_CIPHER* cipher = SSL_get_current_cipher(&live);
  if (form.empty() || version != last_version || cipher != last_cipher) {
    form = write_bare_session(version, cipher);
    last_version = version;
    last_cipher = cipher;
  }
  return form;
}

}  // namespace

bool drop_peer_certificates(ssl_st& session) {
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(&session);
  while (X509* certificate = chain != nullptr ? sk_X509_pop(chain) : nullptr)
    X509_free(certificate);
  SSL_SESSION* kept = SSL_get_session(&session);
  // A peer that asked for shorter records gets them for as long as the session says so.
  if (SSL_get0_peer_certificate(&session) == nullptr ||
      SSL_SESSION_get_max_fragment_length(kept) != TLSEXT_max_fragment_length_DISABLED) {
    return true;
  }
  // No call takes the leaf out of a session, but reading another session over it replaces the leaf
  // by none. The keys of the records, the protocol and the verdict lie in the SSL.
  const std::string& bare = bare_session_like(session);
  const auto* next = reinterpret_cast<const unsigned char*>(bare.data());
  return !bare.empty() && d2i_SSL_SESSION(&kept, &next, static_cast<long>(bare.size())) != nullptr;
}

}  // namespace tulle
