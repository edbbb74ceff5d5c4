#include "tests/support/certificates.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace tulle::testing {

namespace {

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

void must(bool ok, const char* what) {
  if (ok)
    return;
  std::fprintf(stderr, "cannot make a test certificate: %s\n", what);
  std::abort();
}

Key make_key(KeyType type) {
  Key key(type == KeyType::ed25519 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                   : EVP_EC_gen("P-256"));
  must(key != nullptr, "key");
  return key;
}

template <class Write>
std::string to_pem(Write write) {
  std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  must(write(bio.get()) == 1, "PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string certificate_to_pem(X509* certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string key_to_pem(EVP_PKEY* key) {
  return to_pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  if (value.empty())
    return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Free> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  must(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, value.c_str());
}

// Built by hand and not from text, so that a name may hold any byte.
void add_names(X509* certificate, const LeafOptions& options) {
  GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
  const auto add = [&](int type, const std::string& value) {
    ASN1_STRING* text = type == GEN_IPADD ? a2i_IPADDRESS(value.c_str()) : ASN1_IA5STRING_new();
    must(text != nullptr, value.c_str());
    if (type != GEN_IPADD)
      ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(names, name);
  };
  for (const std::string& uri : options.uris)
    add(GEN_URI, uri);
  for (const std::string& dns : options.dns)
    add(GEN_DNS, dns);
  for (const std::string& ip : options.ips)
    add(GEN_IPADD, ip);
  if (sk_GENERAL_NAME_num(names) > 0) {
    must(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1, "names");
  }
  GENERAL_NAMES_free(names);
}

Certificate make_certificate(EVP_PKEY* key, const std::string& common_name, int64_t not_before,
                             int64_t not_after) {
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  uint64_t serial = 0;
  must(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) == 1, "serial");
  // Always eight bytes of DER, so that certificates differ in content and not in size.
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()),
                          serial >> 2 | uint64_t{1} << 62);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), not_before);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), not_after);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  must(X509_set_pubkey(certificate.get(), key) == 1, "public key");
  return certificate;
}

}  // namespace

struct TestCa::Keys {
  Certificate certificate;
  Key key;

  void sign(X509* subject) const {
    X509_set_issuer_name(subject, X509_get_subject_name(certificate.get()));
    const bool hashes_itself = EVP_PKEY_get_id(key.get()) == EVP_PKEY_ED25519;
    must(X509_sign(subject, key.get(), hashes_itself ? nullptr : EVP_sha256()) > 0, "signature");
  }
};

TestCa::TestCa(const std::string& name, KeyType keys) : TestCa(nullptr, name, keys) {}

TestCa::TestCa(const TestCa* issuer, const std::string& name, KeyType keys)
    : keys_(std::make_unique<Keys>()), key_type_(keys) {
  keys_->key = make_key(keys);
  keys_->certificate = make_certificate(keys_->key.get(), name, kYear2020, kYear2049);
  X509* certificate = keys_->certificate.get();
  X509* signer = issuer != nullptr ? issuer->keys_->certificate.get() : certificate;
  add_extension(certificate, signer, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate, signer, NID_subject_key_identifier, "hash");
  (issuer != nullptr ? *issuer->keys_ : *keys_).sign(certificate);
  own_.certificate_pem = certificate_to_pem(certificate);
  own_.key_pem = key_to_pem(keys_->key.get());
  if (issuer != nullptr)
    chain_pem_ = own_.certificate_pem + issuer->chain_pem_;
}

TestCa::~TestCa() = default;
TestCa::TestCa(TestCa&&) noexcept = default;
TestCa& TestCa::operator=(TestCa&&) noexcept = default;

IssuedCertificate TestCa::issue(const LeafOptions& options) const {
  Key key = make_key(key_type_);
  Certificate certificate =
      make_certificate(key.get(), options.common_name, options.not_before, options.not_after);
  X509* issuer = keys_->certificate.get();
  const char* constraint = options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
  add_extension(certificate.get(), issuer, NID_basic_constraints, constraint);
  add_extension(certificate.get(), issuer, NID_key_usage, options.key_usage);
  add_extension(certificate.get(), issuer, NID_ext_key_usage, options.extended_key_usage);
  add_extension(certificate.get(), issuer, NID_authority_key_identifier, "keyid");
  add_names(certificate.get(), options);
  keys_->sign(certificate.get());
  return {certificate_to_pem(certificate.get()) + chain_pem_, key_to_pem(key.get())};
}

IssuedCertificate TestCa::issue_spiffe(const std::string& id) const {
  LeafOptions options;
  options.uris = {id};
  return issue(options);
}

IssuedCertificate TestCa::issue_dns(const std::string& name) const {
  LeafOptions options;
  options.dns = {name};
  return issue(options);
}

IssuedCertificate TestCa::issue_expired(const std::string& id) const {
  LeafOptions options;
  options.uris = {id};
  options.not_after = 1640995199;  // 2021-12-31 23:59:59
  return issue(options);
}

TestCa TestCa::intermediate(const std::string& name) const {
  return TestCa(this, name, key_type_);
}

std::string make_key_pem() {
  return key_to_pem(make_key(KeyType::p256).get());
}

}  // namespace tulle::testing
