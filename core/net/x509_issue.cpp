#include "core/net/x509_issue.hpp"

#include <openssl/bn.h>
#include <openssl/err.h>

#include <algorithm>

#include "core/net/secrets.hpp"
#include "core/net/tls_certificate.hpp"
#include "core/net/tls_words.hpp"
#include "core/net/x509_parts.hpp"

namespace tulle {

namespace {

constexpr size_t kSerialBytes = 16;

Error refused(std::string why) {
  ERR_clear_error();
  return {Code::invalid_config, Origin::local, std::move(why)};
}

Error failed(const std::string& what) {
  return {Code::internal, Origin::local,
          what + ": " + take_openssl_reason("OpenSSL gives no reason")};
}

// 128 random bits, positive: nobody can foresee it, and no two are alike.
bool set_serial(X509& certificate) {
  std::string bytes = random_bytes(kSerialBytes);
  bytes[0] = static_cast<char>((bytes[0] & 0x7f) | 0x40);
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                             static_cast<int>(bytes.size()), nullptr);
  const bool done = number != nullptr &&
                    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(&certificate)) != nullptr;
  BN_free(number);
  return done;
}

bool set_subject(X509& certificate, const std::string& name) {
  constexpr size_t kLongestName = 64;  // RFC 5280, ub-common-name
  X509_NAME* subject = X509_get_subject_name(&certificate);
  const auto* text = reinterpret_cast<const unsigned char*>(name.data());
  const int size = static_cast<int>(std::min(name.size(), kLongestName));
  return X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>("Tulle"), -1, -1,
                                    0) == 1 &&
         (name.empty() ||
          X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, size, -1, 0) == 1);
}

// In order: later ones refer to earlier ones.
struct Extension {
  int nid;
  const char* value;  // OpenSSL's configuration syntax; never made of foreign text
};

bool add_extensions(X509& certificate, X509& issuer, std::initializer_list<Extension> all) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  return std::all_of(all.begin(), all.end(), [&](const Extension& each) {
    const ExtensionPointer made(X509V3_EXT_nconf_nid(nullptr, &context, each.nid, each.value));
    return made != nullptr && X509_add_ext(&certificate, made.get(), -1) == 1;
  });
}

CertificatePointer begin(EVP_PKEY& public_key, const std::string& name, Validity validity) {
  CertificatePointer certificate(X509_new());
  const bool done = certificate != nullptr &&
                    X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                    set_serial(*certificate) && set_subject(*certificate, name) &&
                    ASN1_TIME_set(X509_getm_notBefore(certificate.get()), validity.not_before) &&
                    ASN1_TIME_set(X509_getm_notAfter(certificate.get()), validity.not_after) &&
                    X509_set_pubkey(certificate.get(), &public_key) == 1;
  return done ? std::move(certificate) : nullptr;
}

bool sign(X509& certificate, X509& issuer, EVP_PKEY& issuer_key) {
  return X509_set_issuer_name(&certificate, X509_get_subject_name(&issuer)) == 1 &&
         X509_sign(&certificate, &issuer_key, digest_for(issuer_key)) > 0;
}

bool is_self_signed(X509& certificate) {
  return X509_self_signed(&certificate, 1) == 1;
}

struct OpenIssuer {
  std::vector<CertificatePointer> chain;
  KeyPointer key;
};

Result<OpenIssuer> open_issuer(const Issuer& issuer) {
  auto chain = parse_certificates(issuer.certificate_pem, "CA certificate", issuer.origin);
  if (!chain) return chain.error();
  auto key = parse_key(issuer.key_pem, issuer.origin);
  if (!key) return key.error();
  return OpenIssuer{std::move(*chain), std::move(*key)};
}

Result<KeyPointer> parse_public_key(const std::string& der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  KeyPointer key(d2i_PUBKEY(nullptr, &bytes, static_cast<long>(der.size())));
  if (key == nullptr) return failed("public key");
  return key;
}

// A certificate that outlives its issuer would be refused from one moment to the next.
Validity limited(Validity validity, X509& issuer) {
  validity.not_after = std::min(validity.not_after, unix_seconds_of(X509_get0_notAfter(&issuer)));
  return validity;
}

