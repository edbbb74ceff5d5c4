// TLS over real sockets: what only a kernel can do to it.
#include <gtest/gtest.h>

#include <list>

#include "core/net/test_loop.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;

class TlsListener final : public Task {
 public:
  TlsListener(TestLoop& test, std::shared_ptr<const TlsContext> context)
      : Task(test.loop), context_(std::move(context)) {
    acceptor = std::move(*test.network->listen(*Address::parse("127.0.0.1", 0), {}, *this));
  }
  std::unique_ptr<Acceptor> acceptor;
  std::list<Recorder> accepted;

 private:
  void run() override {
    while (auto stream = acceptor->accept()) {
      accepted.emplace_back(make_tls_stream(loop_, std::move(stream), context_));
    }
  }
  const std::shared_ptr<const TlsContext> context_;
};

TEST(TlsTcp, CarriesBytesBothWays) {
  TestLoop test;
  TlsListener listener(test, *TlsContext::server(server_options(), true));
  const auto context = *TlsContext::client(client_options(), "");
  const std::string body = pattern(5'000'000);
  Recorder client(make_tls_stream(
      test.loop, test.network->connect(listener.acceptor->local_address()), context));
  client.send(body);
  ASSERT_TRUE(test.run_until([&] {
    return !listener.accepted.empty() && listener.accepted.front().text.size() == body.size();
  }));
  Recorder& server = listener.accepted.front();
  EXPECT_TRUE(server.text == body);
  server.send(body);
  server.stream->shutdown();
  ASSERT_TRUE(test.run_until([&] { return client.ended; }));
  EXPECT_TRUE(client.text == body && client.ended_orderly());
  ByteStream::finish(std::move(client.stream), 1s);
  ASSERT_TRUE(test.run_until([&] { return server.ended; }));
  EXPECT_TRUE(server.ended_orderly()) << server.detail();
}

TEST(TlsTcp, NobodyListensIsTheInnerError) {
  TestLoop test;
  Address nobody;
  {
    TlsListener listener(test, *TlsContext::server(server_options(), true));
    nobody = listener.acceptor->local_address();
  }
  Recorder client(make_tls_stream(test.loop, test.network->connect(nobody),
                                  *TlsContext::client(client_options(), "")));
  ASSERT_TRUE(test.run_until([&] { return client.ended; }));
  EXPECT_EQ(client.why->code, Code::connect_failed);
}

// The refused client has sent a request that nobody reads. Closing the socket over it would turn
// the alert into a reset, and the client would not learn why.
TEST(TlsTcp, RefusedClientsReadTheReasonAndNotAReset) {
  TlsOptions stranger = tls_options(other_ca().issue_spiffe(kClientId));
  stranger.peer_sans = {uri_is(kServerId)};
  const auto context = *TlsContext::client(stranger, "");
  TestLoop test;
  TlsListener listener(test, *TlsContext::server(server_options(), true));
  for (int i = 0; i < 20; ++i) {
    Recorder client(make_tls_stream(
        test.loop, test.network->connect(listener.acceptor->local_address()), context));
    client.send(pattern(200'000));
    ASSERT_TRUE(test.run_until([&] {
      if (!listener.accepted.empty() && listener.accepted.front().ended)
        listener.accepted.clear();
      return client.ended;
    }));
    EXPECT_EQ(client.detail(), "peer refused our certificate: unknown ca");
  }
}

}  // namespace
}  // namespace tulle
