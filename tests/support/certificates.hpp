// TestCa: certificates made on the fly, good ones and every kind of bad one. ECDSA P-256,
// or Ed25519 where sizes must not vary: an ECDSA signature has between 70 and 72 bytes.
//
// Validity is a fixed span of years by default, so that the same random numbers make the same
// bytes and a seeded run replays.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct x509_st;
struct evp_pkey_st;

namespace tulle::testing {

inline constexpr int64_t kYear2020 = 1577836800;  // Unix seconds
inline constexpr int64_t kYear2049 = 2493072000;

enum class KeyType : uint8_t { p256, ed25519 };

struct LeafOptions {
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  std::vector<std::string> ips;
  std::string common_name = "leaf";
  int64_t not_before = kYear2020;
  int64_t not_after = kYear2049;
  bool is_ca = false;
  // OpenSSL's configuration syntax; empty: the extension is left out.
  std::string key_usage = "critical,digitalSignature";
  std::string extended_key_usage = "serverAuth,clientAuth";
};

struct IssuedCertificate {
  std::string certificate_pem;
  std::string key_pem;
};

class TestCa {
 public:
  // Leaves and intermediates have keys of the same type as their CA.
  explicit TestCa(const std::string& name = "Tulle test CA", KeyType keys = KeyType::p256);
  ~TestCa();
  TestCa(TestCa&&) noexcept;
  TestCa& operator=(TestCa&&) noexcept;

  const std::string& pem() const { return own_.certificate_pem; }
  const std::string& key_pem() const { return own_.key_pem; }
  IssuedCertificate issue(const LeafOptions& options) const;
  IssuedCertificate issue_spiffe(const std::string& id) const;
  IssuedCertificate issue_dns(const std::string& name) const;
  IssuedCertificate issue_expired(const std::string& id) const;  // at the end of 2021
  // A CA below this one. Its leaves' certificate_pem holds the whole chain but the root.
  TestCa intermediate(const std::string& name) const;

 private:
  struct Keys;
  TestCa(const TestCa* issuer, const std::string& name, KeyType keys);
  std::unique_ptr<Keys> keys_;
  IssuedCertificate own_;
  KeyType key_type_;
  std::string chain_pem_;  // what leaves carry behind themselves
};

// A key of its own, for "key does not match" tests.
std::string make_key_pem();

}  // namespace tulle::testing