std::string named(const std::string& what, const std::string& origin) {
  return origin.empty() ? what : what + " (" + origin + ")";
}

CertificateFacts facts_of(X509& certificate) {
  LeafNames names = read_leaf_names(certificate);
  return {std::move(names.identity.spiffe_id), std::move(names.identity.subject),
          unix_seconds_of(X509_get0_notBefore(&certificate)), names.identity.not_after};
}

}  // namespace

Result<std::string> issue_root(const std::string& key_pem, const std::string& name,
                               const std::string& uri, Validity validity) {
  ERR_clear_error();
  auto key = parse_key(key_pem, "");
  if (!key) return key.error();
  const CertificatePointer root = begin(**key, name, validity);
  if (root == nullptr) return failed("root certificate");
  const NamesPointer names = make_names({uri}, {}, {});
  const bool done =
      add_extensions(*root, *root,
                     {{NID_basic_constraints, "critical,CA:TRUE"},
                      {NID_key_usage, "critical,keyCertSign,cRLSign"},
                      {NID_subject_key_identifier, "hash"}}) &&
      X509_add1_ext_i2d(root.get(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1 &&
      sign(*root, *root, **key);
  if (!done) return failed("root certificate");
  return certificate_to_pem(*root);
}

Result<std::string> issue_intermediate(const Issuer& issuer, const std::string& public_key_der,
                                       const std::string& name, Validity validity) {
  ERR_clear_error();
  auto open = open_issuer(issuer);
  if (!open) return open.error();
  auto key = parse_public_key(public_key_der);
  if (!key) return key.error();
  X509& above = *open->chain.front();
  const CertificatePointer made = begin(**key, name, limited(validity, above));
  if (made == nullptr) return failed("intermediate certificate");
  const bool done = add_extensions(*made, above,
                                   {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                    {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                    {NID_subject_key_identifier, "hash"},
                                    {NID_authority_key_identifier, "keyid"}}) &&
                    sign(*made, above, *open->key);
  if (!done) return failed("intermediate certificate");
  return certificate_to_pem(*made) + issuer.certificate_pem;
}

Result<std::string> issue_leaf(const Issuer& issuer, const LeafSpecification& leaf) {
  ERR_clear_error();
  auto open = open_issuer(issuer);
  if (!open) return open.error();
  auto key = parse_public_key(leaf.public_key_der);
  if (!key) return key.error();
  X509& above = *open->chain.front();
  if (!is_spiffe_id(leaf.uri)) return refused("\"" + leaf.uri + "\" is no SPIFFE ID");
  const NamesPointer names = make_names({leaf.uri}, leaf.dns, leaf.ips);
  if (names == nullptr) return refused("a name of the certificate is no IP address");
  const Validity validity = limited(leaf.validity, above);
  if (validity.not_before >= validity.not_after) {
    return refused(named("CA certificate", issuer.origin) + " has expired");
  }
  const CertificatePointer made = begin(**key, "", validity);
  if (made == nullptr) return failed("certificate");
  const bool done =
      add_extensions(*made, above,
                     {{NID_basic_constraints, "critical,CA:FALSE"},
                      {NID_key_usage, "critical,digitalSignature"},
                      {NID_ext_key_usage, "serverAuth,clientAuth"},
                      {NID_subject_key_identifier, "hash"},
                      {NID_authority_key_identifier, "keyid"}}) &&
      X509_add1_ext_i2d(made.get(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1 &&
      sign(*made, above, *open->key);
  if (!done) return failed("certificate");
  std::string chain = certificate_to_pem(*made);
  for (const CertificatePointer& each : open->chain) {
    if (!is_self_signed(*each)) chain += certificate_to_pem(*each);
  }
  return chain;
}

Result<std::string> root_of(const std::string& chain_pem, const std::string& origin) {
  auto chain = parse_certificates(chain_pem, "CA certificate", origin);
  if (!chain) return chain.error();
  if (!is_self_signed(*chain->back())) {
    return refused(named("CA certificate", origin) +
                   " must be followed by those above it, up to the self-signed root");
  }
  return certificate_to_pem(*chain->back());
}

Result<CertificateFacts> check_issuer(const Issuer& issuer, const std::string& uri, int64_t now) {
  ERR_clear_error();
  auto open = open_issuer(issuer);
  if (!open) return open.error();
  X509& own = *open->chain.front();
  if ((X509_get_extension_flags(&own) & EXFLAG_CA) == 0) {
    return refused(named("CA certificate", issuer.origin) + " is not a CA certificate (CA:TRUE)");
  }
  if ((X509_get_key_usage(&own) & KU_KEY_CERT_SIGN) == 0) {
    return refused(named("CA certificate", issuer.origin) + " may not sign (keyCertSign)");
  }
  auto matching = check_key_matches(issuer.certificate_pem, issuer.key_pem, issuer.origin);
  if (!matching) return matching.error();
  auto root = root_of(issuer.certificate_pem, issuer.origin);
  if (!root) return root.error();
  auto facts = verify_chain(issuer.certificate_pem, *root, now);
  if (!facts) {
    facts.error().detail = named("CA certificate", issuer.origin) + ": " + facts.error().detail;
    return facts;
  }
  // Path lengths and name constraints are seen by what stands below only.
  auto probe = issue_leaf(issuer, {public_key_to_der(*open->key), uri, {}, {}, {now, now + 1}});
  auto held = probe ? verify_chain(*probe, *root, now) : Result<CertificateFacts>(probe.error());
  if (!held) {
    return refused(named("CA certificate", issuer.origin) +
                   " cannot issue certificates for workloads: " + held.error().detail);
  }
  return facts;
}

Result<CertificateFacts> verify_chain(const std::string& chain_pem, const std::string& trust_pem,
                                      int64_t now) {
  ERR_clear_error();
  auto chain = parse_certificates(chain_pem, "certificate", "");
  if (!chain) return chain.error();
  auto trusted = parse_certificates(trust_pem, "trust bundle", "");
  if (!trusted) return trusted.error();
  const std::unique_ptr<X509_STORE, FreeWith<&X509_STORE_free>> store(X509_STORE_new());
  for (const CertificatePointer& anchor : *trusted) X509_STORE_add_cert(store.get(), anchor.get());
  STACK_OF(X509)* between = sk_X509_new_null();
  for (size_t i = 1; i < chain->size(); ++i) sk_X509_push(between, (*chain)[i].get());
  const std::unique_ptr<X509_STORE_CTX, FreeWith<&X509_STORE_CTX_free>> context(
      X509_STORE_CTX_new());
  X509& leaf = *chain->front();
  bool holds = X509_STORE_CTX_init(context.get(), store.get(), &leaf, between) == 1;
  if (holds) {
    X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(parameters, now);
    X509_VERIFY_PARAM_set_auth_level(parameters, 2);
    holds = X509_verify_cert(context.get()) == 1;
  }
  const int error = X509_STORE_CTX_get_error(context.get());
  const int depth = X509_STORE_CTX_get_error_depth(context.get());
  sk_X509_free(between);
  if (!holds) {
    return refused(std::string(depth == 0 ? "certificate" : "CA certificate") +
                   " is refused: " + X509_verify_cert_error_string(error));
  }
  ERR_clear_error();
  return facts_of(leaf);
}

Result<std::vector<std::string>> split_bundle(const std::string& pem, const std::string& origin) {
  constexpr size_t kLargest = 32;
  auto parsed = parse_certificates(pem, "trust bundle", origin);
  if (!parsed) return parsed.error();
  if (parsed->size() > kLargest) {
    return refused(named("trust bundle", origin) + " holds more than 32 certificates");
  }
  std::vector<std::string> parts;
  for (const CertificatePointer& each : *parsed) {
    if ((X509_get_extension_flags(each.get()) & EXFLAG_CA) == 0) {
      return refused(named("trust bundle", origin) + " holds a certificate that is no CA's");
    }
    std::string text = certificate_to_pem(*each);
    if (std::find(parts.begin(), parts.end(), text) == parts.end()) {
      parts.push_back(std::move(text));
    }
  }
  return parts;
}

}  // namespace tulle
