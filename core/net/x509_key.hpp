// Key pairs as values: PEM text. Pure, any thread.
//
// A fingerprint is the SHA-256 of the SubjectPublicKeyInfo in hex: it names a key without
// showing anything of it.
#pragma once

#include <string>

#include "core/base/result.hpp"

namespace tulle {

std::string generate_key();  // ECDSA P-256, PKCS #8 in PEM

// Errors name `origin`.
Result<std::string> public_key_of(const std::string& key_pem, const std::string& origin);  // DER
Result<std::string> key_fingerprint(const std::string& key_pem, const std::string& origin);
std::string fingerprint_of_public_key(const std::string& public_key_der);

}  // namespace tulle
