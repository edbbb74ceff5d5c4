// Material: what a context accepts, and in which words it refuses the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/net/tls_certificate.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;
using ::testing::HasSubstr;

std::string server_error(const TlsOptions& options, bool require_client = true) {
  auto made = TlsContext::server(options, require_client);
  if (made.has_value())
    return "accepted";
  EXPECT_EQ(made.error().code, Code::invalid_config);
  EXPECT_EQ(made.error().origin, Origin::local);
  return made.error().detail;
}

TEST(TlsContext, KnowsItsOwnCertificate) {
  auto made = TlsContext::server(server_options(), true);
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ((*made)->own_spiffe_id(), kServerId);
  EXPECT_EQ((*made)->certificate_not_after(), kYear2049);
  TlsOptions anonymous = client_options();
  anonymous.certificate_pem.clear();
  anonymous.key_pem.clear();
  auto client = TlsContext::client(anonymous, "");
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ((*client)->certificate_not_after(), 0);
  EXPECT_EQ((*client)->own_spiffe_id(), "");
}

TEST(TlsContext, RefusesBadMaterialAndNamesIt) {
  TlsOptions options = server_options();
  options.origin = "/run/tulle/server.pem";
  options.certificate_pem = "no PEM at all";
  EXPECT_EQ(server_error(options),
            "certificate (/run/tulle/server.pem) holds no certificate in PEM form");
  options = server_options();
  options.certificate_pem.resize(options.certificate_pem.size() / 2);
  EXPECT_THAT(server_error(options), HasSubstr("certificate (test) cannot be read"));
  options = server_options();
  options.key_pem = make_key_pem();
  EXPECT_THAT(server_error(options), HasSubstr("does not belong to the certificate"));
  options.key_pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  EXPECT_THAT(server_error(options), HasSubstr("private key (test) cannot be read"));
  options = server_options();
  options.trust_pem += "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(server_error(options), HasSubstr("CA bundle (test) cannot be read"));
  options = server_options();
  options.certificate_pem.clear();
  options.key_pem.clear();
  EXPECT_THAT(server_error(options), HasSubstr("a TLS server needs a certificate"));
  options = server_options();
  options.cipher_suites = "TLS_NULL_WITH_NULL";
  EXPECT_THAT(server_error(options), HasSubstr("cipher suites TLS_NULL_WITH_NULL"));
  options = server_options();
  options.alpn = {""};
  EXPECT_THAT(server_error(options), HasSubstr("ALPN"));
}

TEST(TlsContext, AnEncryptedKeyIsRefusedWithoutAsking) {
  TlsOptions options = server_options();
  options.key_pem =
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
      "MIHeMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAgAAAAAAAAAAAICCAAw\n"
      "HQYJYIZIAWUDBAEqBBAAAAAAAAAAAAAAAAAAAAAABIGQAAAAAAAAAAAAAAAAAAAA\n"
      "-----END ENCRYPTED PRIVATE KEY-----\n";
  EXPECT_THAT(server_error(options), HasSubstr("private key (test) cannot be read"));
}

// Whoever forgets to say whom to expect gets an error and not a connection to anybody.
TEST(TlsContext, FailsClosed) {
  TlsOptions options = server_options();
  options.trust_pem.clear();
  EXPECT_THAT(server_error(options), HasSubstr("without a CA bundle"));
  EXPECT_EQ(server_error(options, false), "accepted");
  options.peer_sans = {uri_is(kClientId)};
  EXPECT_THAT(server_error(options, false), HasSubstr("without a CA bundle"));
  TlsOptions client = client_options();
  client.peer_sans.clear();
  auto made = TlsContext::client(client, "");
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().detail, HasSubstr("whom to expect"));
  EXPECT_TRUE(TlsContext::client(client, "a.test").has_value());
  EXPECT_FALSE(TlsContext::client(client, std::string("a\0b", 3)).has_value());
  EXPECT_FALSE(TlsContext::client(client, std::string(300, 'a')).has_value());
}

