// Frames that peers should not send. Each case says what the wire answers and that no handler has
// seen anything of it.
#include <gtest/gtest.h>

#include <string>

#include "core/http/http2_attack_fixture_test.hpp"

namespace tulle {
namespace {

TEST_F(Http2Attack, BrokenFramesEndTheConnection) {
  const std::string open = h2::headers(1, h2::get(), h2::kEndHeaders);
  const std::vector<std::pair<std::string, H2Code>> cases = {
      {h2::frame(h2::kSettings, 0, 0, "12345"), kFrameSizeError},
      {h2::frame(h2::kSettings, h2::kAck, 0, "123456"), kFrameSizeError},
      {h2::frame(h2::kSettings, 0, 1, ""), kProtocolError},
      {h2::settings({{2, 2}}), kProtocolError},
      {h2::settings({{4, 0x80000000}}), kFlowControlError},
      {h2::settings({{5, 100}}), kProtocolError},
      {h2::settings({{5, 1 << 24}}), kProtocolError},
      {h2::settings_ack(), kProtocolError},  // one too many
      {h2::settings(std::vector<std::pair<uint16_t, uint32_t>>(33, {99, 1})), kEnhanceYourCalm},
      {h2::frame(h2::kPing, 0, 0, "1234567"), kFrameSizeError},
      {h2::frame(h2::kPing, 0, 1, "12345678"), kProtocolError},
      {h2::frame(h2::kRstStream, 0, 1, "123"), kFrameSizeError},
      {h2::rst(0, 8), kProtocolError},
      {h2::rst(5, 8), kProtocolError},  // idle
      {h2::frame(h2::kPriority, 0, 1, "1234"), kFrameSizeError},
      {h2::frame(h2::kWindowUpdate, 0, 0, "12345"), kFrameSizeError},
      {h2::window_update(0, 0), kProtocolError},
      {h2::window_update(5, 1), kProtocolError},  // idle
      {h2::window_update(0, 0x7fffffff), kFlowControlError},
      {h2::data(0, "x"), kProtocolError},
      {h2::data(5, "x"), kProtocolError},  // idle
      {h2::data(1, "\x05"
                   "xy",
                h2::kPadded),
       kProtocolError},
      {h2::headers(2, h2::get()), kProtocolError},  // even
      {h2::headers(0, h2::get()), kProtocolError},
      {h2::frame(h2::kContinuation, h2::kEndHeaders, 1, ""), kProtocolError},
      {h2::frame(h2::kPushPromise, h2::kEndHeaders, 1, h2::number(2, 4)), kProtocolError},
      {h2::frame(h2::kGoaway, 0, 1, std::string(8, '\0')), kProtocolError},
      {h2::data(1, std::string(16385, 'x')), kFrameSizeError},
  };
  for (const auto& [bytes, code] : cases) {
    greet();
    EXPECT_TRUE(read(open));
    StreamRef stream(codec_->accept());
    EXPECT_EQ(answer_to(bytes), gone(code)) << testing::PrintToString(bytes.substr(0, 30));
    EXPECT_TRUE(codec_->finished());
    EXPECT_NE(stream->failure(), nullptr);
    EXPECT_EQ(codec_->open_streams(), 0u);
  }
}

TEST_F(Http2Attack, StreamErrorsLeaveTheConnectionAlone) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  EXPECT_EQ(answer_to(h2::window_update(1, 0x7fffffff)), rst(kFlowControlError));
  EXPECT_TRUE(read(h2::headers(3, h2::get())));
  EXPECT_NE(StreamRef(codec_->accept()), nullptr);
}

TEST_F(Http2Attack, FramesAfterTheEnd) {
  EXPECT_TRUE(read(h2::headers(1, h2::get())));
  StreamRef stream(codec_->accept());
  EXPECT_EQ(answer_to(h2::data(1, "x")), gone(kStreamClosed));
}

TEST_F(Http2Attack, LateFramesAfterOurResetAreIgnored) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef(codec_->accept()).reset();
  EXPECT_EQ(answer(), "RST 8");
  EXPECT_EQ(answer_to(h2::data(1, "x") + h2::window_update(1, 5) + h2::headers(1, {{"x", "y"}})),
            "");
  EXPECT_EQ(answer_to(h2::rst(1, 8)), "");
  EXPECT_FALSE(codec_->finished());
}

