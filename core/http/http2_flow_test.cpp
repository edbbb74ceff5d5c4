// Flow control: windows follow the reader, one slow reader holds up nobody else, and what a peer
// may make us hold is bounded.

#include <string>

#include <gtest/gtest.h>

#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

struct Upload {
  StreamRef up;
  StreamRef down;
  size_t left;

  Upload(Http2Pair& pair, size_t size) : up(pair.request("POST", "/", true)), left(size) {
    pair.pump();
    down = pair.take();
  }
  void go(Http2Pair& pair) {
    for (int i = 0; i < 64; ++i) {
      if (!up->finished()) send_some(*up, left);
      if (!pair.step()) return;
    }
  }
};

TEST(Http2Flow, AReaderThatTakesNothingStopsThePeerAtTheWindow) {
  Http2Pair pair;
  Upload one(pair, 1 << 20);
  one.go(pair);
  EXPECT_EQ(one.down->readable(), 64u * 1024);
  EXPECT_EQ(one.up->room(), 0u);
  EXPECT_FALSE(pair.client->wants_write());
}

TEST(Http2Flow, TakingBytesReopensTheWindow) {
  Http2Pair pair;
  Upload one(pair, 1 << 20);
  one.go(pair);
  EXPECT_EQ(one.down->receive(10).size(), 10u);  // far from half the window: nothing is said
  EXPECT_FALSE(pair.server->wants_write());
  one.go(pair);
  EXPECT_EQ(one.down->readable(), 64u * 1024 - 10);
  EXPECT_EQ(one.down->receive(40000).size(), 40000u);
  one.go(pair);
  EXPECT_EQ(one.down->readable(), 64u * 1024);
}

TEST(Http2Flow, ASlowReaderHoldsUpNobodyElse) {
  Http2Pair pair;
  std::vector<Upload> stuck;
  for (int i = 0; i < 40; ++i) stuck.emplace_back(pair, 1 << 20);  // above the connection window
  for (Upload& one : stuck) one.go(pair);
  for (Upload& one : stuck) EXPECT_EQ(one.down->readable(), 64u * 1024);
  Upload quick(pair, 300000);
  size_t got = 0;
  for (int i = 0; i < 100 && !quick.down->ended(); ++i) {
    quick.go(pair);
    got += all_of(*quick.down).size();
  }
  EXPECT_EQ(got, 300000u);
  EXPECT_TRUE(quick.down->ended());
}

TEST(Http2Flow, TheWindowGrowsWhileTheReaderKeepsUp) {
  Http2Pair pair;
  Upload one(pair, 64 << 20);
  for (int i = 0; i < 20; ++i) {
    one.go(pair);
    all_of(*one.down);
    pair.now = pair.now + 1ms;
  }
  one.go(pair);
  EXPECT_EQ(one.down->readable(), 1u << 20);  // stream_window_max, and not more
}

TEST(Http2Flow, TheWindowStaysSmallForASlowPeer) {
  Http2Pair pair;
  Upload one(pair, 8 << 20);
  for (int i = 0; i < 40; ++i) {
    one.go(pair);
    pair.now = pair.now + 1s;
    one.go(pair);
    all_of(*one.down);
  }
  one.go(pair);
  EXPECT_EQ(one.down->readable(), 64u * 1024);
}

TEST(Http2Flow, TheWindowNeverGrowsBeyondItsLimit) {
  HttpLimits limits;
  limits.stream_window_max = limits.stream_window;
  Http2Pair pair(limits);
  Upload one(pair, 8 << 20);
  for (int i = 0; i < 20; ++i) {
    one.go(pair);
    all_of(*one.down);
  }
  one.go(pair);
  EXPECT_EQ(one.down->readable(), 64u * 1024);
}

TEST(Http2Flow, DownloadsAreTheSame) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  down->draft().status = 200;
  down->send_head();
  size_t left = 4 << 20;
  size_t got = 0;
  for (int i = 0; i < 1000 && !up->ended(); ++i) {
    if (!down->finished()) send_some(*down, left);
    pair.step();
    got += all_of(*up).size();
  }
  EXPECT_EQ(got, 4u << 20);
  EXPECT_TRUE(up->ended());
}

TEST(Http2Flow, WindowUpdatesAreFew) {
  Http2Pair pair;
  Upload one(pair, 4 << 20);
  size_t updates = 0;
  size_t got = 0;
  for (int i = 0; i < 10000 && !one.down->ended(); ++i) {
    if (!one.up->finished()) send_some(*one.up, one.left);
    pair.step();
    updates += h2::of_type(h2::frames(pair.last_to_client), h2::kWindowUpdate).size();
    got += all_of(*one.down).size();
  }
  EXPECT_EQ(got, 4u << 20);
  EXPECT_LT(updates, 64u);  // 4 MiB in halves of 64 KiB would be 128 for the stream alone
}

TEST(Http2Flow, StreamsTakeTurns) {
  Http2Pair pair;
  Upload one(pair, 60000);
  Upload two(pair, 60000);
  send_some(*one.up, one.left);
  send_some(*two.up, two.left);
  std::vector<uint32_t> order;
  for (const h2::Frame& f : h2::frames(pair.written(*pair.client))) order.push_back(f.stream);
  ASSERT_GE(order.size(), 8u);
  size_t switches = 0;
  for (size_t i = 1; i < order.size(); ++i) switches += order[i] != order[i - 1];
  EXPECT_GE(switches, 4u);
}

