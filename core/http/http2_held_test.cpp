// What waits for a peer's windows is bounded by what the peer has taken, and nobody who reads waits
// because others do not.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/net/simulated_engine.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

constexpr size_t kQueue = 64 * 1024;  // HttpLimits::stream_outbound
constexpr size_t kLeast = 1024;
constexpr uint16_t kInitialWindow = 4;

// A server codec whose peer is played by hand. Its answers are endless.
class Http2Held : public testing::Test {
 protected:
  void begin(uint32_t window) {
    read(std::string(h2::kPreface) + h2::settings({{kInitialWindow, window}}));
    write();
  }
  void read(std::string_view bytes) { ASSERT_TRUE(codec_->read(bytes, now_).has_value()); }
  std::vector<h2::Frame> write() {
    Bytes wire;
    codec_->write(wire, SIZE_MAX / 2);
    return h2::frames(wire.to_string());
  }
  size_t written_bodies() {
    size_t size = 0;
    for (const auto& frame : h2::of_type(write(), h2::kData)) size += frame.payload.size();
    return size;
  }
  // So many requests in one piece; their handlers run when all are here.
  void ask(int count) {
    std::string requests;
    for (int i = 0; i < count; ++i, next_id_ += 2) requests += h2::headers(next_id_, h2::get());
    read(requests);
    while (Stream* stream = codec_->accept()) {
      streams_.emplace_back(stream);
      stream->draft().status = 200;
      stream->send_head();
    }
  }
  void fill() {
    for (const StreamRef& stream : streams_) fill(*stream);
  }
  static size_t fill(Stream& stream) {
    size_t size = 0;
    while (const size_t room = stream.room()) {
      stream.send(Bytes(std::string(room, 'x')));
      size += room;
    }
    return size;
  }
  size_t held() const {
    size_t size = 0;
    for (const StreamRef& stream : streams_) size += stream->departing_body().size();
    return size;
  }
  // Everybody sends all they may until nothing moves.
  size_t exhaust() {
    size_t sent = 0;
    for (;;) {
      fill();
      const size_t more = written_bodies();
      if (more == 0) return sent;
      sent += more;
    }
  }

  const HttpLimits limits_;
  Instant now_{1};
  std::unique_ptr<Codec> codec_ = make_http2_codec(Codec::Role::server, limits_, "http");
  std::vector<StreamRef> streams_;
  uint32_t next_id_ = 1;
};

TEST_F(Http2Held, AnOpenWindowGetsAFullQueue) {
  begin(65535);
  ask(1);
  EXPECT_FALSE(streams_[0]->shut());
  EXPECT_FALSE(streams_[0]->narrow());
  EXPECT_EQ(fill(*streams_[0]), kQueue);
  EXPECT_EQ(written_bodies(), 65535u);
  EXPECT_EQ(fill(*streams_[0]), kQueue - 1) << "it has taken as much: its next window will not wait";
}

TEST_F(Http2Held, StreamsThatMayNotSendHoldNextToNothing) {
  begin(0);
  ask(100);
  EXPECT_EQ(exhaust(), 0u);
  for (const StreamRef& stream : streams_) {
    EXPECT_TRUE(stream->narrow() && stream->shut());
    EXPECT_EQ(stream->departing_body().size(), kLeast);
  }
}

TEST_F(Http2Held, AConnectionWindowIsSharedByItsStreams) {
  begin(0x7fffffff);
  ask(100);
  EXPECT_EQ(exhaust(), 65535u);  // the window of the connection
  EXPECT_LE(held(), 4 * 65535u + 100 * kLeast);
}

TEST_F(Http2Held, AllStreamsTogetherHoldWhatThePeerHasTaken) {
  begin(65535);
  read(h2::window_update(0, 0x7fffffff - 65535));
  ask(100);
  EXPECT_EQ(exhaust(), 100 * 65535u);
  EXPECT_LE(held(), 4 * limits_.connection_window);
}