// Contexts that differ in whom they expect share one SSL_CTX and judge each for themselves.
TEST(TlsContext, AnotherPeerSharesEverythingElse) {
  const std::shared_ptr<const TlsContext> first = *TlsContext::client(client_options(), "");
  const auto second = first->with_peer({uri_is("spiffe://mesh.test/ns/default/sa/other")}, "");
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)->certificate_not_after(), first->certificate_not_after());
  EXPECT_EQ((*second)->own_spiffe_id(), first->own_spiffe_id());
  EXPECT_FALSE(first->with_peer({}, "")) << "nobody to expect";
  EXPECT_FALSE(first->with_peer({}, std::string(300, 'a')));
  const auto again = (*second)->with_peer({uri_is(kServerId)}, "");

  for (const auto& [context, error] :
       {std::pair{first, ""}, std::pair{*second, "expected spiffe://mesh.test/ns/default/sa/other"},
        std::pair{*again, ""}}) {
    TlsPair pair;
    auto [near, far] = MemoryStream::pair(pair.loop);
    Recorder client;
    Recorder server;
    client.own(make_tls_stream(pair.loop, std::move(near), context));
    server.own(make_tls_stream(pair.loop, std::move(far),
                               *TlsContext::server(server_options(), true)));
    pair.settle();
    EXPECT_EQ(client.opened, *error == '\0') << client.detail();
    EXPECT_THAT(client.detail(), HasSubstr(error));
  }
}

// A port that takes a join token instead of a certificate: none is fine, a bad one is not.
TEST(TlsContext, AsksForACertificateWithoutInsistingOnIt) {
  TlsOptions server = server_options();
  server.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::prefix, "spiffe://mesh.test/"}};
  TlsOptions anonymous = client_options();
  anonymous.certificate_pem.clear();
  anonymous.key_pem.clear();
  TlsPair without(anonymous, server, false);
  without.open();
  EXPECT_EQ(without.server.stream->peer_identity(), nullptr);
  TlsPair with(client_options(), server, false);
  with.open();
  ASSERT_NE(with.server.stream->peer_identity(), nullptr);
  EXPECT_EQ(with.server.stream->peer_identity()->spiffe_id, kClientId);

  for (const IssuedCertificate& bad :
       {other_ca().issue_spiffe(kClientId), test_ca().issue_expired(kClientId),
        test_ca().issue_spiffe("spiffe://other.test/ns/default/sa/client"),
        test_ca().issue_dns("client")}) {
    TlsOptions wrong = client_options();
    wrong.certificate_pem = bad.certificate_pem;
    wrong.key_pem = bad.key_pem;
    TlsPair refused(wrong, server, false);
    refused.settle();
    EXPECT_FALSE(refused.server.opened);
    EXPECT_NE(refused.server.detail(), "");
  }
}

TEST(TlsContext, OtherCipherSuites) {
  TlsOptions options = server_options();
  options.cipher_suites = "TLS_CHACHA20_POLY1305_SHA256";
  TlsPair pair(client_options(), options);
  pair.open();
}

TEST(TlsCertificate, Facts) {
  auto facts = read_certificate(server_options().certificate_pem, "test");
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->spiffe_id, kServerId);
  EXPECT_EQ(facts->subject, "CN=leaf");
  EXPECT_EQ(facts->not_before, kYear2020);
  EXPECT_EQ(facts->not_after, kYear2049);
  EXPECT_FALSE(read_certificate("", "test").has_value());
  const IssuedCertificate own = test_ca().issue_dns("a.test");
  EXPECT_TRUE(check_key_matches(own.certificate_pem, own.key_pem, "test").has_value());
  EXPECT_FALSE(check_key_matches(own.certificate_pem, make_key_pem(), "test").has_value());
}

TEST(TlsCertificate, SpiffeIds) {
  EXPECT_TRUE(is_spiffe_id("spiffe://td/x"));
  EXPECT_TRUE(is_spiffe_id("spiffe://a.b-c_9/ns/Default/sa/x.y"));
  for (const char* bad :
       {"", "spiffe://", "spiffe://td", "spiffe:///x", "spiffe://td/x/", "http://td/x"}) {
    EXPECT_FALSE(is_spiffe_id(bad)) << bad;
  }
}

}  // namespace
}  // namespace tulle
