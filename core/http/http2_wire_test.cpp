// What is on the wire between two codecs: frames, their number, and how fields are compressed.

#include <string>

#include <gtest/gtest.h>

#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

TEST(Http2Wire, ASmallAnswerIsTwoFramesInOneWrite) {
  Http2Pair pair;
  StreamRef warm = pair.request("GET", "/");
  pair.pump();
  Http2Pair::respond(*pair.take(), 200);
  pair.pump();
  StreamRef up = pair.request("GET", "/");
  pair.step();
  Http2Pair::respond(*pair.accepted.back(), 200, std::string(1024, 'b'));
  pair.step();
  const auto sent = h2::frames(pair.last_to_client);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].type, h2::kHeaders);
  EXPECT_EQ(sent[1].type, h2::kData);
  EXPECT_EQ(sent[1].flags, h2::kEndStream);
}

TEST(Http2Wire, AnEmptyFinishedAnswerIsOneFrame) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  down->draft().status = 200;
  down->send_head();
  down->finish();
  pair.step();
  const auto sent = h2::frames(pair.last_to_client);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, h2::kEndHeaders | h2::kEndStream);
}

// gRPC's calls without a message: an implementation waits for the frame that says so.
TEST(Http2Wire, TheEndOfARequestThatCameByItselfGoesByItself) {
  Http2Pair pair;
  StreamRef warm = pair.request("GET", "/");
  pair.pump();
  Http2Pair::respond(*pair.take(), 200);
  pair.pump();
  StreamRef up = pair.request("POST", "/", true);
  up->finish();
  pair.step();
  const auto sent = h2::frames(pair.last_to_server);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].type, h2::kHeaders);
  EXPECT_EQ(sent[0].flags, h2::kEndHeaders);
  EXPECT_EQ(sent[1].type, h2::kData);
  EXPECT_EQ(sent[1].flags, h2::kEndStream);
  EXPECT_EQ(sent[1].payload, "");
}

TEST(Http2Wire, RepeatedHeadsAreIndexed) {
  Http2Pair pair;
  std::vector<StreamRef> kept;
  const auto ask = [&] {
    StreamRef& up = kept.emplace_back(pair.open());
    up->draft().method_text = "GET";
    up->draft().path = "/";
    up->draft().authority = "a.example";
    up->draft().fields.add("user-agent", "a-client-with-a-long-name/1.0");
    up->draft().fields.add("x-tenant", "some-tenant-that-is-always-the-same");
    up->draft().ended = true;
    up->send_head();
    pair.step();
    return pair.last_to_server.size();
  };
  ask();
  ask();
  EXPECT_LE(ask(), 9u + 6u);
}

TEST(Http2Wire, SecretsAreNeverIndexed) {
  Http2Pair pair;
  std::vector<StreamRef> kept;
  const auto ask = [&](FieldId id, std::string_view secret) {
    StreamRef& up = kept.emplace_back(pair.open());
    up->draft().method_text = "GET";
    up->draft().path = "/";
    up->draft().authority = "a";
    up->draft().fields.add(id, secret);
    up->draft().ended = true;
    up->send_head();
    pair.step();
    return pair.last_to_server.size();
  };
  pair.pump();
  for (FieldId id : {FieldId::authorization, FieldId::proxy_authorization}) {
    ask(id, "Bearer abcdefghijklmnopqrstuvwxyz0123456789");
    EXPECT_GE(ask(id, "Bearer abcdefghijklmnopqrstuvwxyz0123456789"), 9u + 30u);
  }
  ask(FieldId::cookie, "sid=0123456789");
  EXPECT_GE(ask(FieldId::cookie, "sid=0123456789"), 9u + 12u);
  ask(FieldId::cookie, "preferences=a-long-cookie-that-is-worth-compressing");
  EXPECT_LE(ask(FieldId::cookie, "preferences=a-long-cookie-that-is-worth-compressing"), 9u + 6u);
}

