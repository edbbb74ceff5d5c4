// Who gets in, who does not, and in which words both sides learn of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/net/tls_offer.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;
using ::testing::HasSubstr;

TlsOptions client_with(const IssuedCertificate& own) {
  TlsOptions options = tls_options(own);
  options.peer_sans = {uri_is(kServerId)};
  return options;
}

TlsOptions server_with(const LeafOptions& leaf) {
  return tls_options(test_ca().issue(leaf));
}

TEST(TlsHandshake, BothSidesKnowEachOther) {
  TlsPair pair;
  pair.open();
  ASSERT_NE(pair.client.stream->peer_identity(), nullptr);
  ASSERT_NE(pair.server.stream->peer_identity(), nullptr);
  EXPECT_EQ(pair.client.stream->peer_identity()->spiffe_id, kServerId);
  const PeerIdentity& client = *pair.server.stream->peer_identity();
  EXPECT_EQ(client.spiffe_id, kClientId);
  EXPECT_EQ(client.uri_sans, std::vector<std::string>{kClientId});
  EXPECT_EQ(client.subject, "CN=leaf");
  EXPECT_FALSE(client.serial.empty());
  EXPECT_EQ(client.not_after, kYear2049);
}

TEST(TlsHandshake, FedByteByByte) {
  MemoryStreamOptions wire;
  wire.slice = 1;
  TlsPair pair(client_options(), server_options(), true, "", wire);
  pair.open();
  pair.client.send("ping");
  pair.settle();
  EXPECT_EQ(pair.server.text, "ping");
}

TEST(TlsHandshake, WhatIsWrittenBeforeItIsDoneArrives) {
  TlsPair pair;
  pair.client.send("early");
  pair.server.send("bird");
  EXPECT_EQ(pair.client.stream->backlog(), 5u);
  pair.open();
  EXPECT_EQ(pair.server.text, "early");
  EXPECT_EQ(pair.client.text, "bird");
  EXPECT_EQ(pair.client.stream->backlog(), 0u);
}

TEST(TlsHandshake, NoClientCertificate) {
  TlsOptions anonymous = client_options();
  anonymous.certificate_pem.clear();
  anonymous.key_pem.clear();
  TlsPair pair(anonymous);
  pair.client.send("request that must not be read");
  pair.settle();
  EXPECT_FALSE(pair.server.opened);
  EXPECT_EQ(pair.server.why->code, Code::tls_failed);
  EXPECT_EQ(pair.server.why->origin, Origin::downstream);
  EXPECT_EQ(pair.server.detail(), "peer sent no certificate");
  EXPECT_EQ(pair.server.text, "");
  EXPECT_EQ(pair.client.why->code, Code::tls_failed);
  EXPECT_EQ(pair.client.why->origin, Origin::upstream);
  EXPECT_EQ(pair.client.detail(), "peer refused our certificate: certificate required");
}

TEST(TlsHandshake, NoClientCertificateIsFineWhenNoneIsRequired) {
  TlsOptions anonymous = client_options();
  anonymous.certificate_pem.clear();
  anonymous.key_pem.clear();
  TlsPair pair(anonymous, server_options(), false);
  pair.open();
  EXPECT_EQ(pair.server.stream->peer_identity(), nullptr);
}

TEST(TlsHandshake, CertificateOfAnotherCaIsRefusedEvenWhenNoneIsRequired) {
  TlsOptions stranger = client_with(other_ca().issue_spiffe(kClientId));
  for (const bool required : {true, false}) {
    TlsPair pair(stranger, server_options(), required);
    pair.settle();
    EXPECT_FALSE(pair.server.opened);
    EXPECT_THAT(pair.server.detail(), HasSubstr("unknown CA"));
    EXPECT_THAT(pair.server.detail(), HasSubstr(kClientId));
    EXPECT_EQ(pair.client.detail(), "peer refused our certificate: unknown ca");
  }
}

TEST(TlsHandshake, CaOfTheSameNameWithAnotherKeyIsUnknown) {
  const TestCa impostor;  // the name is that of test_ca()
  TlsPair pair(client_with(impostor.issue_spiffe(kClientId)));
  pair.settle();
  EXPECT_FALSE(pair.server.opened);
  EXPECT_EQ(pair.server.why->code, Code::tls_failed);
  EXPECT_THAT(pair.server.detail(), HasSubstr("unknown CA"));
}

TEST(TlsHandshake, SelfSignedLeafIsUnknown) {
  const TestCa self("spiffe");
  IssuedCertificate own{self.pem(), self.key_pem()};
  TlsPair pair(client_with(own));
  pair.settle();
  EXPECT_FALSE(pair.server.opened);
  EXPECT_THAT(pair.server.detail(), HasSubstr("unknown CA"));
}