TEST_F(Http2Held, AWindowThatOpensIsFilledAtOnceWhateverOthersHold) {
  begin(0);
  read(h2::window_update(0, 0x7fffffff - 65535));
  ask(100);
  exhaust();
  Stream& reader = *streams_[50];
  size_t taken = 0;
  for (int i = 0; i < 20; ++i) {
    read(h2::window_update(101, 65535));
    size_t sent = written_bodies();
    for (int turn = 0; turn < 3; ++turn) {
      fill(reader);
      sent += written_bodies();
    }
    EXPECT_EQ(sent, 65535u) << "the whole window, in a few turns";
    taken += sent;
  }
  EXPECT_EQ(taken, 20 * 65535u);
  EXPECT_GE(reader.outbound_limit(), 10 * kLeast) << "its share of what has been taken";
}

TEST_F(Http2Held, WindowsThatShutLaterAreToldToTheHandlers) {
  begin(65535);
  read(h2::window_update(0, 0x7fffffff - 65535));
  ask(100);
  EXPECT_FALSE(streams_[0]->narrow());
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  struct Handler final : Task {
    using Task::Task;
    void run() override { ++runs; }
    int runs = 0;
  } handler(loop);
  streams_[0]->set_owner(&handler);
  read(h2::settings({{kInitialWindow, 0}}));
  EXPECT_EQ(streams_[0]->outbound_limit(), kLeast);
  ASSERT_TRUE(clock.run_until_quiet());
  EXPECT_EQ(handler.runs, 1) << "what it fetches is for it to limit";
  exhaust();
  EXPECT_LE(held(), 100 * kLeast);
  streams_[0]->set_owner(nullptr);
}

TEST_F(Http2Held, ShortAnswersOfOurOwnNeedNoRoom) {
  begin(0);
  ask(1);
  streams_[0]->send(Bytes(std::string(3000, 'x')));
  streams_[0]->finish();
  EXPECT_EQ(written_bodies(), 0u);
  read(h2::window_update(1, 5000));
  EXPECT_EQ(written_bodies(), 3000u);
}

// An answer that is complete before its request leaves a number behind, and nothing else.
TEST_F(Http2Held, WhatIsAnsweredIsLetGoWhileThePeerGoesOn) {
  begin(65535);
  read(h2::headers(1, h2::get(), h2::kEndHeaders));
  {
    const StreamRef stream(codec_->accept());
    Http2Pair::respond(*stream, 503, "no");
  }
  EXPECT_EQ(written_bodies(), 2u);
  EXPECT_EQ(codec_->open_streams(), 1u) << "the peer has not ended it";
  EXPECT_EQ(codec_->dirty().alive, 0u);
  read(h2::data(1, "more"));
  read(h2::headers(1, {{"x-trailer", "1"}}));
  EXPECT_EQ(codec_->open_streams(), 0u);
  EXPECT_TRUE(h2::of_type(write(), h2::kGoaway).empty());
}

TEST_F(Http2Held, TrailersThatAreHalfHereAreLetGoAsWell) {
  const std::string trailers = h2::headers(1, {{"x-one", "1"}, {"x-two", "2"}});
  for (size_t cut = 1; cut < trailers.size(); ++cut) {
    codec_ = make_http2_codec(Codec::Role::server, limits_, "http");
    begin(65535);
    read(h2::headers(1, h2::get(), h2::kEndHeaders));
    StreamRef stream(codec_->accept());
    read(trailers.substr(0, cut));
    Http2Pair::respond(*stream, 503, "no");
    stream.reset();
    EXPECT_EQ(written_bodies(), 2u);
    read(trailers.substr(cut));
    EXPECT_EQ(codec_->open_streams(), 0u);
    EXPECT_TRUE(h2::of_type(write(), h2::kGoaway).empty());
  }
}

}  // namespace
}  // namespace tulle