TEST_F(Http2Attack, NotAPreface) {
  for (std::string_view wrong : {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"}) {
    codec_ = make_http2_codec(Codec::Role::server, limits_, "http");
    EXPECT_FALSE(read(wrong));
    EXPECT_EQ(answer(), gone(kProtocolError));
    EXPECT_TRUE(codec_->finished());
  }
  codec_ = make_http2_codec(Codec::Role::server, limits_, "http");
  EXPECT_EQ(answer_to(std::string(h2::kPreface) + h2::headers(1, h2::get())),
            gone(kProtocolError));  // no SETTINGS
  expect_nothing_reached_a_handler();
}

TEST_F(Http2Attack, SurplusStreamsAreRefused) {
  limits_.max_concurrent_streams = 3;
  codec_ = make_http2_codec(Codec::Role::server, limits_, "http");
  EXPECT_TRUE(read(std::string(h2::kPreface) + h2::settings()));
  sent();
  std::string five;
  for (uint32_t id = 1; id < 10; id += 2) five += h2::headers(id, h2::get());
  EXPECT_TRUE(read(five));  // our SETTINGS are not acknowledged yet
  const auto resets = h2::of_type(sent(), h2::kRstStream);
  ASSERT_EQ(resets.size(), 2u);
  EXPECT_EQ(resets[0].at(0), kRefusedStream);
  std::vector<StreamRef> streams;
  while (Stream* stream = codec_->accept()) streams.emplace_back(stream);
  EXPECT_EQ(streams.size(), 3u);
  EXPECT_TRUE(read(h2::settings_ack() + h2::headers(11, h2::get())));  // and now they are
  const auto surplus = h2::of_type(sent(), h2::kRstStream);
  ASSERT_EQ(surplus.size(), 1u);
  EXPECT_EQ(surplus[0].at(0), kRefusedStream);
  EXPECT_FALSE(codec_->finished());
}

TEST_F(Http2Attack, AStreamNumberCannotBeGoneBackTo) {
  EXPECT_EQ(answer_to(h2::headers(5, h2::get()) + h2::headers(3, h2::get())), gone(kProtocolError));
}

TEST_F(Http2Attack, AHeadOnAStreamThatIsOver) {
  (void)read(h2::headers(1, h2::get()));
  StreamRef stream(codec_->accept());
  ASSERT_NE(stream, nullptr);
  stream->draft().status = 200;
  stream->draft().ended = true;
  stream->send_head();
  sent();
  EXPECT_EQ(answer_to(h2::headers(1, h2::get())), gone(kStreamClosed));
}

// A large head that repeats costs its sender twenty bytes. What all of them hold is bounded.
TEST_F(Http2Attack, HeadsAreBoundedTogether) {
  const std::string get = h2::block(h2::get());
  const std::string large = "\x40" + h2::length_prefix(1) + "x" + h2::length_prefix(4000) +
                            std::string(4000, 'v');
  const uint8_t flags = h2::kEndStream | h2::kEndHeaders;
  ASSERT_TRUE(read(h2::frame(h2::kHeaders, flags, 1, get + large)));
  size_t wire = 4096;
  for (uint32_t id = 3; id < 103; id += 2) {
    const std::string frame = h2::frame(h2::kHeaders, flags, id, get + std::string(14, '\xbe'));
    wire += frame.size();
    ASSERT_TRUE(read(frame));
  }
  std::vector<StreamRef> streams;
  while (Stream* stream = codec_->accept()) streams.emplace_back(stream);
  ASSERT_GE(streams.size(), 3u);
  EXPECT_LE((streams.size() - 1) * 14 * 4000, 128 * 1024 + 17 * wire);
  const auto resets = h2::of_type(sent(), h2::kRstStream);
  EXPECT_EQ(resets.size(), 51 - streams.size());
  EXPECT_EQ(resets.front().at(0), kRefusedStream);
  streams.clear();
  sent();
  ASSERT_TRUE(read(h2::headers(201, h2::get())));  // given back
  EXPECT_NE(StreamRef(codec_->accept()), nullptr);
}

// ---- what is told of it ----------------------------------------------------------------------

TEST_F(Http2Attack, WhatIsRefusedIsToldOnce) {
  const auto told = [&](std::string_view bytes) {
    greet();
    (void)read(bytes);
    sent();
    const std::vector<Refused> all = codec_->take_refused();
    EXPECT_EQ(all.size(), 1u);
    EXPECT_EQ(codec_->accept(), nullptr);
    return all.empty() ? Refused{} : all.front();
  };
  const h2::FieldList get = h2::get();
  EXPECT_EQ(told(h2::headers(1, h2::with(get, "host", "b"))).status, 400);
  EXPECT_EQ(told(h2::headers(1, h2::get("/" + std::string(9000, 'x')))).code,
            Code::uri_too_long);
  EXPECT_EQ(told(h2::headers(1, h2::with(get, "Upper", "b"))).code, Code::protocol_error);
  EXPECT_EQ(told(h2::headers(1, h2::with(get, "x", "a\r\nb"))).code, Code::protocol_error);
  EXPECT_EQ(told(h2::headers(1, without(get, ":path"))).code, Code::protocol_error);
  EXPECT_EQ(told(h2::headers(1, h2::with(get, "content-length", "x"))).code, Code::protocol_error);
  h2::FieldList many = get;
  for (int i = 0; i < 101; ++i) many.emplace_back("x", "y");
  EXPECT_EQ(told(h2::headers(1, many)).code, Code::header_too_large);
  // The connection ends.
  EXPECT_EQ(told(h2::data(1, "x")).code, Code::protocol_error);
  EXPECT_EQ(told(h2::ping("123")).code, Code::protocol_error);
  EXPECT_EQ(told(h2::headers(2, get)).code, Code::protocol_error);
}

TEST_F(Http2Attack, ABodyThatIsNotAsLongAsAnnouncedIsToldOnce) {
  (void)read(h2::headers(1, h2::with(h2::get(), "content-length", "10"), h2::kEndHeaders) +
             h2::data(1, "12345", h2::kEndStream));
  EXPECT_EQ(answer(), rst(kProtocolError));
  EXPECT_EQ(codec_->take_refused().size(), 1u);
  // With a handler it is the handler's to tell.
  (void)read(h2::headers(3, h2::with(h2::get(), "content-length", "10"), h2::kEndHeaders));
  StreamRef stream(codec_->accept());
  ASSERT_NE(stream, nullptr);
  (void)read(h2::data(3, "12345", h2::kEndStream));
  EXPECT_EQ(answer(), rst(kProtocolError));
  EXPECT_NE(stream->failure(), nullptr);
  EXPECT_FALSE(codec_->has_refused());
}

TEST_F(Http2Attack, ARequestThatItsSenderTookBackIsNotRefused) {
  (void)read(h2::headers(1, h2::get(), h2::kEndHeaders) + h2::rst(1, 8));
  sent();
  EXPECT_FALSE(codec_->has_refused());
}

}  // namespace
}  // namespace tulle
