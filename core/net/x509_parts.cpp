#include "core/net/x509_parts.hpp"

#include <openssl/pem.h>

#include "core/base/assert.hpp"

namespace tulle {

namespace {

template <class Write>
std::string written(Write write) {
  const BioHolder bio(BIO_new(BIO_s_mem()));
  ASSERT(bio != nullptr && write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

bool add_name(GENERAL_NAMES& names, int type, const std::string& value) {
  ASN1_STRING* text = nullptr;
  if (type == GEN_IPADD) {
    text = a2i_IPADDRESS(value.c_str());
  } else {
    text = ASN1_IA5STRING_new();
    if (text != nullptr) ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
  }
  if (text == nullptr) return false;
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASSERT(name != nullptr);
  GENERAL_NAME_set0_value(name, type, text);
  sk_GENERAL_NAME_push(&names, name);
  return true;
}

}  // namespace

std::string key_to_pem(EVP_PKEY& key) {
  return written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, &key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string certificate_to_pem(X509& certificate) {
  return written([&](BIO* bio) { return PEM_write_bio_X509(bio, &certificate); });
}

std::string public_key_to_der(EVP_PKEY& key) {
  unsigned char* bytes = nullptr;
  const int size = i2d_PUBKEY(&key, &bytes);
  ASSERT(size > 0);
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

const EVP_MD* digest_for(const EVP_PKEY& key) {
  const int type = EVP_PKEY_get_base_id(&key);
  if (type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448) return nullptr;
  return EVP_PKEY_get_security_bits(&key) > 128 ? EVP_sha384() : EVP_sha256();
}

NamesPointer make_names(const std::vector<std::string>& uris, const std::vector<std::string>& dns,
                        const std::vector<std::string>& ips) {
  NamesPointer names(sk_GENERAL_NAME_new_null());
  for (const std::string& uri : uris) add_name(*names, GEN_URI, uri);
  for (const std::string& name : dns) add_name(*names, GEN_DNS, name);
  for (const std::string& ip : ips) {
    if (!add_name(*names, GEN_IPADD, ip)) return nullptr;
  }
  return names;
}

}  // namespace tulle