TEST(TlsHandshake, ServerOfAnotherCa) {
  TlsPair pair(client_options(), tls_options(other_ca().issue_spiffe(kServerId)));
  pair.client.send("secret");
  pair.settle();
  EXPECT_FALSE(pair.client.opened);
  EXPECT_EQ(pair.client.why->code, Code::tls_failed);
  EXPECT_THAT(pair.client.detail(), HasSubstr("unknown CA"));
  EXPECT_EQ(pair.server.detail(), "peer refused our certificate: unknown ca");
  EXPECT_EQ(pair.server.text, "");
}

TEST(TlsHandshake, ExpiredCertificatesNameTheirDate) {
  TlsPair by_client(client_with(test_ca().issue_expired(kClientId)));
  by_client.settle();
  EXPECT_THAT(by_client.server.detail(),
              HasSubstr("certificate expired on 2021-12-31 23:59:59 UTC"));
  EXPECT_THAT(by_client.server.detail(), HasSubstr(kClientId));
  EXPECT_EQ(by_client.client.detail(), "peer refused our certificate: certificate expired");

  TlsPair by_server(client_options(), tls_options(test_ca().issue_expired(kServerId)));
  by_server.settle();
  EXPECT_THAT(by_server.client.detail(), HasSubstr("certificate expired on 2021-12-31"));
}

TEST(TlsHandshake, CertificateOfTheFuture) {
  LeafOptions leaf;
  leaf.uris = {kServerId};
  leaf.not_before = kYear2049 - 86400;
  TlsPair pair(client_options(), server_with(leaf));
  pair.settle();
  EXPECT_THAT(pair.client.detail(), HasSubstr("certificate is not valid before 2048-12-31"));
}

TEST(TlsHandshake, IntermediatesAreSentAndLimited) {
  TestCa below = test_ca().intermediate("level 1");
  TlsPair one(client_options(), tls_options(below.issue_spiffe(kServerId)));
  one.open();
  for (int level = 2; level <= 5; ++level) {
    below = below.intermediate("level " + std::to_string(level));
  }
  TlsPair deep(client_options(), tls_options(below.issue_spiffe(kServerId)));
  deep.settle();
  EXPECT_FALSE(deep.client.opened);
  EXPECT_THAT(deep.client.detail(), HasSubstr("too long"));
}

TEST(TlsHandshake, ApplicationProtocols) {
  struct Case {
    std::vector<std::string> client;
    std::vector<std::string> server;
    std::string chosen;
  };
  for (const Case& one : {Case{{"http/1.1", "h2"}, {"h2", "http/1.1"}, "h2"},
                          Case{{"http/1.1"}, {"h2", "http/1.1"}, "http/1.1"}, Case{{}, {"h2"}, ""},
                          Case{{"h2"}, {}, ""}}) {
    TlsOptions client = client_options();
    TlsOptions server = server_options();
    client.alpn = one.client;
    server.alpn = one.server;
    TlsPair pair(client, server);
    pair.open();
    EXPECT_EQ(pair.client.stream->alpn(), one.chosen);
    EXPECT_EQ(pair.server.stream->alpn(), one.chosen);
  }
}

TEST(TlsHandshake, DisjointApplicationProtocolsAreRefused) {
  TlsOptions client = client_options();
  TlsOptions server = server_options();
  client.alpn = {"h3", "odd\n"};
  server.alpn = {"h2", "http/1.1"};
  TlsPair pair(client, server);
  pair.settle();
  EXPECT_EQ(pair.server.why->code, Code::tls_failed);
  EXPECT_EQ(pair.server.detail(),
            "no application protocol in common: peer offers h3, odd?; we have h2, http/1.1");
  EXPECT_EQ(pair.client.detail(), "peer ended TLS with the alert: no application protocol");
}

// ---- peers that do not speak TLS at all -------------------------------------------------------

struct RawPeer {
  explicit RawPeer(bool raw_is_client) {
    auto [near, far] = MemoryStream::pair(loop);
    raw.own(std::move(raw_is_client ? near : far));
    auto context = raw_is_client ? TlsContext::server(server_options(), true)
                                 : TlsContext::client(client_options(), "");
    tls.own(make_tls_stream(loop, std::move(raw_is_client ? far : near), *context));
  }
  void say(ByteView text) {
    raw.send(text);
    clock.run_until_quiet();
  }
  SimulatedClock clock;
  SimulatedLoop loop{clock};
  Recorder raw;
  Recorder tls;
};

