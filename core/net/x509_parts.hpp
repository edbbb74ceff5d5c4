// OpenSSL's X.509 types as owned pointers and as PEM. For the x509_*.cpp files only.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

namespace tulle {

template <auto free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using BioHolder = std::unique_ptr<BIO, FreeWith<&BIO_free>>;
using RequestPointer = std::unique_ptr<X509_REQ, FreeWith<&X509_REQ_free>>;
using ExtensionPointer = std::unique_ptr<X509_EXTENSION, FreeWith<&X509_EXTENSION_free>>;
using NamesPointer = std::unique_ptr<GENERAL_NAMES, FreeWith<&GENERAL_NAMES_free>>;

std::string key_to_pem(EVP_PKEY& key);
std::string certificate_to_pem(X509& certificate);
std::string public_key_to_der(EVP_PKEY& key);

// What a key of this type signs with; null when it hashes by itself (Ed25519).
const EVP_MD* digest_for(const EVP_PKEY& key);

// Names with these values; null when one of them is impossible (an IP address that is none).
NamesPointer make_names(const std::vector<std::string>& uris, const std::vector<std::string>& dns,
                        const std::vector<std::string>& ips);

}  // namespace tulle
