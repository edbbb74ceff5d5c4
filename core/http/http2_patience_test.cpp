// Peers that let us wait: the codec is told what time it is, and the wire shows what it does about it.

#include <string>

#include <gtest/gtest.h>

#include "core/http/http2_codec.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

using Passing = Http2Codec::Passing;

Http2Codec& http2(const std::unique_ptr<Codec>& codec) { return static_cast<Http2Codec&>(*codec); }

std::vector<h2::Frame> frames_of(const Http2Pair& pair, Codec& codec, uint8_t type) {
  return h2::of_type(h2::frames(pair.written(codec)), type);
}

// A client with one request on the wire, in front of a server that says nothing by itself.
struct Asking : Http2Pair {
  StreamRef up;
  Http2Codec& codec = http2(client);

  Asking() {
    pump();
    up = request("GET", "/");
    (void)written(*client);
  }
  Passing at(Duration after, bool owes = false) {
    return codec.time_passes(now + after, owes);
  }
  void hear(std::string_view bytes, Duration after) {
    EXPECT_TRUE(client->read(bytes, now + after).has_value());
  }
};

TEST(Http2Patience, AnEarlyAnswerIsReadBeforeTheUploadIsStopped) {
  Http2Pair pair;
  StreamRef up = pair.request("POST", "/", true);
  size_t left = 1 << 20;
  send_some(*up, left);
  pair.pump();
  StreamRef down = pair.take();
  Http2Pair::respond(*down, 413, "too much");
  pair.step();
  down.reset();
  pair.pump();  // what was queued goes, into nothing; the client has not finished
  EXPECT_EQ(up->head()->status, 413);
  EXPECT_EQ(all_of(*up), "too much");
  EXPECT_TRUE(up->ended());
  EXPECT_FALSE(up->departed());
  Http2Codec& server = http2(pair.server);
  const Duration look = HttpLimits{}.linger / 2;
  EXPECT_EQ(server.deadline(pair.now), pair.now + look);
  EXPECT_EQ(server.time_passes(pair.now + look, false), Passing::wrote);
  EXPECT_EQ(frames_of(pair, *pair.server, h2::kRstStream).size(), 0u);
  EXPECT_EQ(server.deadline(pair.now + look), pair.now + 2 * look);
  EXPECT_EQ(server.time_passes(pair.now + 2 * look, false), Passing::wrote);
  const std::string wire = pair.written(*pair.server);
  const auto resets = h2::of_type(h2::frames(wire), h2::kRstStream);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].at(0), 0u);  // NO_ERROR, because the answer is complete
  ASSERT_TRUE(pair.feed(*pair.client, wire).has_value());
  pair.pump();
  EXPECT_EQ(up->failure(), nullptr);
  EXPECT_TRUE(up->departed());
  EXPECT_EQ(pair.client->open_streams(), 0u);
  EXPECT_EQ(pair.server->open_streams(), 0u);
}

TEST(Http2Patience, RefusedUploadsAreNoAttack) {
  Http2Pair pair;
  for (int i = 0; i < 2000; ++i) {
    StreamRef up = pair.request("POST", "/", true);
    ASSERT_NE(up, nullptr);
    pair.step();
    StreamRef down = pair.take();
    ASSERT_NE(down, nullptr) << i;
    Http2Pair::respond(*down, 403);
    down.reset();
    pair.step();
    up.reset();  // CANCEL, behind a complete answer
    pair.pump();
  }
  EXPECT_FALSE(pair.server->finished());
  EXPECT_FALSE(pair.client->finished());
}

TEST(Http2Patience, NobodyIsAskedWithoutAStream) {
  Http2Pair pair;
  pair.pump();
  EXPECT_EQ(http2(pair.client).deadline(pair.now), kNever);
  EXPECT_EQ(http2(pair.client).time_passes(pair.now + 1h, false), Passing::nothing);
  EXPECT_EQ(pair.written(*pair.client), "");
}

TEST(Http2Patience, SilenceBeginsWithTheFirstStream) {
  Asking pair;
  EXPECT_EQ(pair.codec.deadline(pair.now + 1min), pair.now + 1min + 15s);
}

TEST(Http2Patience, ASilentPeerIsAskedOnceAndGivenUp) {
  Asking pair;
  EXPECT_EQ(pair.codec.deadline(pair.now), pair.now + 15s);
  EXPECT_EQ(pair.at(14s), Passing::nothing);
  EXPECT_EQ(pair.at(15s), Passing::wrote);
  EXPECT_EQ(frames_of(pair, *pair.client, h2::kPing).size(), 1u);
  EXPECT_EQ(pair.codec.deadline(pair.now + 15s), pair.now + 35s);
  EXPECT_EQ(pair.at(34s), Passing::nothing);
  EXPECT_EQ(pair.at(35s), Passing::lost);
}

TEST(Http2Patience, WhatIsOwedMustBeTakenFirst) {
  Asking pair;
  (void)pair.codec.deadline(pair.now);
  EXPECT_EQ(pair.at(15s, true), Passing::nothing);
  EXPECT_EQ(pair.codec.deadline(pair.now + 15s), pair.now + 30s);
  EXPECT_EQ(pair.at(30s), Passing::wrote);
  EXPECT_EQ(pair.at(50s, true), Passing::nothing);
}

// What a gRPC server allows: one ping in five minutes, or one for every message it has sent.
TEST(Http2Patience, ASlowPeerIsNotAskedAgainForFiveMinutes) {
  Asking pair;
  (void)pair.codec.deadline(pair.now);
  EXPECT_EQ(pair.at(15s), Passing::wrote);
  (void)pair.written(*pair.client);
  pair.hear(h2::ping("tulle-up", h2::kAck), 16s);
  EXPECT_EQ(pair.codec.deadline(pair.now + 16s), pair.now + 15s + 5min + 10s);
  EXPECT_EQ(pair.at(5min), Passing::nothing);
  EXPECT_EQ(pair.written(*pair.client), "");
  EXPECT_EQ(pair.at(15s + 5min + 10s), Passing::wrote);
  EXPECT_EQ(frames_of(pair, *pair.client, h2::kPing).size(), 1u);
}

TEST(Http2Patience, APeerThatHasSentAMessageMayBeAskedAgain) {
  Asking pair;
  (void)pair.codec.deadline(pair.now);
  EXPECT_EQ(pair.at(15s), Passing::wrote);
  (void)pair.written(*pair.client);
  const std::string early = h2::headers(1, {{":status", "103"}}, h2::kEndHeaders);
  pair.hear(early, 16s);  // it may have left before the probe arrived
  pair.hear(h2::ping("tulle-up", h2::kAck), 17s);
  EXPECT_EQ(pair.codec.deadline(pair.now + 17s), pair.now + 15s + 5min + 10s);
  pair.hear(early, 18s);
  EXPECT_EQ(pair.codec.deadline(pair.now + 18s), pair.now + 33s);
  EXPECT_EQ(pair.at(33s), Passing::wrote);
}

TEST(Http2Patience, AClientMayPauseForFiveMinutes) {
  Http2Pair pair;
  Http2Codec& server = http2(pair.server);
  StreamRef up = pair.request("GET", "/");
  pair.step();
  ASSERT_FALSE(pair.accepted.empty());
  EXPECT_EQ(server.deadline(pair.now), pair.now + 5min);
}

}  // namespace
}  // namespace tulle
