#include "core/http/opaque_client.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tulle {
namespace {

struct Opaque : ::testing::Test {
  HttpLimits limits;
  std::unique_ptr<Codec> codec = make_opaque_client(limits);
  Instant now{1'000'000'000};
  StreamRef stream;

  ~Opaque() override { stream.reset(); }
  void open() {
    stream.reset(codec->open());
    ASSERT_NE(stream, nullptr);
    stream->draft().method = Method::connect;
    stream->draft().method_text = "CONNECT";
    stream->draft().authority = "db:5432";
    stream->send_head();
  }
  std::string flush() {
    Bytes wire;
    codec->write(wire, 1 << 20);
    return wire.to_string();
  }
  void feed(std::string_view bytes) { EXPECT_TRUE(codec->read(bytes, now).has_value()); }
  std::string received() { return stream->receive(SIZE_MAX).to_string(); }
};

TEST_F(Opaque, TheConnectionItselfIsTheAnswer) {
  open();
  EXPECT_EQ(flush(), "") << "a head is nothing for the wire";
  ASSERT_NE(stream->head(), nullptr);
  EXPECT_EQ(stream->head()->status, 200);
  feed("220 ready\r\n");
  stream->send(Bytes("EHLO\r\n"));
  EXPECT_EQ(received(), "220 ready\r\n");
  EXPECT_EQ(flush(), "EHLO\r\n");
  EXPECT_EQ(codec->stream_limit(), 0u) << "one tunnel, never another";
}

TEST_F(Opaque, WhatTheServerSaysFirstIsKept) {
  feed("220 ready\r\n");
  EXPECT_FALSE(codec->wants_read());
  open();
  flush();
  EXPECT_EQ(received(), "220 ready\r\n");
  EXPECT_TRUE(codec->wants_read());
}

TEST_F(Opaque, EachDirectionEndsByItself) {
  for (const bool ours_first : {true, false}) {
    codec = make_opaque_client(limits);
    open();
    flush();
    const auto end_ours = [&] {
      stream->send(Bytes("last"));
      stream->finish();
      EXPECT_EQ(flush(), "last");
      EXPECT_TRUE(stream->departed());
    };
    if (ours_first) {
      end_ours();
      EXPECT_TRUE(codec->output_ended());
      EXPECT_FALSE(codec->finished());
      feed("and theirs");
    } else {
      feed("and theirs");
    }
    codec->end_of_input(std::nullopt);
    EXPECT_EQ(received(), "and theirs");
    EXPECT_TRUE(stream->ended());
    if (!ours_first) {
      EXPECT_FALSE(codec->finished());
      end_ours();
    }
    flush();
    EXPECT_TRUE(codec->finished());
    EXPECT_TRUE(codec->owes_output());
    EXPECT_EQ(stream->failure(), nullptr);
    stream.reset();
  }
}

TEST_F(Opaque, ItReadsNoFurtherThanThereIsRoom) {
  open();
  flush();
  feed(std::string(limits.stream_inbound, 'a'));
  EXPECT_TRUE(codec->wants_read());
  feed("b");
  EXPECT_FALSE(codec->wants_read());
  codec->end_of_input(std::nullopt);
  EXPECT_FALSE(stream->arrived()) << "the end comes behind everything before it";
  EXPECT_EQ(received().size(), limits.stream_inbound);
  flush();
  EXPECT_EQ(received(), "b");
  EXPECT_TRUE(stream->ended());
}

TEST_F(Opaque, LossAndCancellationEndIt) {
  open();
  flush();
  codec->end_of_input(Error{Code::closed, Origin::upstream, "reset"});
  ASSERT_NE(stream->failure(), nullptr);
  EXPECT_EQ(stream->failure()->code, Code::upstream_reset);
  EXPECT_TRUE(codec->finished());
  stream.reset();

  codec = make_opaque_client(limits);
  open();
  flush();
  stream.reset();
  flush();
  EXPECT_TRUE(codec->finished());
  EXPECT_FALSE(codec->owes_output());
}

TEST_F(Opaque, UnusedItEndsWhenItIsRetiredOrIdle) {
  codec->retire();
  EXPECT_TRUE(codec->finished());
  codec = make_opaque_client(limits);
  EXPECT_EQ(codec->waiting(), Codec::Waiting::idle);
  codec->timed_out(Codec::Waiting::idle);
  EXPECT_TRUE(codec->finished());
  EXPECT_EQ(codec->open(), nullptr);
}

}  // namespace
}  // namespace tulle
