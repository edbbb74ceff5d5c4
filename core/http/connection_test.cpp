#include "core/http/connection.hpp"

#include <gtest/gtest.h>

#include "core/base/bytes.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http_bench.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using testing::Heard;
using testing::HttpBench;
using testing::PairNetwork;
using testing::Recorder;
using testing::Script;

constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// A server and somebody who speaks to it in bytes.
class RawPeerTest : public ::testing::Test {
 protected:
  void connect() {
    if (bench.server == nullptr) bench.start();
    auto [near, far] = MemoryStream::pair(bench.loop, bench.network.wire);
    near_ = near.get();
    server_wire_ = far.get();
    peer.own(std::move(near));
    bench.server->adopt(std::move(far));
    bench.settle();
  }
  void say(ByteView bytes) {
    peer.send(bytes);
    bench.settle();
  }
  size_t served() const { return bench.service.heard.size(); }

  HttpBench bench{Protocol::negotiated};
  Recorder peer;
  MemoryStream* near_ = nullptr;
  MemoryStream* server_wire_ = nullptr;
};

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

// ---- deadlines -------------------------------------------------------------------------------

TEST_F(RawPeerTest, HeadMustArriveInTimeHoweverItDrips) {
  connect();
  const std::string request = kGet;
  for (size_t i = 0; i < 12 && !peer.ended; ++i) {
    peer.send({&request[i], 1});
    bench.clock.run_for(1s);
  }
  EXPECT_TRUE(peer.ended);
  EXPECT_TRUE(peer.text.starts_with("HTTP/1.1 408")) << peer.text;
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, BodyMayPauseButNotForLong) {
  bench.service.script.start = Script::Start::after_end;
  connect();
  say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  for (int i = 0; i < 4; ++i) {
    bench.clock.run_for(25s);
    say("b");
  }
  EXPECT_FALSE(peer.ended);
  bench.clock.run_for(31s);
  EXPECT_TRUE(peer.ended);
  EXPECT_TRUE(bench.service.heard.at(0).failure.has_value() || !peer.text.empty());
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, IdleConnectionsEnd) {
  connect();
  say(kGet);
  bench.clock.run_for(299s);
  EXPECT_FALSE(peer.ended);
  bench.clock.run_for(2s);
  EXPECT_TRUE(peer.ended_orderly());
}

TEST_F(RawPeerTest, ConnectionsThatNeverSayAnythingEnd) {
  connect();
  bench.clock.run_for(301s);
  EXPECT_TRUE(peer.ended);
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, WorkingHandlersHaveNoDeadline) {
  bench.service.script.start = Script::Start::after_continue;  // nobody says 100: never answers
  bench.service.script.body = "never";
  connect();
  say(kGet);
  bench.clock.run_for(3600s);
  EXPECT_FALSE(peer.ended);
}

TEST_F(RawPeerTest, PeerThatStopsTakingIsCutOff) {
  bench.network.wire.capacity = 16 * 1024;
  bench.service.script.body = std::string(1024 * 1024, 'x');
  connect();
  peer.stream->want_read(false);
  say(kGet);
  bench.clock.run_for(59s);
  EXPECT_FALSE(bench.server->drained());
  bench.clock.run_for(62s);
  EXPECT_TRUE(bench.server->drained());
  ASSERT_TRUE(bench.service.heard.at(0).failure);
  EXPECT_EQ(bench.service.heard.at(0).failure->code, Code::closed);
}

// A byte now and then is not progress; a slow but honest reader is.
TEST_F(RawPeerTest, DripsDoNotCountAsTaking) {
  bench.network.wire.capacity = 16 * 1024;
  bench.service.script.body = std::string(1024 * 1024, 'x');
  connect();
  peer.stream->want_read(false);
  say(kGet);
  for (int second = 0; second < 125 && !bench.server->drained(); ++second) {
    near_->set_slice(1);
    peer.pause_after = peer.text.size() + 1;
    peer.stream->want_read(true);
    bench.clock.run_for(1s);
  }
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, SlowReaderIsNotCutOff) {
  bench.network.wire.capacity = 16 * 1024;
  bench.service.script.body = std::string(300 * 1024, 'x');
  connect();
  peer.stream->want_read(false);
  say(kGet);
  near_->set_slice(1024);
  while (count_of(peer.text, "x") < 300 * 1024) {
    ASSERT_FALSE(bench.server->drained());
    peer.pause_after = peer.text.size() + 4096;
    peer.stream->want_read(true);
    bench.clock.run_for(20s);
  }
}

// The last answer of a connection is worth as much as the others.
TEST_F(RawPeerTest, ClosingWaitsForASlowReader) {
  bench.network.wire.capacity = 16 * 1024;
  bench.service.script.body = std::string(200 * 1024, 'x');
  connect();
  peer.stream->want_read(false);
  say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  near_->set_slice(1024);
  while (!peer.ended) {
    peer.pause_after = peer.text.size() + 4096;
    peer.stream->want_read(true);
    bench.clock.run_for(20s);
  }
  EXPECT_TRUE(peer.ended_orderly());
  EXPECT_EQ(count_of(peer.text, "x"), 200u * 1024);
  EXPECT_TRUE(bench.server->drained());
}

TEST_F(RawPeerTest, ClosingDoesNotWaitForAPeerThatTakesNothing) {
  bench.network.wire.capacity = 16 * 1024;
  bench.service.script.body = std::string(200 * 1024, 'x');
  connect();
  peer.stream->want_read(false);
  say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  bench.clock.run_for(50s);
  EXPECT_FALSE(bench.server->drained());
  bench.clock.run_for(75s);
  EXPECT_TRUE(bench.server->drained());
}

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

// ---- TLS -------------------------------------------------------------------------------------

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
