// How many streams there may be: what the peer allows, and what the numbers of streams allow.

#include <string>

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "core/http/http2_codec.hpp"
#include "core/http/http2_raw_fixture_test.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {

struct Http2Numbers {
  static void continue_at(Codec& client, int32_t id) {
    nghttp2_session_set_next_stream_id(dynamic_cast<Http2Codec&>(client).session_, id);
  }
};

namespace {

TEST(Http2Limit, ThePeersStreamLimitIsHonoured) {
  HttpLimits client;
  HttpLimits server;
  server.max_concurrent_streams = 2;
  Http2Pair pair(client, server);
  EXPECT_EQ(pair.client->stream_limit(), 100u);  // before its SETTINGS
  pair.pump();
  EXPECT_EQ(pair.client->stream_limit(), 2u);
  StreamRef one = pair.request("GET", "/1");
  StreamRef two = pair.request("GET", "/2");
  EXPECT_EQ(pair.open(), nullptr);
  pair.pump();
  Http2Pair::respond(*pair.take(), 200);
  pair.accepted.clear();
  pair.pump();
  EXPECT_NE(pair.open(), nullptr);
}

// The server allows so many from now on, of which its codec knows nothing: what the client writes then,
// without the acknowledgement.
std::string allow(Http2Pair& pair, uint32_t streams) {
  EXPECT_TRUE(pair.feed(*pair.client, h2::settings({{3, streams}})));
  const std::string written = pair.written(*pair.client);
  EXPECT_TRUE(written.starts_with(h2::settings_ack()));
  return written.substr(std::min(written.size(), h2::settings_ack().size()));
}

TEST(Http2Limit, LoweredToNothingWhileRequestsWait) {
  Http2Pair pair;
  pair.pump();
  StreamRef running = pair.request("GET", "/running");
  pair.pump();
  StreamRef opened = pair.open();            // its head comes later
  StreamRef waits = pair.request("GET", "/waits");
  EXPECT_EQ(allow(pair, 0), "") << "what the peer does not allow is not sent";
  EXPECT_EQ(pair.client->stream_limit(), 0u);
  EXPECT_EQ(pair.open(), nullptr);
  Http2Pair::respond(*pair.take(), 200, "well");
  pair.pump();
  ASSERT_NE(running->head(), nullptr);
  EXPECT_EQ(all_of(*running), "well");
  EXPECT_FALSE(waits->failure());
  opened.reset();  // and one may give up

  ASSERT_TRUE(pair.feed(*pair.server, allow(pair, 1)));
  pair.pump();
  ASSERT_EQ(pair.accepted.size(), 1u);
  EXPECT_EQ(pair.accepted[0]->head()->path, "/waits");
  Http2Pair::respond(*pair.take(), 200);
  pair.pump();
  ASSERT_NE(waits->head(), nullptr);
  EXPECT_EQ(waits->head()->status, 200);
}

TEST(Http2Limit, RequestsThatWaitForItAreSafeToRepeatWhenThePeerGoes) {
  Http2Pair pair;
  pair.pump();
  StreamRef waits = pair.request("GET", "/");
  EXPECT_EQ(allow(pair, 0), "");
  ASSERT_TRUE(pair.feed(*pair.client, h2::goaway(0, 0)));
  pair.written(*pair.client);
  ASSERT_NE(waits->failure(), nullptr);
  EXPECT_EQ(waits->failure()->code, Code::refused_stream);
  EXPECT_TRUE(waits->untouched());
  waits.reset();
  pair.written(*pair.client);
  pair.client->end_of_input(std::nullopt);
  EXPECT_EQ(pair.client->open_streams(), 0u);
}

TEST(Http2Limit, NumbersOfStreamsRunOut) {
  Http2Pair pair;
  pair.pump();
  Http2Numbers::continue_at(*pair.client, INT32_MAX - 6);
  int served = 0;
  while (StreamRef up = pair.request("GET", "/")) {
    pair.pump();
    ASSERT_EQ(pair.accepted.size(), 1u);
    Http2Pair::respond(*pair.take(), 200);
    pair.pump();
    ASSERT_NE(up->head(), nullptr);
    EXPECT_EQ(up->head()->status, 200);
    ASSERT_LE(++served, 4);
  }
  EXPECT_EQ(served, 4) << "the last number is used";
  EXPECT_EQ(pair.client->stream_limit(), 0u);
  pair.pump();
  EXPECT_TRUE(pair.client->finished());
}

TEST(Http2Limit, NumbersAreCountedBeforeHeadsAreSent) {
  Http2Pair pair;
  pair.pump();
  Http2Numbers::continue_at(*pair.client, INT32_MAX - 6);
  std::vector<StreamRef> opened;
  while (StreamRef up = pair.request("GET", "/")) opened.push_back(std::move(up));
  EXPECT_EQ(opened.size(), 4u);
  pair.pump();
  EXPECT_EQ(pair.accepted.size(), 4u);
  while (StreamRef down = pair.take()) Http2Pair::respond(*down, 200);
  pair.pump();
  for (const StreamRef& up : opened) EXPECT_EQ(up->head()->status, 200);
  opened.clear();
  pair.pump();
  EXPECT_TRUE(pair.client->finished());
}

TEST(Http2Limit, StreamsOpenedTooEarlyForTheLimitWaitOrAreRefused) {
  HttpLimits client;
  HttpLimits server;
  server.max_concurrent_streams = 2;
  Http2Pair pair(client, server);
  std::vector<StreamRef> ups;
  for (int i = 0; i < 5; ++i) ups.push_back(pair.request("GET", "/"));
  pair.pump();
  size_t refused = 0;
  for (StreamRef& up : ups) {
    if (up->failure() == nullptr) continue;
    ++refused;
    EXPECT_EQ(up->failure()->code, Code::refused_stream);
    EXPECT_TRUE(up->untouched());
  }
  EXPECT_EQ(refused + pair.accepted.size(), 5u);
  EXPECT_EQ(pair.accepted.size(), 2u);
}

}  // namespace
}  // namespace tulle
