// Servers that answer what a client cannot use.
#include <gtest/gtest.h>

#include <string>

#include "core/http/http2_attack_fixture_test.hpp"

namespace tulle {
namespace {

class Http2BadServer : public testing::Test {
 protected:
  Http2BadServer() { greet(); }
  void greet() {
    codec_ = make_http2_codec(Codec::Role::client, limits_, "http");
    EXPECT_TRUE(read(h2::settings()));
    sent();
    EXPECT_TRUE(read(h2::settings_ack()));
  }
  StreamRef ask() {
    StreamRef stream(codec_->open());
    stream->draft().method_text = "GET";
    stream->draft().path = "/";
    stream->draft().authority = "a";
    stream->draft().ended = true;
    stream->send_head();
    sent();
    return stream;
  }
  bool read(std::string_view bytes) { return codec_->read(bytes, Instant{1}).has_value(); }
  std::vector<h2::Frame> sent() {
    Bytes wire;
    codec_->write(wire, SIZE_MAX / 2);
    return h2::frames(wire.to_string());
  }
  HttpLimits limits_;
  std::unique_ptr<Codec> codec_;
};

TEST_F(Http2BadServer, UnusableAnswersFailTheStream) {
  h2::FieldList too_many = {{":status", "200"}};
  for (int i = 0; i < 101; ++i) too_many.emplace_back("x", "y");
  const std::vector<std::string> answers = {
      h2::headers(1, {{"x", "y"}}),
      h2::headers(1, {{":status", "200"}, {":status", "200"}}),
      h2::headers(1, {{":status", "101"}}),
      h2::headers(1, {{":status", "099"}}),
      h2::headers(1, {{":status", "999"}}),
      h2::headers(1, {{":status", "20x"}}),
      h2::headers(1, {{":status", "100"}}),  // END_STREAM
      h2::headers(1, {{":status", "200"}, {"connection", "close"}}),
      h2::headers(1, {{":status", "200"}, {"content-length", "5"}}),
      h2::headers(1, {{":status", "200"}, {"x", "a\rb"}}),
      h2::headers(1, {{":status", "200"}, {":path", "/"}}),
      h2::headers(1, too_many),
  };
  for (const std::string& answer : answers) {
    greet();
    StreamRef stream = ask();
    EXPECT_TRUE(read(answer));
    EXPECT_EQ(h2::of_type(sent(), h2::kRstStream).size(), 1u) << testing::PrintToString(answer);
    EXPECT_EQ(stream->head(), nullptr);
    ASSERT_NE(stream->failure(), nullptr);
    EXPECT_EQ(stream->failure()->origin, Origin::upstream);
    EXPECT_FALSE(stream->untouched());
  }
}

TEST_F(Http2BadServer, ABodyOfAnotherLengthIsNoAnswer) {
  StreamRef stream = ask();
  EXPECT_TRUE(read(h2::headers(1, {{":status", "200"}, {"content-length", "5"}}, h2::kEndHeaders) +
                   h2::data(1, "four", h2::kEndStream)));
  sent();
  EXPECT_FALSE(stream->arrived());
  ASSERT_NE(stream->failure(), nullptr);
  EXPECT_EQ(stream->failure()->code, Code::upstream_protocol_error);
}

TEST_F(Http2BadServer, DataBeforeTheHead) {
  StreamRef stream = ask();
  (void)read(h2::data(1, "x"));
  EXPECT_EQ(h2::of_type(sent(), h2::kGoaway).size(), 1u);
  EXPECT_NE(stream->failure(), nullptr);
}

TEST_F(Http2BadServer, AnEndlessRowOfInterimHeads) {
  StreamRef stream = ask();
  size_t count = 0;
  while (count < 100000 && read(h2::headers(1, {{":status", "103"}}, h2::kEndHeaders))) ++count;
  EXPECT_LE(count, 1000u);
  EXPECT_EQ(h2::of_type(sent(), h2::kGoaway).at(0).at(4), kEnhanceYourCalm);
  ASSERT_NE(stream->failure(), nullptr);
  EXPECT_EQ(stream->failure()->code, Code::upstream_protocol_error);
}

TEST_F(Http2BadServer, PushIsRefused) {
  StreamRef stream = ask();
  (void)read(h2::frame(h2::kPushPromise, h2::kEndHeaders, 1,
                       h2::number(2, 4) + h2::block(h2::get())));
  EXPECT_EQ(h2::of_type(sent(), h2::kGoaway).at(0).at(4), kProtocolError);
  EXPECT_NE(stream->failure(), nullptr);
}

TEST_F(Http2BadServer, ExtendedConnectNeedsItsSetting) {
  StreamRef stream(codec_->open());
  stream->draft().method_text = "GET";
  stream->draft().path = "/";
  stream->draft().authority = "a";
  stream->draft().protocol = "websocket";
  stream->send_head();
  EXPECT_TRUE(sent().empty());
  ASSERT_NE(stream->failure(), nullptr);
  EXPECT_EQ(stream->failure()->code, Code::not_implemented);
}

TEST_F(Http2BadServer, HpackGarbage) {
  StreamRef stream = ask();
  (void)read(h2::frame(h2::kHeaders, h2::kEndHeaders, 1, "\xff\xff\x03"));
  EXPECT_EQ(h2::of_type(sent(), h2::kGoaway).at(0).at(4), kCompressionError);
  ASSERT_NE(stream->failure(), nullptr);
  EXPECT_EQ(stream->failure()->code, Code::upstream_protocol_error);
  EXPECT_TRUE(codec_->finished());
}

}  // namespace
}  // namespace tulle
