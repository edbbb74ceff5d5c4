#include "core/net/x509_key.hpp"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/base/assert.hpp"
#include "core/net/secrets.hpp"
#include "core/net/tls_certificate.hpp"
#include "core/net/x509_parts.hpp"

namespace tulle {

std::string generate_key() {
  ERR_clear_error();
  KeyPointer key(EVP_EC_gen("P-256"));
  ASSERT(key != nullptr);
  return key_to_pem(*key);
}

Result<std::string> public_key_of(const std::string& key_pem, const std::string& origin) {
  auto key = parse_key(key_pem, origin);
  if (!key) return key.error();
  return public_key_to_der(**key);
}

std::string fingerprint_of_public_key(const std::string& public_key_der) {
  return sha256_hex(public_key_der);
}

Result<std::string> key_fingerprint(const std::string& key_pem, const std::string& origin) {
  auto der = public_key_of(key_pem, origin);
  if (!der) return der.error();
  return fingerprint_of_public_key(*der);
}

}  // namespace tulle