TEST(Http2Wire, ConnectionFieldsStayHere) {
  Http2Pair pair;
  StreamRef up = pair.open();
  up->draft().method_text = "GET";
  up->draft().path = "/";
  up->draft().authority = "a";
  for (FieldId id : {FieldId::connection, FieldId::keep_alive, FieldId::proxy_connection,
                     FieldId::transfer_encoding, FieldId::upgrade, FieldId::http2_settings,
                     FieldId::host}) {
    up->draft().fields.add(id, "x");
  }
  up->draft().fields.add(FieldId::te, "gzip");
  up->draft().ended = true;
  up->send_head();
  pair.pump();
  StreamRef down = pair.take();
  ASSERT_NE(down, nullptr);
  EXPECT_TRUE(down->head()->fields.empty());
  EXPECT_EQ(down->head()->authority, "a");
}

TEST(Http2Wire, PrefacesSayWhatWeAllow) {
  HttpLimits limits;
  limits.max_concurrent_streams = 7;
  Http2Pair pair(limits);
  const auto entries = [](std::string_view wire) {
    std::vector<std::pair<uint32_t, uint32_t>> out;
    for (const h2::Frame& f : h2::of_type(h2::frames(wire), h2::kSettings)) {
      for (size_t i = 0; i + 6 <= f.payload.size(); i += 6) {
        out.emplace_back(f.at(i) >> 16, f.at(i + 2));
      }
    }
    return out;
  };
  const auto has = [](const auto& list, uint32_t id, uint32_t value) {
    return std::find(list.begin(), list.end(), std::pair{id, value}) != list.end();
  };
  const std::string from_server = pair.written(*pair.server);
  const auto server = entries(from_server);
  EXPECT_TRUE(has(server, 3, 7));             // MAX_CONCURRENT_STREAMS
  EXPECT_TRUE(has(server, 4, 64 * 1024));     // INITIAL_WINDOW_SIZE
  EXPECT_TRUE(has(server, 6, 60 * 1024));     // MAX_HEADER_LIST_SIZE
  EXPECT_TRUE(has(server, 8, 1));             // ENABLE_CONNECT_PROTOCOL
  const auto updates = h2::of_type(h2::frames(from_server), h2::kWindowUpdate);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].at(0), 1024 * 1024 - 65535u);
  const std::string from_client = pair.written(*pair.client);
  EXPECT_TRUE(from_client.starts_with(h2::kPreface));
  EXPECT_TRUE(has(entries(from_client), 2, 0));  // ENABLE_PUSH
}

TEST(Http2Wire, SilenceWhenThereIsNothingToSay) {
  Http2Pair pair;
  pair.pump();
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  EXPECT_FALSE(pair.client->wants_write());
  EXPECT_FALSE(pair.server->wants_write());
  Http2Pair::respond(*down, 200, "x");
  EXPECT_TRUE(pair.server->wants_write());
  pair.step();
  all_of(*up);
  EXPECT_FALSE(pair.client->wants_write());  // a byte taken is no reason for a WINDOW_UPDATE
  EXPECT_FALSE(pair.server->wants_write());
}

TEST(Http2Wire, ABodyThatIsNotAsLongAsItSaidIsReset) {
  for (size_t length : {3u, 6u}) {
    Http2Pair pair;
    StreamRef up = pair.request("GET", "/");
    pair.pump();
    StreamRef down = pair.take();
    down->draft().status = 200;
    down->draft().content_length = 5;
    down->send_head();
    down->send(Bytes(std::string(length, 'x')));
    down->finish();
    pair.pump();
    ASSERT_NE(up->failure(), nullptr);
    EXPECT_EQ(up->failure()->code, Code::upstream_reset);
    ASSERT_NE(down->failure(), nullptr);
    EXPECT_EQ(down->failure()->code, Code::internal);
  }
}

TEST(Http2Wire, ALimitedWriteGoesOnLater) {
  Http2Pair pair;
  pair.write_limit = 1000;
  StreamRef up = pair.request("POST", "/", true);
  size_t left = 60000;
  send_some(*up, left);
  std::string first = pair.written(*pair.client);
  EXPECT_GE(first.size(), 1000u);
  EXPECT_LE(first.size(), 1000u + 16384 + 9);
  EXPECT_TRUE(pair.client->wants_write());
  ASSERT_TRUE(pair.feed(*pair.server, first));
  pair.pump();
  StreamRef down = pair.take();
  EXPECT_EQ(all_of(*down).size(), 60000u);
}

}  // namespace
}  // namespace tulle
