// Issuing certificates: roots, intermediates and leaves. Pure but for random serials, any thread.
//
// PEM in, PEM out. What a leaf says is what the caller established; a request contributes its
// public key only. Leaves have the form that SPIFFE asks for (one URI, no CA, digitalSignature).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/net/tls.hpp"

namespace tulle {

struct Validity {  // Unix seconds
  int64_t not_before = 0;
  int64_t not_after = 0;
};

struct Issuer {
  std::string certificate_pem;  // its own certificate first, then those above it up to the root
  std::string key_pem;
  std::string origin;           // for messages
};

struct LeafSpecification {
  std::string public_key_der;   // SubjectPublicKeyInfo
  std::string uri;              // the SPIFFE ID
  std::vector<std::string> dns;
  std::vector<std::string> ips;
  Validity validity;
};

// `uri`: spiffe://<trust domain>, as SPIFFE allows it in the certificate of an authority.
Result<std::string> issue_root(const std::string& key_pem, const std::string& name,
                               const std::string& uri, Validity validity);
// May sign leaves and nothing else. Returned with the chain above it, ending with the root.
Result<std::string> issue_intermediate(const Issuer& issuer, const std::string& public_key_der,
                                       const std::string& name, Validity validity);
// The leaf, then the intermediates of the issuer; never the root.
Result<std::string> issue_leaf(const Issuer& issuer, const LeafSpecification& leaf);

// Whether `issuer` can issue: a CA certificate that may sign, its own key, a chain that ends with a
// self-signed root, and a leaf with `uri` would hold at `now`. The facts of its own certificate.
Result<CertificateFacts> check_issuer(const Issuer& issuer, const std::string& uri, int64_t now);
// The self-signed certificate that a chain ends with, as PEM.
Result<std::string> root_of(const std::string& chain_pem, const std::string& origin);

// Whether the chain (leaf first) leads to one of `trust_pem` at that time. The leaf's facts.
Result<CertificateFacts> verify_chain(const std::string& chain_pem, const std::string& trust_pem,
                                      int64_t now);
// Each certificate as PEM of its own: CA certificates only, no duplicates, at most 32.
Result<std::vector<std::string>> split_bundle(const std::string& pem, const std::string& origin);

}  // namespace tulle
