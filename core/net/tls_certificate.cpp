#include "core/net/tls_certificate.hpp"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <strings.h>

#include <algorithm>

#include "core/net/tls_words.hpp"

namespace tulle {

namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
struct FreeNumber {
  void operator()(BIGNUM* number) const { BN_free(number); }
};
struct FreeText {
  void operator()(char* text) const { OPENSSL_free(text); }
};
using BioPointer = std::unique_ptr<BIO, FreeBio>;

BioPointer text_bio(const std::string& text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Without this OpenSSL would ask for a password on the terminal.
int no_password(char*, int, int, void*) {
  return -1;
}

std::string named(std::string_view what, const std::string& origin) {
  return origin.empty() ? std::string(what) : std::string(what) + " (" + origin + ")";
}

Error bad_material(std::string detail) {
  return Error{Code::invalid_config, Origin::local, std::move(detail)};
}

// Names with unusual bytes are not shown, not matched and never an identity.
bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string_view text_of(const ASN1_STRING* text) {
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(text));
  return {data, static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string subject_of(x509_st& certificate) {
  BioPointer bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(&certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return length > 0 ? std::string(data, static_cast<size_t>(length)) : std::string();
}

std::string serial_of(x509_st& certificate) {
  std::unique_ptr<BIGNUM, FreeNumber> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
  if (number == nullptr)
    return {};
  std::unique_ptr<char, FreeText> text(BN_bn2hex(number.get()));
  return text != nullptr ? text.get() : "";
}

void read_alternative_names(x509_st& leaf, LeafNames& names) {
  int criticality = 0;
  std::unique_ptr<GENERAL_NAMES, FreeNames> found(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&leaf, NID_subject_alt_name, &criticality, nullptr)));
  if (found == nullptr)
    return;
  for (int i = 0; i < sk_GENERAL_NAME_num(found.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(found.get(), i);
    if (name->type == GEN_URI) {
      ++names.uri_count;
      const std::string_view uri = text_of(name->d.uniformResourceIdentifier);
      if (uri.size() >= 7 && strncasecmp(uri.data(), "spiffe:", 7) == 0)
        names.claims_spiffe = true;
      if (is_printable(uri))
        names.identity.uri_sans.emplace_back(uri);
    } else if (name->type == GEN_DNS) {
      const std::string_view dns = text_of(name->d.dNSName);
      if (is_printable(dns))
        names.identity.dns_sans.emplace_back(dns);
    }
  }
}

bool key_usage_is_critical(x509_st& leaf) {
  const int at = X509_get_ext_by_NID(&leaf, NID_key_usage, -1);
  return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(&leaf, at)) == 1;
}

bool is_path_segment(std::string_view segment) {
  if (segment.empty() || segment == "." || segment == "..")
    return false;
  return std::all_of(segment.begin(), segment.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

bool is_trust_domain(std::string_view name) {
  if (name.empty() || name.size() > 255)
    return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

}  // namespace

void FreeCertificate::operator()(x509_st* certificate) const {
  X509_free(certificate);
}
void FreeKey::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

Result<std::vector<CertificatePointer>> parse_certificates(const std::string& pem,
                                                           std::string_view what,
                                                           const std::string& origin) {
  ERR_clear_error();
  std::vector<CertificatePointer> found;
  BioPointer bio = text_bio(pem);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)) {
    found.emplace_back(next);
  }
  // Running out of text also leaves an error; anything else is damage, wherever it is.
  const unsigned long code = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (!at_end) {
    return bad_material(named(what, origin) +
                        " cannot be read: " + take_openssl_reason("damaged PEM"));
  }
  ERR_clear_error();
  if (found.empty())
    return bad_material(named(what, origin) + " holds no certificate in PEM form");
  return found;
}

Result<KeyPointer> parse_key(const std::string& pem, const std::string& origin) {
  ERR_clear_error();
  BioPointer bio = text_bio(pem);
  KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    return bad_material(named("private key", origin) +
                        " cannot be read: " + take_openssl_reason("damaged PEM"));
  }
  ERR_clear_error();
  return key;
}

LeafNames read_leaf_names(x509_st& leaf) {
  LeafNames names;
  read_alternative_names(leaf, names);
  PeerIdentity& identity = names.identity;
  if (names.uri_count == 1 && identity.uri_sans.size() == 1 && is_spiffe_id(identity.uri_sans[0])) {
    identity.spiffe_id = identity.uri_sans[0];
  }
  identity.subject = subject_of(leaf);
  identity.serial = serial_of(leaf);
  identity.not_after = unix_seconds_of(X509_get0_notAfter(&leaf));
  ERR_clear_error();  // a malformed extension must not speak up in a later call
  return names;
}

std::string spiffe_fault(x509_st& leaf, const LeafNames& names) {
  if (names.uri_count != 1) {
    return "peer's certificate has " + std::to_string(names.uri_count) +
           " URI names, a SPIFFE certificate has exactly one";
  }
  if (names.identity.spiffe_id.empty())
    return "peer's certificate has a malformed SPIFFE ID";
  if ((X509_get_extension_flags(&leaf) & EXFLAG_CA) != 0) {
    return "peer's certificate is a CA certificate";
  }
  const uint32_t usage = X509_get_key_usage(&leaf);  // all bits when the extension is absent
  if ((usage & KU_DIGITAL_SIGNATURE) == 0 || !key_usage_is_critical(leaf)) {
    return "peer's certificate lacks the critical key usage digitalSignature";
  }
  if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0) {
    return "peer's certificate has the key usage of a CA";
  }
  return {};
}

bool is_spiffe_id(std::string_view uri) {
  constexpr std::string_view kScheme = "spiffe://";
  if (uri.size() > 2048 || !uri.starts_with(kScheme))
    return false;
  uri.remove_prefix(kScheme.size());
  size_t slash = uri.find('/');
  if (slash == std::string_view::npos || !is_trust_domain(uri.substr(0, slash)))
    return false;
  while (slash != std::string_view::npos) {
    uri.remove_prefix(slash + 1);
    slash = uri.find('/');
    if (!is_path_segment(uri.substr(0, slash)))
      return false;
  }
  return true;
}

Result<CertificateFacts> read_certificate(const std::string& pem, const std::string& origin) {
  auto parsed = parse_certificates(pem, "certificate", origin);
  if (!parsed)
    return parsed.error();
  x509_st& leaf = *parsed->front();
  LeafNames names = read_leaf_names(leaf);
  CertificateFacts facts;
  facts.spiffe_id = names.identity.spiffe_id;
  facts.subject = names.identity.subject;
  facts.not_before = unix_seconds_of(X509_get0_notBefore(&leaf));
  facts.not_after = names.identity.not_after;
  return facts;
}

Result<void> check_key_matches(const std::string& certificate_pem, const std::string& key_pem,
                               const std::string& origin) {
  auto chain = parse_certificates(certificate_pem, "certificate", origin);
  if (!chain)
    return chain.error();
  auto key = parse_key(key_pem, origin);
  if (!key)
    return key.error();
  const bool matches = X509_check_private_key(chain->front().get(), key->get()) == 1;
  ERR_clear_error();
  if (matches)
    return {};
  return bad_material(named("private key", origin) +
                      " does not belong to the certificate: their public keys differ");
}

}  // namespace tulle
