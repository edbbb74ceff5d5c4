// Connections over TLS: the protocol is negotiated, and streams know their peer.
#include <gtest/gtest.h>

#include "core/http/connection.hpp"
#include "tests/support/http_bench.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using testing::Heard;
using testing::HttpBench;
using testing::PairNetwork;
using testing::Recorder;
using testing::Script;

class TlsTest : public ::testing::Test {
 protected:
  void use_tls(std::vector<std::string> client_alpn, std::vector<std::string> server_alpn) {
    TlsOptions client = testing::client_options();
    TlsOptions server = testing::server_options();
    client.alpn = std::move(client_alpn);
    server.alpn = std::move(server_alpn);
    bench.pool_options.tls = *TlsContext::client(client, "");
    bench.server_options.tls = *TlsContext::server(server, true);
    bench.start();
  }
  HttpBench bench{Protocol::negotiated};
};

TEST_F(TlsTest, NegotiatesHttp2) {
  use_tls({"tulle-h2", "tulle-http/1.1"}, {"tulle-h2", "tulle-http/1.1"});
  Heard& first = bench.ask(bench.post("ping"));
  Heard& second = bench.ask(bench.get());
  bench.settle();
  EXPECT_TRUE(first.ended && second.ended);
  EXPECT_EQ(bench.network.connects, 1);
  EXPECT_EQ(bench.service.heard.at(0).head->version, Version::http2);
}

TEST_F(TlsTest, NegotiatesHttp1AndLearnsThatItDoesNotMultiplex) {
  use_tls({"tulle-h2", "tulle-http/1.1"}, {"tulle-http/1.1"});
  bench.service.script.start = Script::Start::after_end;
  Heard& first = bench.ask(bench.post("ping"));
  Heard& second = bench.ask(bench.post("pong"));
  bench.settle();
  EXPECT_TRUE(first.ended && second.ended);
  EXPECT_EQ(bench.network.connects, 2);
  EXPECT_EQ(bench.service.heard.at(0).head->version, Version::http11);
}

TEST_F(TlsTest, StreamsKnowTheirPeer) {
  class Asking final : public Service {
   public:
    std::unique_ptr<Task> serve(StreamRef stream) override {
      seen = stream->peer() != nullptr ? stream->peer()->spiffe_id : "nobody";
      return nullptr;
    }
    std::string seen;
  } asking;
  use_tls({"h2"}, {"h2"});
  Server server(bench.loop, asking, bench.server_options);
  bench.network.server = &server;
  bench.ask_and_settle(bench.get());
  EXPECT_EQ(asking.seen, testing::kClientId);
  bench.talks.clear();
  bench.pool.reset();
}

TEST_F(TlsTest, HandshakeTimeIsCountedOnItsOwn) {
  use_tls({"h2"}, {"h2"});
  bench.network.mode = PairNetwork::Mode::hold;  // connects, and says nothing
  const Heard& heard = bench.ask_and_settle(bench.get());
  bench.clock.run_for(4s);
  EXPECT_FALSE(heard.failure);
  bench.clock.run_for(2s);
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->code, Code::tls_failed);
  EXPECT_EQ(heard.failure->origin, Origin::upstream);
}

TEST_F(TlsTest, ServerDoesNotWaitForHandshakesForEver) {
  use_tls({"h2"}, {"h2"});
  Recorder silent;
  auto [near, far] = MemoryStream::pair(bench.loop);
  silent.own(std::move(near));
  bench.server->adopt(std::move(far));
  bench.clock.run_for(4s);
  EXPECT_FALSE(silent.ended);
  bench.clock.run_for(2s);
  EXPECT_TRUE(silent.ended);
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(TlsTest, WrongPeerIsAnIdentityMismatch) {
  TlsOptions client = testing::client_options();
  client.peer_sans = {testing::uri_is("spiffe://mesh.test/ns/default/sa/somebody-else")};
  bench.pool_options.tls = *TlsContext::client(client, "");
  bench.server_options.tls = *TlsContext::server(testing::server_options(), true);
  bench.start();
  const Heard& heard = bench.ask_and_settle(bench.get());
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->code, Code::identity_mismatch);
  EXPECT_EQ(bench.service.heard.size(), 0u);
}

TEST_F(TlsTest, OneRecordCarriesTheAnswersOfATurn) {
  use_tls({"h2"}, {"h2"});
  bench.ask_and_settle(bench.get());
  std::string sent;
  bench.network.last_far->tap(&sent);
  for (int i = 0; i < 5; ++i) bench.ask(bench.get());
  bench.settle();
  EXPECT_EQ(bench.service.heard.size(), 6u);
  EXPECT_EQ(testing::record_types(sent).size(), 1u);
  bench.network.last_far->tap(nullptr);
}

}  // namespace
}  // namespace tulle
