// How a connection finds its protocol, what a turn costs, and back-pressure.
#include "core/http/connection.hpp"

#include <gtest/gtest.h>

#include "core/base/bytes.hpp"
#include "core/http/connection_fixture_test.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http_bench.hpp"

namespace tulle {
namespace {

using testing::Recorder;
using testing::Script;

// ---- the protocol is recognised --------------------------------------------------------------

std::string http2_hello() { return std::string(h2::kPreface) + h2::frame(h2::kSettings, 0, 0, ""); }

TEST_F(RawPeerTest, PrefaceIsRecognisedHoweverItIsCut) {
  connect();
  for (const char byte : h2::kPreface) {
    EXPECT_TRUE(peer.text.empty());
    say({&byte, 1});
  }
  ASSERT_GT(peer.text.size(), 9u);
  EXPECT_EQ(peer.text[3], h2::kSettings);
}

TEST_F(RawPeerTest, PrefaceIsRecognisedAtOnce) {
  connect();
  say(http2_hello());
  ASSERT_GT(peer.text.size(), 9u);
  EXPECT_EQ(peer.text[3], h2::kSettings);
}

TEST_F(RawPeerTest, MethodsThatBeginLikeThePrefaceAreHttp1) {
  connect();
  for (const ByteView part : {"PR", "I", "ME / HTTP/1.1\r\nHost: a\r\n\r\n"}) say(part);
  EXPECT_TRUE(peer.text.starts_with("HTTP/1.1 ")) << peer.text;
}

TEST_F(RawPeerTest, PartOfAPrefaceMustBecomeWholeInTime) {
  connect();
  say("PRI * HT");
  bench.clock.run_for(9s);
  EXPECT_FALSE(peer.ended);
  bench.clock.run_for(2s);
  EXPECT_TRUE(peer.ended);
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, DeclaredHttp1DoesNotSniff) {
  bench.server_options.protocol = Protocol::http1;
  connect();
  say(http2_hello());
  EXPECT_TRUE(peer.text.starts_with("HTTP/1.1 ")) << peer.text;
}

// ---- turns -----------------------------------------------------------------------------------

TEST_F(RawPeerTest, RequestCostsOneWriteAndTwoRuns) {
  connect();
  say(kGet);
  const Loop::Counters before = bench.loop.counters();
  const size_t writes = server_wire_->writes_sent();
  say(kGet);
  EXPECT_EQ(served(), 2u);
  EXPECT_EQ(server_wire_->writes_sent() - writes, 1u);
  EXPECT_EQ(bench.service.heard.back().runs, 2);  // serves; and learns that all has departed
  // Those two, the connection's (accepting), and the two ends of the memory stream.
  EXPECT_LE(bench.loop.counters().runs - before.runs, 6u);
}

TEST_F(RawPeerTest, PipelinedRequestsAreAnsweredInOrderAndTogether) {
  connect();
  const size_t writes = server_wire_->writes_sent();
  say(std::string(kGet) + kGet + kGet);
  EXPECT_EQ(served(), 3u);
  EXPECT_EQ(count_of(peer.text, "HTTP/1.1 200"), 3u);
  EXPECT_EQ(server_wire_->writes_sent() - writes, 1u);
}

TEST_F(RawPeerTest, HalfClosedClientStillGetsItsAnswer) {
  connect();
  peer.send(kGet);
  peer.stream->shutdown();
  bench.settle();
  EXPECT_EQ(count_of(peer.text, "hello"), 1u);
  EXPECT_TRUE(peer.ended_orderly());
  EXPECT_TRUE(bench.server->drained());
}

// A caller that announced more requests and closed its side is taken to be gone after a while ...
TEST_F(RawPeerTest, HalfClosedClientThatWaitsForLongIsGone) {
  bench.service.script.start = Script::Start::after_end;
  bench.service.script.read = false;
  connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
  peer.stream->shutdown();
  bench.settle();
  bench.clock.run_for(1900ms);
  EXPECT_FALSE(bench.service.heard.at(0).over);
  bench.clock.run_for(200ms);
  ASSERT_TRUE(bench.service.heard.at(0).failure);
  EXPECT_EQ(bench.service.heard.at(0).failure->code, Code::closed);
  EXPECT_EQ(bench.service.heard.at(0).failure->origin, Origin::downstream);
  EXPECT_TRUE(bench.service.refusals.empty());
  EXPECT_TRUE(bench.server->drained());
}

// ... and one that announced that this is its last is not.
TEST_F(RawPeerTest, HalfClosedClientThatSaidSoMayWaitForLong) {
  bench.service.script.start = Script::Start::after_end;
  bench.service.script.read = false;
  connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
  peer.stream->shutdown();
  bench.settle();
  bench.clock.run_for(60s);
  EXPECT_FALSE(bench.service.heard.at(0).over);
  near_->reset();
  bench.settle();
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, WhatIsRefusedIsToldOnce) {
  bench.start();
  const auto told = [&](std::string_view bytes) {
    bench.service.refusals.clear();
    auto [near, far] = MemoryStream::pair(bench.loop, bench.network.wire);
    Recorder caller;
    caller.own(std::move(near));
    bench.server->adopt(std::move(far));
    bench.settle();
    caller.send(bytes);
    bench.settle();
    EXPECT_TRUE(caller.ended_orderly());
    EXPECT_EQ(bench.service.refusals.size(), 1u);
    return bench.service.refusals.empty() ? Refused{} : bench.service.refusals.front();
  };
  EXPECT_EQ(told("GET / HTTP/1.1\r\n\r\n").status, 400);
  EXPECT_EQ(told("GET / HTTP/3.0\r\nHost: a\r\n\r\n").code, Code::version_not_supported);
  EXPECT_EQ(told("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n").why, "invalid Host");
  EXPECT_EQ(served(), 0u);
}

TEST_F(RawPeerTest, ARequestThatIsRefusedBehindAnotherIsToldToo) {
  connect();
  say(std::string(kGet) + "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(served(), 1u);
  EXPECT_EQ(bench.service.refusals.size(), 1u);
}

TEST_F(RawPeerTest, AHeadThatIsTooLateIsToldOnce) {
  connect();
  say("GET / HTTP/1.1\r\nHo");
  bench.clock.run_for(11s);
  EXPECT_TRUE(peer.ended);
  ASSERT_EQ(bench.service.refusals.size(), 1u);
  EXPECT_EQ(bench.service.refusals[0].code, Code::request_timeout);
  EXPECT_EQ(bench.service.refusals[0].status, 408);
}

// Whoever has the stream tells of its end.
TEST_F(RawPeerTest, ABodyThatGoesWrongUnderItsHandlerIsNotToldTwice) {
  connect();
  say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  say("zz\r\n");
  EXPECT_TRUE(bench.service.refusals.empty());
  ASSERT_TRUE(bench.service.heard.at(0).failure);
}

TEST_F(RawPeerTest, BadRequestIsAnsweredAndTheConnectionEnds) {
  connect();
  say("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n");
  EXPECT_TRUE(peer.text.starts_with("HTTP/1.1 400")) << peer.text;
  EXPECT_TRUE(peer.ended_orderly());
  EXPECT_TRUE(bench.server->drained());
  EXPECT_EQ(served(), 0u);
}

// HTTP/1.0 knows the end of a body of unknown length by the end of the connection alone.
TEST_F(RawPeerTest, ABodyUpToTheEndThatBreaksOffEndsWithAReset) {
  bench.service.script.body = std::string(200 * 1024, 'x');
  bench.service.script.announce_length = false;
  bench.service.script.reset_after = 150 * 1024;
  connect();
  say("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(peer.ended);
  EXPECT_FALSE(peer.ended_orderly());
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, ABodyUpToTheEndThatIsCompleteEndsOrderly) {
  bench.service.script.body = std::string(200 * 1024, 'x');
  bench.service.script.announce_length = false;
  connect();
  say("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  EXPECT_EQ(count_of(peer.text, "x"), 200u * 1024);
  EXPECT_TRUE(peer.ended_orderly());
}

// ---- back-pressure ---------------------------------------------------------------------------

TEST_F(RawPeerTest, SlowReaderStopsTheServiceNotTheServer) {
  bench.network.wire.capacity = 32 * 1024;
  bench.service.script.body = std::string(4 * 1024 * 1024, 'x');
  connect();
  peer.stream->want_read(false);
  say(kGet);
  EXPECT_LE(server_wire_->backlog(), 512u * 1024);
  EXPECT_GT(server_wire_->backlog(), 0u);
  EXPECT_LE(chunk_pool_stats().bytes_in_use, 3u * 1024 * 1024);
  peer.stream->want_read(true);
  bench.settle();
  EXPECT_EQ(count_of(peer.text, "x"), 4u * 1024 * 1024);
}

// Thirty bytes that ask for much must not make us hold much of it.
TEST_F(RawPeerTest, WhoTakesNothingIsOwedWhatOneTurnBrought) {
  bench.network.wire.capacity = 32 * 1024;
  bench.service.script.body = std::string(4 * 1024 * 1024, 'x');
  connect();
  const size_t idle = chunk_pool_stats().bytes_in_use;
  peer.stream->want_read(false);
  say(kGet);
  const size_t turn = server_wire_->backlog();
  EXPECT_GT(turn, 0u);
  EXPECT_LE(chunk_pool_stats().bytes_in_use - idle, turn + 32 * 1024 + 24 * 1024);
  // It takes a little, and a little more: the backlog has to go before anything is added.
  for (int i = 0; i < 20; ++i) {
    peer.pause_after = peer.text.size() + 8 * 1024;
    peer.stream->want_read(true);
    bench.settle();
    EXPECT_LE(server_wire_->backlog(), turn);
  }
  peer.pause_after = 0;
  peer.stream->want_read(true);
  bench.settle();
  EXPECT_EQ(count_of(peer.text, "x"), 4u * 1024 * 1024);
}

// Memory may be short, or a deadline over: the handler's word counts, whether the peer reads or not.
TEST(ConnectionTest, CancellingCountsWhileThePeerTakesNothing) {
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  struct Endless final : Service, Task {
    using Task::Task;
    std::unique_ptr<Task> serve(StreamRef given) override {
      stream = std::move(given);
      stream->set_owner(this);
      stream->draft().status = 200;
      stream->send_head();
      wake();
      return std::make_unique<Parked>(loop(), over);
    }
    void run() override {
      if (stream == nullptr) return;
      while (const size_t room = stream->room()) stream->send(Bytes(std::string(room, 'x')));
    }
    struct Parked final : Task {
      Parked(Loop& loop, bool& over) : Task(loop), over_(over) {}
      ~Parked() override { over_ = true; }
      void run() override {}
      bool& over_;
    };
    StreamRef stream;
    bool over = false;
  } service(loop);
  Server server(loop, service, {});
  auto [near, far] = MemoryStream::pair(loop, {.capacity = 32 * 1024});
  const MemoryStream& wire = *far;
  Recorder peer(std::move(near));
  peer.stream->want_read(false);
  server.adopt(std::move(far));
  peer.send(kGet);
  clock.run_for(1ms);
  ASSERT_GT(wire.backlog(), 0u);
  ASSERT_EQ(service.stream->room(), 0u);
  service.stream.reset();
  clock.run_for(1ms);
  EXPECT_TRUE(service.over);
  peer.stream->want_read(true);
  clock.run_for(1s);
  EXPECT_TRUE(peer.ended);
  EXPECT_TRUE(server.drained());
}

TEST_F(RawPeerTest, PipelinedAnswersWaitForAPeerThatTakesNothing) {
  bench.network.wire.capacity = 1024;
  bench.service.script.body = std::string(3000, 'x');
  connect();
  peer.stream->want_read(false);
  std::string requests;
  for (int i = 0; i < 100; ++i) requests += kGet;
  say(requests);
  EXPECT_LE(server_wire_->backlog(), 32u * 1024);
  peer.stream->want_read(true);
  bench.settle();
  EXPECT_EQ(count_of(peer.text, "x"), 100u * 3000);
}

TEST_F(RawPeerTest, ServiceThatDoesNotReadStopsTheClient) {
  bench.network.wire.capacity = 32 * 1024;
  bench.service.script.read = false;
  bench.service.script.start = Script::Start::after_end;  // which never comes
  connect();
  say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
  say(std::string(4000000, 'y'));
  EXPECT_GT(near_->backlog(), 3000000u);
  EXPECT_LE(server_wire_->undelivered(), 64u * 1024);
}

}  // namespace
}  // namespace tulle
