// Certificates and keys as parsed values: PEM in, names and dates out. Pure, any thread.
//
// Owns the reading of subject alternative names and the form a SPIFFE leaf must have (X509-SVID,
// sections 2 to 4). The common name is never read as an identity.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/net/tls.hpp"

struct x509_st;
struct evp_pkey_st;

namespace tulle {

struct FreeCertificate {
  void operator()(x509_st* certificate) const;
};
using CertificatePointer = std::unique_ptr<x509_st, FreeCertificate>;

struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};
using KeyPointer = std::unique_ptr<evp_pkey_st, FreeKey>;

// At least one certificate, in the order of the text. `what` and `origin` are for the message.
Result<std::vector<CertificatePointer>> parse_certificates(const std::string& pem,
                                                           std::string_view what,
                                                           const std::string& origin);
// Encrypted keys are refused: there is nobody to ask for a password.
Result<KeyPointer> parse_key(const std::string& pem, const std::string& origin);

// Everything PeerIdentity can say about a leaf. `uri_count` also counts unprintable URI SANs.
struct LeafNames {
  PeerIdentity identity;
  size_t uri_count = 0;
  bool claims_spiffe = false;  // some URI SAN has the scheme spiffe
};
LeafNames read_leaf_names(x509_st& leaf);

// Why a leaf that claims a SPIFFE ID must not be believed; empty: its form is right.
std::string spiffe_fault(x509_st& leaf, const LeafNames& names);

// spiffe://<trust domain>/<path>, as the SPIFFE ID standard spells it, at most 2048 bytes.
bool is_spiffe_id(std::string_view uri);

}  // namespace tulle
