// How connections end: retired, closed, lost, and destroyed in every order.
#include <gtest/gtest.h>

#include "core/base/bytes.hpp"
#include "core/http/connection_fixture_test.hpp"
#include "tests/support/http_bench.hpp"

namespace tulle {
namespace {

using testing::Heard;
using testing::HttpBench;
using testing::PairNetwork;
using testing::Script;

// ---- retiring and closing --------------------------------------------------------------------

TEST_F(RawPeerTest, DrainEndsIdleConnectionsAtOnce) {
  connect();
  say(kGet);
  bench.server->drain();
  bench.settle();
  EXPECT_TRUE(peer.ended_orderly());
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, DrainFinishesWhatRuns) {
  bench.service.script.start = Script::Start::after_end;
  connect();
  say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  bench.server->drain();
  bench.settle();
  EXPECT_FALSE(peer.ended);
  say("cd");
  EXPECT_NE(peer.text.find("connection: close"), std::string::npos) << peer.text;
  EXPECT_TRUE(peer.ended_orderly());
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, DrainEndsConnectionsThatHaveSaidNothing) {
  connect();
  bench.server->drain();
  bench.settle();
  EXPECT_TRUE(peer.ended);
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, CloseAllFailsWhatRuns) {
  bench.service.script.start = Script::Start::after_end;
  connect();
  say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  bench.server->close_all(Code::draining);
  bench.settle();
  EXPECT_TRUE(peer.ended);
  EXPECT_TRUE(bench.server->drained());
  EXPECT_TRUE(bench.service.heard.at(0).failure);
}

TEST_F(RawPeerTest, ResetFailsWhatRuns) {
  bench.service.script.start = Script::Start::after_end;
  connect();
  say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  near_->reset();
  bench.settle();
  EXPECT_TRUE(bench.server->drained());
  ASSERT_TRUE(bench.service.heard.at(0).failure);
  EXPECT_EQ(bench.service.heard.at(0).failure->origin, Origin::downstream);
}

// Half closed is not gone: only an answer that finds nobody shows it.
TEST_F(RawPeerTest, ClientThatHalfClosesAndLeavesIsNoticed) {
  bench.network.wire.capacity = 32 * 1024;
  bench.service.script.body = std::string(4 * 1024 * 1024, 'x');
  connect();
  peer.stream->want_read(false);
  peer.send(kGet);
  peer.stream->shutdown();
  bench.settle();
  EXPECT_FALSE(bench.service.heard.at(0).over);
  peer.stream.reset();
  bench.settle();
  EXPECT_TRUE(bench.server->drained());
  ASSERT_TRUE(bench.service.heard.at(0).failure);
  EXPECT_EQ(bench.service.heard.at(0).failure->code, Code::closed);
}

// Two who both answer while they are asked must not wait for each other.
TEST_F(RawPeerTest, UploadAndAnswerAtOnceDoNotBlockEachOther) {
  bench.network.wire.capacity = 32 * 1024;
  bench.service.script.body = std::string(2 * 1024 * 1024, 'x');
  connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
  peer.stream->want_read(false);
  say(std::string(2000000, 'y'));
  EXPECT_EQ(near_->backlog(), 0u);  // taken, although not a byte of the answer was
  peer.stream->want_read(true);
  bench.settle();
  EXPECT_EQ(count_of(peer.text, "x"), 2u * 1024 * 1024);
}

// The same with queues full on both sides: what waits behind them is looked at without writing.
TEST(ConnectionTest, TwoWhoSayMuchAtOnceBothFinish) {
  for (const Protocol protocol : {Protocol::http1, Protocol::http2}) {
    HttpBench bench(protocol);
    bench.network.wire.capacity = 32 * 1024;
    bench.service.script.body = std::string(4 * 1024 * 1024, 'x');
    bench.start();
    Script upload = bench.post(std::string(4 * 1024 * 1024, 'y'));
    const Heard& heard = bench.ask(upload);
    bench.clock.run_for(10s);
    EXPECT_TRUE(heard.ended);
    EXPECT_EQ(heard.body.size(), 4u * 1024 * 1024);
    EXPECT_EQ(bench.service.heard.at(0).body.size(), 4u * 1024 * 1024);
  }
}

// One stream whose window stays shut is given up; the connection and its other streams go on.
TEST(ConnectionTest, StreamWhoseWindowStaysShutIsCancelled) {
  HttpBench bench(Protocol::http2);
  bench.service.script.body = std::string(4 * 1024 * 1024, 'x');
  bench.start();
  Script greedy = bench.get();
  greedy.read = false;
  const Heard& held = bench.ask_and_settle(greedy);
  bench.clock.run_for(4min);
  EXPECT_FALSE(held.over);
  bench.clock.run_for(7min);
  ASSERT_TRUE(held.failure);
  EXPECT_EQ(held.failure->origin, Origin::upstream);
  ASSERT_TRUE(bench.service.heard.at(0).failure);
  EXPECT_EQ(bench.service.heard.at(0).failure->origin, Origin::downstream);
  EXPECT_TRUE(bench.ask_and_settle(bench.get()).ended);
  EXPECT_EQ(bench.network.connects, 1);
}

// A handler may hold what is left of a broken stream for as long as it likes. The deadline for peers
// that take nothing must not come round at every turn meanwhile.
TEST(ConnectionTest, LostWireHasNoDeadline) {
  class Holder final : public Task {
   public:
    using Task::Task;

   private:
    void run() override {}
  };
  HttpBench bench(Protocol::http1);
  bench.network.mode = PairNetwork::Mode::hold;
  bench.start();
  Holder holder(bench.loop);
  Ticket ticket(holder);
  bench.pool->request(ticket);
  bench.settle();
  ASSERT_TRUE(std::holds_alternative<StreamRef>(ticket.outcome));
  StreamRef stream = std::move(std::get<StreamRef>(ticket.outcome));
  stream->draft() = bench.get().head;
  stream->send_head();
  bench.settle();
  bench.network.held.back()->reset();
  bench.settle();
  ASSERT_NE(stream->failure(), nullptr);

  const uint64_t runs = bench.loop.counters().runs;
  bench.clock.run_for(5min);
  EXPECT_LT(bench.loop.counters().runs - runs, 10u);
  stream.reset();
  bench.settle();
  EXPECT_TRUE(bench.pool->idle());
}

// ---- orders of destruction, for the sanitizer ------------------------------------------------

class Destruction : public ::testing::TestWithParam<Protocol> {
 protected:
  Destruction() : bench(GetParam()) {
    bench.service.script.start = Script::Start::after_end;
    bench.start();
    Script upload = bench.post(std::string(200 * 1024, 'u'));
    upload.start = Script::Start::after_continue;
    for (int i = 0; i < 3; ++i) bench.ask(upload);
    bench.settle();
    EXPECT_EQ(bench.service.heard.size(), 3u);
  }
  void expect_all_failed() {
    for (const Heard& heard : bench.service.heard) EXPECT_TRUE(heard.over);
    bench.settle();
  }
  HttpBench bench;
};

INSTANTIATE_TEST_SUITE_P(Connection, Destruction, ::testing::Values(Protocol::http1, Protocol::http2),
                         [](const auto& instance) {
                           return instance.param == Protocol::http1 ? "http1" : "http2";
                         });

TEST_P(Destruction, ServerFirst) {
  bench.destroy_server();
  expect_all_failed();
}

TEST_P(Destruction, PoolFirst) {
  bench.pool.reset();
  bench.settle();
  expect_all_failed();
}

TEST_P(Destruction, ServerThenPoolInOneGo) {
  bench.destroy_server();
  bench.pool.reset();
  expect_all_failed();
}

TEST_P(Destruction, PoolThenServerInOneGo) {
  bench.pool.reset();
  bench.destroy_server();
  expect_all_failed();
}

TEST_P(Destruction, ClientsThenServerInOneGo) {
  for (const auto& talk : bench.talks) talk->stop();
  bench.destroy_server();
  expect_all_failed();
}

TEST_P(Destruction, ClientsLetGo) {
  for (const auto& talk : bench.talks) talk->stop();
  bench.settle();
  for (const Heard& heard : bench.service.heard) {
    ASSERT_TRUE(heard.failure);
    EXPECT_EQ(heard.failure->origin, Origin::downstream);
  }
  expect_all_failed();
}

TEST_P(Destruction, RequestInTheAirWhenTheServerGoes) {
  bench.ask(bench.get());
  bench.destroy_server();  // before a turn has moved the request
  expect_all_failed();
}

TEST_P(Destruction, StreamsOutliveTheirConnection) {
  bench.clients_first = false;
  bench.server->close_all(Code::draining);
  bench.pool.reset();
  bench.settle();
  EXPECT_TRUE(bench.server->drained());
  expect_all_failed();
}

}  // namespace
}  // namespace tulle
