// Names in certificates: which peer is the one we expect, and which names are none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;
using ::testing::HasSubstr;

TlsOptions server_with(const LeafOptions& leaf) {
  return tls_options(test_ca().issue(leaf));
}

TEST(TlsVerify, WrongServerNameOfBothKinds) {
  TlsOptions by_uri = client_options();
  by_uri.peer_sans = {uri_is("spiffe://mesh.test/ns/default/sa/other"), uri_is("spiffe://b/c")};
  TlsPair uri(by_uri);
  uri.settle();
  EXPECT_EQ(uri.client.why->code, Code::identity_mismatch);
  EXPECT_EQ(uri.client.why->origin, Origin::upstream);
  EXPECT_EQ(uri.client.detail(), std::string("peer has ") + kServerId +
                                     ", expected spiffe://mesh.test/ns/default/sa/other or "
                                     "spiffe://b/c");
  EXPECT_EQ(uri.server.detail(), "peer refused our certificate: bad certificate");

  TlsOptions by_name = client_options();
  by_name.peer_sans.clear();
  TlsPair dns(by_name, tls_options(test_ca().issue_dns("a.test")), true, "b.test");
  dns.settle();
  EXPECT_EQ(dns.client.why->code, Code::identity_mismatch);
  EXPECT_EQ(dns.client.detail(), "peer has a.test, expected b.test");
}

TEST(TlsVerify, ClientOfTheWrongName) {
  TlsOptions server = server_options();
  server.peer_sans = {uri_is("spiffe://mesh.test/ns/default/sa/admin")};
  TlsPair pair(client_options(), server);
  pair.settle();
  EXPECT_FALSE(pair.server.opened);
  EXPECT_EQ(pair.server.why->code, Code::identity_mismatch);
  EXPECT_EQ(pair.server.why->origin, Origin::downstream);
  EXPECT_THAT(pair.server.detail(), HasSubstr(kClientId));
  EXPECT_THAT(pair.client.detail(), HasSubstr("peer refused our certificate"));
}

TEST(TlsVerify, ServerNamesThatMatch) {
  LeafOptions leaf;
  leaf.dns = {"*.mesh.test", "plain.test"};
  leaf.ips = {"10.1.2.3"};
  const TlsOptions server = server_with(leaf);
  TlsOptions client = client_options();
  client.peer_sans.clear();
  for (const char* name : {"a.mesh.test", "PLAIN.test", "plain.test.", "10.1.2.3"}) {
    TlsPair pair(client, server, true, name);
    pair.open();
  }
  for (const char* name : {"a.b.mesh.test", "mesh.test", "10.1.2.4", "leaf"}) {
    TlsPair pair(client, server, true, name);
    pair.settle();
    EXPECT_EQ(pair.client.why->code, Code::identity_mismatch) << name;
  }
}

TEST(TlsVerify, KindsOfNameMatchers) {
  using Type = SanMatcher::Type;
  using Kind = SanMatcher::Kind;
  LeafOptions leaf;
  leaf.uris = {kServerId};
  leaf.dns = {"Api.Mesh.test"};
  const TlsOptions server = server_with(leaf);
  struct Case {
    SanMatcher matcher;
    bool matches;
  };
  const Case cases[] = {
      {{Type::uri, Kind::prefix, "spiffe://mesh.test/ns/default/"}, true},
      {{Type::uri, Kind::suffix, "/sa/server"}, true},
      {{Type::uri, Kind::prefix, "spiffe://mesh.tes1"}, false},
      {{Type::uri, Kind::exact, "SPIFFE://mesh.test/ns/default/sa/server"}, false},
      {{Type::dns, Kind::exact, "api.mesh.test"}, true},
      {{Type::dns, Kind::suffix, ".mesh.TEST"}, true},
      {{Type::dns, Kind::exact, ".mesh.test"}, false},
      {{Type::dns, Kind::exact, kServerId}, false},
      {{Type::uri, Kind::prefix, ""}, false},
      {{Type::uri, Kind::suffix, "Api.Mesh.test"}, false},
  };
  for (const Case& one : cases) {
    TlsOptions client = client_options();
    client.peer_sans = {one.matcher};
    TlsPair pair(client, server);
    pair.settle();
    EXPECT_EQ(pair.client.opened, one.matches) << one.matcher.value << pair.client.detail();
  }
}

