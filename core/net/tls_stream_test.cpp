// Data through TLS: records, pauses, ends, memory, and lives that end early.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/net/timer.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;
using ::testing::HasSubstr;

TEST(TlsStream, SmallWritesOfATurnShareARecord) {
  TlsPair pair;
  pair.open();
  const size_t writes_before = pair.client_wire->writes_sent();
  std::string expected;
  for (int i = 0; i < 10; ++i) {
    const std::string part = "part " + std::to_string(i) + ";";
    pair.client.send(part);
    expected += part;
  }
  pair.settle();
  EXPECT_EQ(record_types(pair.client_sent), std::vector<int>{23});
  EXPECT_EQ(pair.client_wire->writes_sent() - writes_before, 1u);
  EXPECT_EQ(pair.server.text, expected);
  EXPECT_EQ(pair.server.pieces.size(), 1u);
}

TEST(TlsStream, LargeWritesFillRecords) {
  TlsPair pair;
  pair.open();
  const std::string body = pattern(16 * 16384);
  pair.server.send(body);
  pair.settle();
  EXPECT_EQ(pair.client.text, body);
  EXPECT_LE(record_types(pair.server_sent).size(), 18u);
}

TEST(TlsStream, LargeTransfersBothWaysInEverySlicing) {
  const std::string up = pattern(300'000);
  const std::string down = pattern(1'000'001);
  for (const size_t slice : {size_t{7}, size_t{1000}, size_t{16384}, SIZE_MAX}) {
    MemoryStreamOptions wire;
    wire.slice = slice;
    wire.capacity = 40'000;
    TlsPair pair(client_options(), server_options(), true, "", wire);
    pair.client.send(up);
    pair.server.send(down);
    pair.settle();
    EXPECT_TRUE(pair.server.text == up && pair.client.text == down) << slice;
    EXPECT_EQ(pair.client.drains + pair.server.drains, 2) << slice;
  }
}

TEST(TlsStream, SmallRecordsAreHandedOverTogether) {
  TlsPair pair;
  pair.open();
  pair.server_wire->want_read(false);
  for (int i = 0; i < 5; ++i) {
    pair.client.send("0123456789");
    pair.settle();
  }
  EXPECT_EQ(record_types(pair.client_sent).size(), 5u);
  pair.server_wire->want_read(true);
  pair.settle();
  EXPECT_EQ(pair.server.text.size(), 50u);
  EXPECT_EQ(pair.server.pieces.size(), 1u);
}

// A pause in the middle of what has arrived; nothing more comes from the peer, who waits for an
// answer. Everything must be delivered after the resumption all the same.
TEST(TlsStream, ResumedStreamRedeliversWhatItHolds) {
  for (const size_t size : {size_t{100}, size_t{16384}, size_t{200'000}}) {
    TlsPair pair;
    pair.open();
    pair.server.pause_after = 1;
    const std::string body = pattern(size);
    pair.client.send(body);
    pair.settle();
    if (size > 40'000) {
      ASSERT_LT(pair.server.text.size(), size) << "it must have paused in between";
    }
    pair.server.stream->want_read(true);
    pair.settle();
    EXPECT_TRUE(pair.server.text == body) << size;
  }
}

TEST(TlsStream, PausedFromTheStart) {
  TlsPair pair;
  pair.server.stream->want_read(false);
  pair.client.send("hello");
  pair.open();  // the handshake goes on regardless
  EXPECT_EQ(pair.server.text, "");
  pair.server.stream->want_read(true);
  pair.settle();
  EXPECT_EQ(pair.server.text, "hello");
}

TEST(TlsStream, APausedReaderHoldsTheWriterBack) {
  MemoryStreamOptions wire;
  wire.capacity = 64 * 1024;
  TlsPair pair(client_options(), server_options(), true, "", wire);
  pair.open();
  pair.server.stream->want_read(false);
  pair.client.send(pattern(1'000'000));
  pair.settle();
  EXPECT_EQ(pair.server.text, "");
  EXPECT_GT(pair.client.stream->backlog(), 900'000u);
  EXPECT_EQ(pair.client.drains, 0);
  pair.server.stream->want_read(true);
  pair.settle();
  EXPECT_TRUE(pair.server.text == pattern(1'000'000));
  EXPECT_EQ(pair.client.drains, 1);
  EXPECT_EQ(pair.client.stream->backlog(), 0u);
}

// What is written stays at the mark; its records are longer and lie above it. Whoever looks at the
// backlog then waits for on_drain(), and nothing else would ever tell him.
TEST(TlsStream, RecordsThatLiftABacklogOverTheMarkAreToldToDrain) {
  MemoryStreamOptions wire;
  wire.capacity = 1024;
  TlsPair pair(client_options(), server_options(), true, "", wire);
  pair.open();
  pair.server.stream->want_read(false);
  pair.client.send(pattern(8192));
  pair.settle();
  const size_t room = ByteStream::kBacklogMark - pair.client.stream->backlog();
  pair.client.send(pattern(room));
  ASSERT_EQ(pair.client.stream->backlog(), ByteStream::kBacklogMark);
  pair.settle();
  ASSERT_GT(pair.client.stream->backlog(), ByteStream::kBacklogMark);
  EXPECT_EQ(pair.client.drains, 0);
  pair.server.stream->want_read(true);
  pair.settle();
  EXPECT_EQ(pair.server.text.size(), 8192 + room);
  EXPECT_EQ(pair.client.drains, 1);
}

// A wire with a backlog of our choice.
class FullWire final : public ByteStream {
 public:
  explicit FullWire(std::unique_ptr<ByteStream> inner) : inner_(std::move(inner)) {}
  size_t backlog_shown = 0;
  void start(Reader& reader) override { inner_->start(reader); }
  void want_read(bool wanted) override { inner_->want_read(wanted); }
  void write(Bytes&& bytes) override { inner_->write(std::move(bytes)); }
  size_t backlog() const override { return backlog_shown; }
  void shutdown() override { inner_->shutdown(); }
  const Address& peer_address() const override { return inner_->peer_address(); }
  const Address& local_address() const override { return inner_->local_address(); }

 private:
  void finish_detached(Duration) override {}
  void abort_detached() override {}
  std::unique_ptr<ByteStream> inner_;
};

// What lies above the mark while it is written may lie below it when the wire gets it: the wire, which
// was never above, then owes nobody a word about falling further.
TEST(TlsStream, ABacklogThatTheWireDoesNotAnnounceIsToldToDrain) {
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  auto [near, far] = MemoryStream::pair(loop);
  auto wire = std::make_unique<FullWire>(std::move(near));
  FullWire& shown = *wire;
  Recorder client(make_tls_stream(loop, std::move(wire), *TlsContext::client(client_options(), "")));
  Recorder server(make_tls_stream(loop, std::move(far), *TlsContext::server(server_options(), true)));
  ASSERT_TRUE(clock.run_until_quiet());
  ASSERT_TRUE(client.opened);
  shown.backlog_shown = ByteStream::kBacklogMark - 1000;
  client.send(pattern(8192));
  ASSERT_GT(client.stream->backlog(), ByteStream::kBacklogMark);
  ASSERT_TRUE(clock.run_until_quiet());
  EXPECT_EQ(client.drains, 1);
}

TEST(TlsStream, PauseAndResumeInTheSameTurn) {
  TlsPair pair;
  pair.open();
  pair.server.pause_after = 1;
  pair.client.send(pattern(100'000));
  pair.settle();
  pair.server.stream->want_read(true);
  pair.server.stream->want_read(false);
  pair.server.stream->want_read(true);
  pair.settle();
  EXPECT_TRUE(pair.server.text == pattern(100'000));
}

TEST(TlsStream, OrderlyEndIsHalfAnEnd) {
  TlsPair pair;
  pair.open();
  pair.client.send("last words");
  pair.client.stream->shutdown();
  pair.settle();
  EXPECT_EQ(pair.server.text, "last words");
  EXPECT_TRUE(pair.server.ended_orderly());
  EXPECT_FALSE(pair.client.ended);
  pair.server.send("answer");
  pair.server.stream->shutdown();
  pair.settle();
  EXPECT_EQ(pair.client.text, "answer");
  EXPECT_TRUE(pair.client.ended_orderly());
}

TEST(TlsStream, ShutdownBeforeTheHandshakeIsDone) {
  TlsPair pair;
  pair.client.send("only this");
  pair.client.stream->shutdown();
  pair.settle();
  EXPECT_EQ(pair.server.text, "only this");
  EXPECT_TRUE(pair.server.ended_orderly());
}

TEST(TlsStream, AnOrderlyEndWaitsForAPausedReader) {
  TlsPair pair;
  pair.open();
  pair.server.stream->want_read(false);
  pair.client.send("data");
  pair.client.stream->shutdown();
  pair.settle();
  EXPECT_FALSE(pair.server.ended);
  pair.server.stream->want_read(true);
  pair.settle();
  EXPECT_EQ(pair.server.text, "data");
  EXPECT_TRUE(pair.server.ended_orderly());
}

TEST(TlsStream, EndWithoutCloseNotifyIsTruncation) {
  for (const bool paused : {false, true}) {
    TlsPair pair;
    pair.open();
    pair.client.send("half a mess");
    if (paused)
      pair.server.stream->want_read(false);
    pair.settle();
    pair.client_wire->shutdown();  // below TLS
    pair.settle();
    if (paused) {
      EXPECT_FALSE(pair.server.ended);
      pair.server.stream->want_read(true);
      pair.settle();
    }
    EXPECT_EQ(pair.server.text, "half a mess");
    ASSERT_TRUE(pair.server.why.has_value());
    EXPECT_EQ(pair.server.why->code, Code::closed);
    EXPECT_THAT(pair.server.detail(), HasSubstr("truncated"));
  }
}

TEST(TlsStream, TruncationInsideARecord) {
  TlsPair pair;
  pair.open();
  pair.client.send("x");
  pair.settle();
  pair.client_wire->write(Bytes(ByteView("\x17\x03\x03\x00\x50half", 9)));
  pair.client_wire->shutdown();
  pair.settle();
  EXPECT_EQ(pair.server.text, "x");
  EXPECT_THAT(pair.server.detail(), HasSubstr("truncated"));
}

TEST(TlsStream, DestroyingTheStreamWithoutFinishTruncates) {
  TlsPair pair;
  pair.open();
  pair.client.stream.reset();
  pair.settle();
  EXPECT_EQ(pair.server.why->code, Code::closed);
}

TEST(TlsStream, FinishSendsEverythingAndCloseNotify) {
  TlsPair pair;
  pair.open();
  const std::string body = pattern(700'000);
  pair.client.send(body);
  ByteStream::finish(std::move(pair.client.stream), 5s);
  pair.settle();
  EXPECT_TRUE(pair.server.text == body);
  EXPECT_TRUE(pair.server.ended_orderly());
  pair.server.send("into the void");
  pair.settle();
}

TEST(TlsStream, FinishDuringTheHandshake) {
  for (int steps = 0; steps < 12; ++steps) {
    TlsPair pair;
    for (int i = 0; i < steps; ++i)
      pair.clock.step();
    ByteStream::finish(std::move(pair.client.stream), 5s);
    pair.settle();
    EXPECT_TRUE(pair.server.ended);
  }
}

TEST(TlsStream, ResetIsTheInnerStreamsError) {
  for (const bool paused : {false, true}) {
    TlsPair pair;
    pair.open();
    if (paused)
      pair.server.stream->want_read(false);
    pair.settle();
    pair.client_wire->reset();
    pair.settle();
    ASSERT_TRUE(pair.server.why.has_value()) << paused;
    EXPECT_EQ(pair.server.why->code, Code::io_error);
    EXPECT_EQ(pair.client.why->code, Code::io_error);
    pair.client.send("ignored");
    pair.client.stream->shutdown();
    pair.settle();
  }
}

TEST(TlsStream, DamagedRecordEndsTheConnectionOnBothSides) {
  TlsPair pair;
  pair.open();
  pair.client.send("good");
  pair.settle();
  std::string forged("\x17\x03\x03\x00\x20", 5);
  forged += std::string(32, 'z');
  pair.client_wire->write(Bytes(forged));
  pair.settle();
  EXPECT_EQ(pair.server.text, "good");
  EXPECT_EQ(pair.server.why->code, Code::tls_failed);
  EXPECT_EQ(pair.client.detail(), "peer ended TLS with the alert: bad record mac");
}

// In TLS 1.3 a client is done before the server has judged it. The refusal arrives as an alert even
// when the server destroys its stream at once and unread request bytes lie in its way.
TEST(TlsStream, ARefusalReachesAClientThatWasAlreadyOpen) {
  TlsOptions stranger = tls_options(other_ca().issue_spiffe(kClientId));
  stranger.peer_sans = {uri_is(kServerId)};
  TlsPair pair(stranger);
  pair.client.send(pattern(100'000));
  ASSERT_TRUE(pair.clock.run_while_not([&] { return pair.server.ended; }));
  pair.server.stream.reset();
  pair.settle();
  EXPECT_TRUE(pair.client.opened);
  EXPECT_EQ(pair.client.why->code, Code::tls_failed);
  EXPECT_EQ(pair.client.detail(), "peer refused our certificate: unknown ca");
}

TEST(TlsStream, DestroyedInEveryState) {
  for (const bool the_client : {true, false}) {
    for (int steps = 0; steps < 40; ++steps) {
      TlsPair pair;
      pair.client.send(pattern(40'000));
      pair.server.send(pattern(40'000));
      for (int i = 0; i < steps; ++i)
        pair.clock.step();
      Recorder& victim = the_client ? pair.client : pair.server;
      const Recorder& other = the_client ? pair.server : pair.client;
      const size_t heard = victim.text.size();
      victim.stream.reset();
      pair.settle();
      EXPECT_EQ(victim.text.size(), heard);
      EXPECT_TRUE(other.ended);
    }
  }
}

TEST(TlsStream, HandedOverToAnotherReader) {
  TlsPair pair;
  pair.open();
  pair.client.send("for the first");
  pair.settle();
  Recorder second;
  pair.server.stream->start(second);
  pair.client.send("for the second");
  pair.settle();
  EXPECT_EQ(pair.server.text, "for the first");
  EXPECT_TRUE(second.opened);
  EXPECT_EQ(second.text, "for the second");
  pair.client.stream->shutdown();
  pair.settle();
  EXPECT_TRUE(second.ended_orderly());
  Recorder third;
  pair.server.stream->start(third);
  pair.settle();
  EXPECT_TRUE(third.opened && third.ended_orderly());
}

TEST(TlsStream, TlsInsideTls) {
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  auto [near, far] = MemoryStream::pair(loop);
  auto client_context = *TlsContext::client(client_options(), "");
  auto server_context = *TlsContext::server(server_options(), true);
  Recorder client(make_tls_stream(loop, make_tls_stream(loop, std::move(near), client_context),
                                  client_context));
  Recorder server(
      make_tls_stream(loop, make_tls_stream(loop, std::move(far), server_context), server_context));
  const std::string body = pattern(500'000);
  client.send(body);
  EXPECT_TRUE(clock.run_until_quiet());
  EXPECT_TRUE(server.text == body);
  server.send("back");
  EXPECT_TRUE(clock.run_until_quiet());
  EXPECT_EQ(client.text, "back");
}

TEST(TlsStream, IdleStreamsWakeNobody) {
  TlsPair pair;
  pair.open();
  const uint64_t before = pair.loop.counters().runs;
  pair.clock.run_for(std::chrono::hours(1));
  EXPECT_LE(pair.loop.counters().runs - before, 1u);
}

TEST(TlsStream, PeerThatLeavesAfterItsOrderlyEndIsNoticedByWriting) {
  TlsPair pair;
  pair.open();
  pair.client.stream->shutdown();
  pair.settle();
  EXPECT_TRUE(pair.server.ended_orderly());
  pair.server.send("still heard");
  pair.settle();
  EXPECT_EQ(pair.client.text, "still heard");
  EXPECT_FALSE(pair.server.lost);
  pair.client.stream.reset();
  pair.settle();
  pair.server.send("not heard any more");
  pair.settle();
  EXPECT_TRUE(pair.server.lost);
}

}  // namespace
}  // namespace tulle
