// Keys, requests and certificates: what we make holds, and what is not right is refused in words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "core/net/secrets.hpp"
#include "core/net/x509_issue.hpp"
#include "core/net/x509_key.hpp"
#include "core/net/x509_parts.hpp"
#include "core/net/x509_request.hpp"
#include "tests/support/certificates.hpp"

namespace tulle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kNow = 1'800'000'000;
constexpr int64_t kDay = 86400;
constexpr const char* kId = "spiffe://mesh.test/ns/default/sa/orders";

using Key = std::unique_ptr<EVP_PKEY, FreeWith<&EVP_PKEY_free>>;

struct Root {
  std::string key = generate_key();
  std::string certificate =
      *issue_root(key, "test root", "spiffe://mesh.test", {kNow - kDay, kNow + 3650 * kDay});
  Issuer issuer() const { return {certificate, key, "root.pem"}; }
};

const Root& root() {
  static const Root made;
  return made;
}

LeafSpecification leaf_for(const std::string& key_pem) {
  LeafSpecification leaf;
  leaf.public_key_der = *public_key_of(key_pem, "");
  leaf.uri = kId;
  leaf.validity = {kNow - 60, kNow + kDay};
  return leaf;
}

// A request with any key and digest, by OpenSSL itself.
std::string foreign_request(EVP_PKEY* key, const EVP_MD* digest = EVP_sha256()) {
  const RequestPointer request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), key);
  EXPECT_GT(X509_REQ_sign(request.get(), key, digest), 0);
  const BioHolder bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

// Of several small primes when it is large: that is much faster to find.
Key rsa_key(int bits, unsigned exponent = 65537) {
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  EVP_PKEY_keygen_init(context);
  EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits);
  if (bits > 4096) EVP_PKEY_CTX_set_rsa_keygen_primes(context, 4);
  BIGNUM* number = BN_new();
  BN_set_word(number, exponent);
  EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, number);
  EVP_PKEY* made = nullptr;
  EXPECT_EQ(EVP_PKEY_generate(context, &made), 1);
  BN_free(number);
  EVP_PKEY_CTX_free(context);
  return Key(made);
}

std::string refusal(const std::string& request) {
  const auto read = read_request(request);
  if (read) return "accepted";
  EXPECT_EQ(read.error().code, Code::bad_request);
  return read.error().detail;
}