TEST(TlsVerify, ASpiffeCertificateHasOneUri) {
  LeafOptions leaf;
  for (const std::vector<std::string>& uris :
       {std::vector<std::string>{kServerId, "spiffe://mesh.test/ns/default/sa/x"},
        {kServerId, "https://mesh.test/"},
        {kServerId, kServerId}}) {
    leaf.uris = uris;
    TlsPair pair(client_options(), server_with(leaf));
    pair.settle();
    EXPECT_EQ(pair.client.why->code, Code::identity_mismatch);
    EXPECT_EQ(pair.client.detail(),
              "peer's certificate has 2 URI names, a SPIFFE certificate has exactly one");
  }
}

TEST(TlsVerify, MalformedSpiffeIdsAreRefused) {
  TlsOptions anyone = client_options();
  anyone.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::prefix, "s"}};
  for (const std::string& id : std::vector<std::string>{
           "spiffe://td", "spiffe://td/", "spiffe:///x", "spiffe://td//x", "spiffe://td/./x",
           "spiffe://td/../x", "spiffe://td/%2e%2e/x", "spiffe://td:443/x", "spiffe://u@td/x",
           "spiffe://td/x?q", "spiffe://td/x#f", "spiffe://TD/x", "spiffe:/td/x", "spiffe://td/x/",
           "spiffe://" + std::string(256, 'a') + "/x",
           "spiffe://td/" + std::string(2037, 'a'),  // 2049 bytes
           "spiffe://td/\xc3\xa4"}) {
    LeafOptions leaf;
    leaf.uris = {id};
    TlsPair pair(anyone, server_with(leaf));
    pair.settle();
    EXPECT_FALSE(pair.client.opened) << id;
    EXPECT_EQ(pair.client.detail(), "peer's certificate has a malformed SPIFFE ID") << id;
  }
  LeafOptions longest;
  longest.uris = {"spiffe://td/" + std::string(2036, 'a')};  // 2048 bytes
  TlsPair pair(anyone, server_with(longest));
  pair.open();
}

TEST(TlsVerify, ALeafMustBeALeaf) {
  struct Case {
    bool is_ca;
    const char* key_usage;
    const char* extended;
    bool accepted;
  };
  const Case cases[] = {
      {true, "critical,digitalSignature", "serverAuth", false},
      {false, "critical,digitalSignature,keyCertSign", "serverAuth", false},
      {false, "critical,digitalSignature,cRLSign", "serverAuth", false},
      {false, "digitalSignature", "serverAuth", false},
      {false, "critical,keyAgreement", "serverAuth", false},
      {false, "", "serverAuth", false},
      {false, "critical,digitalSignature", "clientAuth", false},
      {false, "critical,digitalSignature", "codeSigning", false},
      {false, "critical,digitalSignature", "", true},
  };
  for (const Case& one : cases) {
    LeafOptions leaf;
    leaf.uris = {kServerId};
    leaf.is_ca = one.is_ca;
    leaf.key_usage = one.key_usage;
    leaf.extended_key_usage = one.extended;
    TlsPair pair(client_options(), server_with(leaf));
    pair.settle();
    EXPECT_EQ(pair.client.opened, one.accepted)
        << one.key_usage << " / " << one.extended << ": " << pair.client.detail();
  }
}

TEST(TlsVerify, OtherNamesAreNeverTheIdentity) {
  LeafOptions leaf;
  leaf.common_name = kServerId;
  leaf.dns = {kServerId};
  TlsPair pair(client_options(), server_with(leaf));
  pair.settle();
  EXPECT_EQ(pair.client.why->code, Code::identity_mismatch);

  leaf.uris = {kServerId};
  leaf.dns = {std::string("evil\0.test", 10), "line\r\nbreak"};
  TlsPair hostile(client_options(), server_with(leaf));
  hostile.open();
  EXPECT_TRUE(hostile.client.stream->peer_identity()->dns_sans.empty());
}

}  // namespace
}  // namespace tulle