TEST(Http2Flow, AFullQueueGivesRoomAgainAsItDeparts) {
  Http2Pair pair;
  StreamRef up = pair.request("POST", "/", true);
  EXPECT_EQ(up->room(), 64u * 1024);
  up->send(Bytes(std::string(64 * 1024, 'x')));
  EXPECT_EQ(up->room(), 0u);
  pair.step();
  EXPECT_GE(up->room(), 60u * 1024);  // the first window is 65535 until the server's SETTINGS
}

// ---- against frames made by hand -------------------------------------------------------------

class Http2RawFlow : public testing::Test {
 protected:
  Http2RawFlow() : codec_(make_http2_codec(Codec::Role::server, limits_, "http")) {
    EXPECT_TRUE(read(std::string(h2::kPreface) + h2::settings()));
    write();
    EXPECT_TRUE(read(h2::settings_ack()));
  }
  bool read(std::string_view bytes) { return codec_->read(bytes, Instant{1}).has_value(); }
  std::vector<h2::Frame> write(size_t limit = SIZE_MAX / 2) {
    Bytes wire;
    codec_->write(wire, limit);
    return h2::frames(wire.to_string());
  }
  HttpLimits limits_;
  std::unique_ptr<Codec> codec_;
};

TEST_F(Http2RawFlow, PaddingIsAccountedExactly) {
  read(h2::headers(1, h2::get(), h2::kEndHeaders));
  StreamRef stream(codec_->accept());
  // 256 bytes of window a frame, one byte of payload; nobody takes the payload.
  std::string padded = std::string(1, '\xfe') + "y" + std::string(254, '\0');
  size_t granted = 65535 + 1;
  size_t connection = 1024 * 1024;
  size_t used = 0;
  for (int i = 0; i < 10000; ++i) {
    if (used + padded.size() > granted) break;
    ASSERT_TRUE(read(h2::data(1, padded, h2::kPadded)));
    used += padded.size();
    for (const h2::Frame& f : h2::of_type(write(), h2::kWindowUpdate)) {
      (f.stream == 0 ? connection : granted) += f.at(0);
    }
  }
  EXPECT_EQ(stream->readable(), 10000u);
  EXPECT_EQ(used, 2'560'000u);
  EXPECT_GE(connection, used);
  EXPECT_EQ(stream->failure(), nullptr);
  // What is open now is the window less the 10000 bytes that nobody has taken, up to the part
  // that is not worth an update yet.
  EXPECT_LE(granted - used, 65536u - 10000u);
  EXPECT_GE(granted - used, 65536u / 2 - 10000u);
}

TEST_F(Http2RawFlow, DataBeyondTheStreamWindowResetsTheStream) {
  read(h2::headers(1, h2::get(), h2::kEndHeaders));
  StreamRef stream(codec_->accept());
  const std::string sixteen(16384, 'x');
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(read(h2::data(1, sixteen)));
  EXPECT_TRUE(read(h2::data(1, "x")));
  const auto resets = h2::of_type(write(), h2::kRstStream);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].at(0), 3u);  // FLOW_CONTROL_ERROR
  ASSERT_NE(stream->failure(), nullptr);
  EXPECT_EQ(stream->failure()->code, Code::protocol_error);
  EXPECT_EQ(stream->failure()->origin, Origin::downstream);
}

TEST_F(Http2RawFlow, ANegativeWindowIsHonoured) {
  read(h2::headers(1, h2::get()));
  StreamRef stream(codec_->accept());
  stream->draft().status = 200;
  stream->send_head();
  stream->send(Bytes(std::string(60000, 'x')));
  size_t sent = 0;
  for (const auto& f : h2::of_type(write(), h2::kData)) sent += f.payload.size();
  EXPECT_EQ(sent, 60000u);
  read(h2::settings({{4, 0}}));  // INITIAL_WINDOW_SIZE 0: the window is now -60000
  stream->send(Bytes(std::string(1000, 'y')));
  EXPECT_TRUE(h2::of_type(write(), h2::kData).empty());
  read(h2::window_update(1, 60000));
  EXPECT_TRUE(h2::of_type(write(), h2::kData).empty());
  read(h2::window_update(1, 10));
  const auto ten = h2::of_type(write(), h2::kData);
  ASSERT_EQ(ten.size(), 1u);
  EXPECT_EQ(ten[0].payload, std::string(10, 'y'));
  read(h2::settings({{4, 0x7fffffff}}) + h2::settings({{4, 0}}) + h2::settings({{4, 65535}}));
  sent = 0;
  for (const auto& f : h2::of_type(write(), h2::kData)) sent += f.payload.size();
  EXPECT_EQ(sent, 990u);
}

TEST_F(Http2RawFlow, SettingsAreAcknowledgedWithTheNextOutput) {
  read(h2::settings({{4, 100000}}));
  const auto sent = h2::of_type(write(), h2::kSettings);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, h2::kAck);
}

TEST_F(Http2RawFlow, AWindowOfOneByteIsEnough) {
  read(h2::settings({{4, 1}}));
  read(h2::headers(1, h2::get()));
  StreamRef stream(codec_->accept());
  stream->draft().status = 200;
  stream->send_head();
  stream->send(Bytes("abc"));
  stream->finish();
  std::string got;
  for (int i = 0; i < 3; ++i) {
    for (const auto& f : h2::of_type(write(), h2::kData)) {
      got += f.payload;
      EXPECT_EQ(f.flags == h2::kEndStream, got.size() == 3);
    }
    read(h2::window_update(1, 1));
  }
  EXPECT_EQ(got, "abc");
}

}  // namespace
}  // namespace tulle