TEST(TlsHandshake, PlainHttpOnATlsPort) {
  for (const char* request : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\n",
                              "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "DELETE /x HTTP/1.1\r\n"}) {
    RawPeer peer(true);
    peer.say(request);
    EXPECT_EQ(peer.tls.why->code, Code::tls_failed);
    EXPECT_EQ(peer.tls.detail(), "plain HTTP on a TLS port");
    EXPECT_EQ(peer.raw.text, "");
  }
  RawPeer server(false);
  server.say("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(server.tls.detail(), "peer answers in plain HTTP, not in TLS");
}

TEST(TlsHandshake, GarbageIsOneError) {
  for (const std::string& garbage :
       {std::string("\x00\x01\x02\x03\x04\x05\x06\x07", 8), std::string(70000, '\xff'),
        std::string("\x16\x03\x01\xff\xff") + std::string(20, 'x'),
        std::string("\x16\x03\x01\x00\x05hello", 10), std::string("SSH-2.0-OpenSSH_9.2\r\n"),
        std::string("\x17\x03\x03\x00\x01x", 6)}) {
    for (const bool as_client : {true, false}) {
      RawPeer peer(as_client);
      peer.say(garbage);
      ASSERT_TRUE(peer.tls.ended) << as_client << ::testing::PrintToString(garbage.substr(0, 8));
      EXPECT_EQ(peer.tls.why->code, Code::tls_failed);
      EXPECT_FALSE(peer.tls.detail().empty());
      peer.say(garbage);
      EXPECT_FALSE(peer.tls.opened);
    }
  }
}

TEST(TlsHandshake, PeerThatLeavesIsAnError) {
  RawPeer silent(true);
  silent.clock.run_until_quiet();
  silent.raw.stream->shutdown();
  silent.clock.run_until_quiet();
  EXPECT_EQ(silent.tls.why->code, Code::tls_failed);
  EXPECT_EQ(silent.tls.detail(), "connection closed during the TLS handshake");

  RawPeer half(true);
  half.say(std::string("\x16\x03\x01\x02\x00", 5));
  half.raw.stream.reset();
  half.clock.run_until_quiet();
  EXPECT_EQ(half.tls.detail(), "connection closed during the TLS handshake");
}

// ---- fairness ---------------------------------------------------------------------------------

// Expensive steps are counted by how many servers have answered after each turn.
TEST(TlsHandshake, StepsPerTurnAreLimited) {
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  auto server_context = *TlsContext::server(server_options(), true);
  auto client_context = *TlsContext::client(client_options(), "");
  constexpr int kCount = 20;
  std::vector<std::unique_ptr<Recorder>> ends;
  for (int i = 0; i < kCount; ++i) {
    auto [near, far] = MemoryStream::pair(loop);
    ends.push_back(
        std::make_unique<Recorder>(make_tls_stream(loop, std::move(near), client_context)));
    ends.push_back(
        std::make_unique<Recorder>(make_tls_stream(loop, std::move(far), server_context)));
  }
  const uint64_t before = loop.counters().turns;
  EXPECT_TRUE(clock.run_until_quiet());
  for (const auto& end : ends)
    EXPECT_TRUE(end->opened);
  // Four steps for each pair: two flights on each side.
  EXPECT_GE(loop.counters().turns - before, 4 * kCount / Loop::kHandshakeStepsPerTurn);
}

// A peer that drips single bytes must not use up the steps of others: turns in which nothing but a
// byte of a record has come leave the share untouched.
TEST(TlsHandshake, DrippedBytesCostNoSteps) {
  RawPeer peer(true);
  const std::string start("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9);
  for (const char byte : start) {
    peer.raw.send(ByteView(&byte, 1));
    peer.loop.turn();
    peer.loop.turn();
    for (uint32_t i = 0; i < Loop::kHandshakeStepsPerTurn; ++i) {
      EXPECT_TRUE(peer.loop.take_handshake_step());
    }
  }
  EXPECT_FALSE(peer.tls.ended);
}

// One context serves HTTP and opaque TCP; which of them is said per connection.
TEST(TlsHandshake, AContextOffersOtherProtocolsWhenAskedTo) {
  TlsOptions options = client_options();
  options.alpn = {"tulle-h2", "h2"};
  TlsOptions server = server_options();
  server.alpn = {"tulle-tcp", "h2"};
  const auto http = TlsContext::client(options, "");
  ASSERT_TRUE(http);
  const auto serving = TlsContext::server(server, true);
  ASSERT_TRUE(serving);
  const auto chosen = [&](const std::shared_ptr<const TlsContext>& with) {
    SimulatedClock clock;
    SimulatedLoop loop(clock);
    auto [near, far] = MemoryStream::pair(loop);
    Recorder client(make_tls_stream(loop, std::move(near), with));
    Recorder peer(make_tls_stream(loop, std::move(far), *serving));
    clock.run_until_quiet();
    EXPECT_TRUE(client.opened) << client.detail();
    return std::string(client.stream->alpn());
  };
  EXPECT_EQ(chosen(*http), "h2");
  EXPECT_EQ(chosen(offering(**http, {"tulle-tcp"})), "tulle-tcp");
  EXPECT_EQ(chosen(offering(**http, {})), "");
  EXPECT_EQ(chosen(*http), "h2");
}

}  // namespace
}  // namespace tulle
