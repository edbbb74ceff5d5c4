// How long a connection waits, and for what.
#include <gtest/gtest.h>

#include "core/base/bytes.hpp"
#include "core/http/connection_fixture_test.hpp"
#include "tests/support/http_bench.hpp"

namespace tulle {
namespace {

using testing::Script;

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

}  // namespace
}  // namespace tulle