TEST(Secrets, TokensAreRandomAndPrintable) {
  const std::string a = random_token();
  EXPECT_EQ(a.size(), 43u);  // 256 bits at 6 per character
  EXPECT_NE(a, random_token());
  EXPECT_EQ(a.find_first_not_of(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  EXPECT_EQ(random_bytes(5).size(), 5u);
}

TEST(Secrets, DigestsAndComparison) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(equal_secrets("abc", "abc"));
  EXPECT_FALSE(equal_secrets("abc", "abd"));
  EXPECT_FALSE(equal_secrets("abc", "abcd"));
}

TEST(Secrets, Base64AndMac) {
  for (const std::string& bytes : {std::string(), std::string("f"), std::string("fo"),
                                   std::string("foo"), std::string("\0\xff\xfe\x80", 4)}) {
    EXPECT_EQ(from_base64url(base64url(bytes)), bytes);
  }
  EXPECT_EQ(base64url("fo"), "Zm8");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("\xfb\xff"), "+/8=");
  for (const char* bad : {"Zm8=", "Zm9", "Z", "Zm 8", "Zm+8"}) {
    EXPECT_EQ(from_base64url(bad), std::nullopt) << bad;
  }
  // RFC 4231, case 2.
  EXPECT_EQ(base64url(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
}

TEST(Request, CarriesKeyAndNameAndNothingElse) {
  const std::string key = generate_key();
  const auto made = make_request(key, kId);
  ASSERT_TRUE(made);
  const auto read = read_request("\n" + *made + "  \n");
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->public_key_der, *public_key_of(key, ""));
  EXPECT_EQ(read->key_fingerprint, *key_fingerprint(key, ""));
  EXPECT_THAT(read->uris, ElementsAre(kId));
  EXPECT_THAT(read_request(*make_request(key, ""))->uris, IsEmpty());
}

// robustness: keys that are too small, too large or of an odd kind; damaged signatures.
TEST(Request, RefusesKeysThatAreNotGoodEnough) {
  for (const int bits : {512, 1024, 2040, 4608}) {
    EXPECT_THAT(refusal(foreign_request(rsa_key(bits).get())),
                HasSubstr("RSA key of " + std::to_string(bits)));
  }
  const Key good = rsa_key(2048);
  EXPECT_EQ(refusal(foreign_request(good.get())), "accepted");
  for (const char* curve : {"P-192", "secp256k1", "P-521"}) {
    const Key key(EVP_EC_gen(curve));
    ASSERT_NE(key, nullptr);
    EXPECT_THAT(refusal(foreign_request(key.get())), HasSubstr("has a key on curve")) << curve;
  }
  const Key p384(EVP_EC_gen("P-384"));
  EXPECT_EQ(refusal(foreign_request(p384.get())), "accepted");
  const Key edwards(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  EXPECT_THAT(refusal(foreign_request(edwards.get(), nullptr)), HasSubstr("another type"));
}

TEST(Request, RefusesAnOddExponentAndADescribedCurve) {
  const Key rsa = rsa_key(2048, 3);
  EXPECT_THAT(refusal(foreign_request(rsa.get())), HasSubstr("unusual exponent"));

  const Key described(EVP_EC_gen("P-256"));
  EVP_PKEY_set_utf8_string_param(described.get(), "encoding", "explicit");
  EXPECT_THAT(refusal(foreign_request(described.get())), HasSubstr("certificate request:"));
}

TEST(Request, RefusesBadSignatures) {
  const Key key(EVP_EC_gen("P-256"));
  EXPECT_THAT(refusal(foreign_request(key.get(), EVP_sha1())), HasSubstr("SHA-256"));
  const Key rsa = rsa_key(2048);
  EXPECT_THAT(refusal(foreign_request(rsa.get(), EVP_md5())), HasSubstr("SHA-256"));
  // Another key's signature: the last characters of the text belong to it.
  std::string text = *make_request(generate_key(), kId);
  const size_t at = text.rfind("\n-----END") - 8;
  text[at] = text[at] == 'A' ? 'B' : 'A';
  EXPECT_NE(refusal(text), "accepted");
}

TEST(Request, IsBoundedAndAlone) {
  const std::string good = *make_request(generate_key(), kId);
  EXPECT_THAT(refusal(good + good), HasSubstr("exactly one"));
  EXPECT_THAT(refusal("x" + good), HasSubstr("exactly one"));
  EXPECT_THAT(refusal(""), HasSubstr("exactly one"));
  EXPECT_THAT(refusal(std::string(10 * 1024 * 1024, 'A')), HasSubstr("larger than"));
  EXPECT_THAT(refusal(good + std::string(kLargestRequest, '\n')), HasSubstr("larger than"));
  EXPECT_THAT(refusal("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                      "-----END CERTIFICATE REQUEST-----\n"),
              HasSubstr("cannot be read"));
}

TEST(Issue, ALeafHoldsBelowItsRoot) {
  const std::string key = generate_key();
  LeafSpecification leaf = leaf_for(key);
  leaf.dns = {"localhost"};
  leaf.ips = {"127.0.0.1", "::1"};
  const auto chain = issue_leaf(root().issuer(), leaf);
  ASSERT_TRUE(chain) << chain.error().detail;
  const auto facts = verify_chain(*chain, root().certificate, kNow);
  ASSERT_TRUE(facts) << facts.error().detail;
  EXPECT_EQ(facts->spiffe_id, kId);
  EXPECT_EQ(facts->not_before, kNow - 60);
  EXPECT_EQ(facts->not_after, kNow + kDay);
  EXPECT_TRUE(check_key_matches(*chain, key, ""));
  EXPECT_NE(*issue_leaf(root().issuer(), leaf), *chain);  // the serial at least

  EXPECT_FALSE(verify_chain(*chain, root().certificate, kNow + kDay + 1));
  EXPECT_FALSE(verify_chain(*chain, root().certificate, kNow - 61));
  EXPECT_FALSE(verify_chain(*chain, Root().certificate, kNow));
  leaf.ips = {"localhost"};
  EXPECT_FALSE(issue_leaf(root().issuer(), leaf));
  leaf.ips.clear();
  leaf.uri = "spiffe://Mesh/x";
  EXPECT_FALSE(issue_leaf(root().issuer(), leaf));
}

TEST(Issue, ALeafBelowAnIntermediateBringsItAlong) {
  const std::string middle_key = generate_key();
  const auto middle = issue_intermediate(root().issuer(), *public_key_of(middle_key, ""), "middle",
                                         {kNow - 60, kNow + 2 * kDay});
  ASSERT_TRUE(middle);
  const Issuer issuer{*middle, middle_key, "middle.pem"};
  ASSERT_TRUE(check_issuer(issuer, kId, kNow));
  LeafSpecification leaf = leaf_for(generate_key());
  leaf.validity.not_after = kNow + 100 * kDay;
  const auto chain = issue_leaf(issuer, leaf);
  ASSERT_TRUE(chain);
  const auto facts = verify_chain(*chain, *root_of(*middle, ""), kNow);
  ASSERT_TRUE(facts) << facts.error().detail;
  EXPECT_EQ(facts->not_after, kNow + 2 * kDay);  // never longer than its issuer
  size_t count = 0;
  for (size_t at = chain->find("BEGIN"); at != std::string::npos; at = chain->find("BEGIN", at + 1))
    ++count;
  EXPECT_EQ(count, 2u);  // not the root
  // An intermediate of an intermediate exceeds the path length.
  const std::string deeper_key = generate_key();
  const auto deeper = issue_intermediate(issuer, *public_key_of(deeper_key, ""), "deeper",
                                         {kNow - 60, kNow + kDay});
  ASSERT_TRUE(deeper);
  EXPECT_FALSE(check_issuer({*deeper, deeper_key, ""}, kId, kNow));
}

TEST(Issue, AnIssuerMustBeACompleteCa) {
  const auto fault = [](const Issuer& issuer, int64_t now = kNow) {
    const auto checked = check_issuer(issuer, kId, now);
    return checked ? std::string("accepted") : checked.error().detail;
  };
  EXPECT_EQ(fault(root().issuer()), "accepted");
  EXPECT_THAT(fault(root().issuer(), kNow + 4000 * kDay), HasSubstr("expired"));
  EXPECT_THAT(fault({root().certificate, generate_key(), "x"}), HasSubstr("does not belong"));
  const std::string key = generate_key();
  const auto leaf = issue_leaf(root().issuer(), leaf_for(key));
  EXPECT_THAT(fault({*leaf, key, "x"}), HasSubstr("not a CA certificate"));
  const std::string middle_key = generate_key();
  const auto middle = issue_intermediate(root().issuer(), *public_key_of(middle_key, ""), "middle",
                                         {kNow - 60, kNow + kDay});
  const std::string alone = middle->substr(0, middle->find("-----BEGIN", 1));
  EXPECT_THAT(fault({alone, middle_key, "ca.pem"}), HasSubstr("up to the self-signed root"));
}

TEST(Issue, Bundles) {
  const Root other;
  const auto parts = split_bundle(root().certificate + other.certificate + root().certificate, "");
  ASSERT_TRUE(parts);
  EXPECT_THAT(*parts, ElementsAre(root().certificate, other.certificate));
  EXPECT_FALSE(split_bundle("", ""));
  const auto leaf = issue_leaf(root().issuer(), leaf_for(generate_key()));
  EXPECT_THAT(split_bundle(root().certificate + *leaf, "b.pem").error().detail,
              HasSubstr("no CA's"));
}

}  // namespace
}  // namespace tulle
