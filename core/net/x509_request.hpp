// Certificate signing requests (PKCS #10): made by a workload, read strictly by the authority.
//
// A request proves that its sender holds the key. Nothing else in it is believed: the names it asks
// for are there to be compared with what the authority has established otherwise. Pure, any thread.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace tulle {

// A request with an RSA key of 4096 bits has 2 KiB; what is larger is nobody's honest request.
inline constexpr size_t kLargestRequest = 16 * 1024;

// For `key_pem`, asking for one URI name (empty: none).
Result<std::string> make_request(const std::string& key_pem, const std::string& uri);

struct CertificateRequest {
  std::string public_key_der;      // SubjectPublicKeyInfo
  std::string key_fingerprint;     // its SHA-256 in hex
  std::vector<std::string> uris;   // asked for
};

// One request in PEM and nothing else, signed by its own key with SHA-2; the key is ECDSA on P-256
// or P-384 (named curves), or RSA of 2048 to 4096 bits with an ordinary exponent.
Result<CertificateRequest> read_request(const std::string& pem);

}  // namespace tulle
