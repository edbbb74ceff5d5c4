#include "core/net/x509_request.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "core/net/tls_certificate.hpp"
#include "core/net/tls_words.hpp"
#include "core/net/x509_key.hpp"
#include "core/net/x509_parts.hpp"

namespace tulle {

namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE REQUEST-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE REQUEST-----";
constexpr int kLargestAttributeCount = 8;
constexpr int kLargestExtensionCount = 32;
constexpr int kLargestRsaBits = 4096;

Error bad(std::string why) {
  ERR_clear_error();
  return {Code::bad_request, Origin::downstream, "certificate request: " + std::move(why)};
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

Result<RequestPointer> parse(const std::string& pem) {
  if (pem.size() > kLargestRequest) {
    return bad("is larger than " + std::to_string(kLargestRequest) + " bytes");
  }
  const std::string_view text = trimmed(pem);
  if (!text.starts_with(kBegin) || !text.ends_with(kEnd) ||
      text.find("-----BEGIN", kBegin.size()) != std::string_view::npos) {
    return bad("must be exactly one PEM block CERTIFICATE REQUEST");
  }
  const BioHolder bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  RequestPointer request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (request == nullptr) return bad("cannot be read: " + take_openssl_reason("damaged PEM"));
  return request;
}

std::string elliptic_fault(const EVP_PKEY& key) {
  std::array<char, 64> text{};
  size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(&key, OSSL_PKEY_PARAM_EC_ENCODING, text.data(), text.size(),
                                     &size) != 1 ||
      std::string_view(text.data(), size) != "named_curve") {
    return "an elliptic curve must be named, not described";
  }
  if (EVP_PKEY_get_group_name(&key, text.data(), text.size(), &size) != 1) {
    return "has an unknown elliptic curve";
  }
  const std::string_view curve(text.data(), size);
  if (curve == "prime256v1" || curve == "P-256" || curve == "secp384r1" || curve == "P-384") {
    return {};
  }
  return "has a key on curve " + std::string(curve) + "; P-256 and P-384 are accepted";
}

std::string rsa_fault(const EVP_PKEY& key) {
  const int bits = EVP_PKEY_get_bits(&key);
  if (bits < 2048 || bits > kLargestRsaBits) {
    return "has an RSA key of " + std::to_string(bits) + " bits; 2048 to 4096 are accepted";
  }
  BIGNUM* exponent = nullptr;
  if (EVP_PKEY_get_bn_param(&key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) {
    return "has an RSA key without exponent";
  }
  const bool ordinary = BN_is_odd(exponent) == 1 && BN_num_bits(exponent) >= 17 &&
                        BN_num_bits(exponent) <= 32;
  BN_free(exponent);
  return ordinary ? "" : "has an RSA key with an unusual exponent; 65537 is accepted";
}

std::string key_fault(const EVP_PKEY& key) {
  switch (EVP_PKEY_get_base_id(&key)) {
    case EVP_PKEY_EC:
      return elliptic_fault(key);
    case EVP_PKEY_RSA:
      return rsa_fault(key);
    default:
      return "has a key of another type than ECDSA and RSA";
  }
}

bool is_signed_with_sha2(const X509_REQ& request) {
  int digest = NID_undef;
  if (OBJ_find_sigid_algs(X509_REQ_get_signature_nid(&request), &digest, nullptr) != 1) return false;
  return digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512;
}

// Empty optional: names that cannot be read, which is not the same as no names.
std::optional<std::vector<std::string>> requested_uris(X509_REQ& request) {
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(&request);
  std::vector<std::string> uris;
  if (extensions == nullptr) return uris;
  bool readable = sk_X509_EXTENSION_num(extensions) <= kLargestExtensionCount;
  int criticality = 0;
  if (readable) {
    const NamesPointer names(static_cast<GENERAL_NAMES*>(
        X509V3_get_d2i(extensions, NID_subject_alt_name, &criticality, nullptr)));
    readable = names != nullptr || criticality == -1;  // -1: there is no such extension
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
      if (name->type != GEN_URI) continue;
      const ASN1_STRING* uri = name->d.uniformResourceIdentifier;
      uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                        static_cast<size_t>(ASN1_STRING_length(uri)));
    }
  }
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  if (!readable) return std::nullopt;
  return uris;
}

}  // namespace

Result<std::string> make_request(const std::string& key_pem, const std::string& uri) {
  auto key = parse_key(key_pem, "");
  if (!key) return key.error();
  const RequestPointer request(X509_REQ_new());
  X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
  if (X509_REQ_set_pubkey(request.get(), key->get()) != 1) return bad("the key cannot be used");
  if (!uri.empty()) {
    const NamesPointer names = make_names({uri}, {}, {});
    STACK_OF(X509_EXTENSION)* extensions = nullptr;
    const bool added =
        X509V3_add1_i2d(&extensions, NID_subject_alt_name, names.get(), 1, 0) == 1 &&
        X509_REQ_add_extensions(request.get(), extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    if (!added) return bad("the name cannot be asked for");
  }
  if (X509_REQ_sign(request.get(), key->get(), digest_for(**key)) <= 0) {
    return bad("cannot be signed: " + take_openssl_reason("OpenSSL gives no reason"));
  }
  const BioHolder bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) return bad("cannot be written");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<CertificateRequest> read_request(const std::string& pem) {
  ERR_clear_error();
  auto request = parse(pem);
  if (!request) return request.error();
  if (X509_REQ_get_attr_count(request->get()) > kLargestAttributeCount) {
    return bad("has too many attributes");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request->get());
  if (key == nullptr) return bad("has a key that cannot be read");
  // Before the signature is verified: what that costs depends on the key.
  if (const std::string fault = key_fault(*key); !fault.empty()) return bad(fault);
  if (!is_signed_with_sha2(**request)) return bad("is not signed with SHA-256, -384 or -512");
  if (X509_REQ_verify(request->get(), key) != 1) return bad("is not signed by its own key");
  auto uris = requested_uris(**request);
  if (!uris) return bad("asks for names that cannot be read");
  CertificateRequest read;
  read.public_key_der = public_key_to_der(*key);
  read.key_fingerprint = fingerprint_of_public_key(read.public_key_der);
  read.uris = std::move(*uris);
  ERR_clear_error();
  return read;
}

}  // namespace tulle
