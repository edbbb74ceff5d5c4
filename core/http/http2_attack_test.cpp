// What peers should not do. Frames are made by hand; each case says what the wire answers and that
// no handler has seen anything of it.

#include <string>

#include <gtest/gtest.h>

#include "core/http/http2_codec.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

enum H2Code : uint32_t {
  kProtocolError = 1,
  kFlowControlError = 3,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCompressionError = 9,
  kEnhanceYourCalm = 11,
};

class Http2Attack : public testing::Test {
 protected:
  Http2Attack() { greet(); }

  void greet() {
    codec_ = make_http2_codec(Codec::Role::server, limits_, "http");
    EXPECT_TRUE(read(std::string(h2::kPreface) + h2::settings()));
    sent();
    EXPECT_TRUE(read(h2::settings_ack()));
  }
  bool read(std::string_view bytes) { return codec_->read(bytes, now_).has_value(); }
  std::vector<h2::Frame> sent() {
    Bytes wire;
    codec_->write(wire, SIZE_MAX / 2);
    return h2::frames(wire.to_string());
  }
  // The answer to one stream: "RST n", "GOAWAY n", "STATUS n", or "" for silence.
  std::string answer_to(std::string_view bytes) {
    (void)read(bytes);
    return answer();
  }
  std::string answer() {
    for (const h2::Frame& f : sent()) {
      if (f.type == h2::kGoaway) return "GOAWAY " + std::to_string(f.at(4));
      if (f.type == h2::kRstStream) return "RST " + std::to_string(f.at(0));
      if (f.type == h2::kHeaders) return "STATUS " + status(f);
    }
    return "";
  }
  static std::string status(const h2::Frame& f) {
    if (f.payload.empty()) return "?";
    switch (static_cast<uint8_t>(f.payload[0])) {  // static table
      case 0x88: return "200";
      case 0x8c: return "400";
      case 0x8d: return "404";
      default: return "other";
    }
  }
  void expect_nothing_reached_a_handler() { EXPECT_EQ(codec_->accept(), nullptr); }

  HttpLimits limits_;
  std::unique_ptr<Codec> codec_;
  Instant now_{1};
};

std::string rst(H2Code code) { return "RST " + std::to_string(code); }
std::string gone(H2Code code) { return "GOAWAY " + std::to_string(code); }

h2::FieldList replace(h2::FieldList fields, std::string_view name, std::string value) {
  for (auto& [n, v] : fields) {
    if (n == name) v = std::move(value);
  }
  return fields;
}

h2::FieldList without(h2::FieldList fields, std::string_view name) {
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  return fields;
}

// ---- heads -----------------------------------------------------------------------------------

TEST_F(Http2Attack, MalformedHeadsAreReset) {
  const h2::FieldList good = h2::get();
  const std::vector<h2::FieldList> heads = {
      without(good, ":path"),
      without(good, ":method"),
      without(good, ":scheme"),
      without(good, ":authority"),
      replace(good, ":path", ""),
      replace(good, ":method", ""),
      replace(good, ":scheme", ""),
      replace(good, ":authority", ""),
      replace(good, ":method", "GET /admin HTTP/1.1\r\nX: "),
      replace(good, ":method", "GET /admin"),
      replace(good, ":method", "G?T"),
      replace(good, ":path", "/x HTTP/1.1\r\nHost: b"),
      replace(good, ":path", "/a b"),
      replace(good, ":path", "admin"),
      replace(good, ":path", "http://evil/"),
      replace(good, ":path", "*"),
      replace(good, ":authority", "a b"),
      replace(good, ":authority", "a\r\nb: c"),
      replace(good, ":authority", "a/b"),
      replace(good, ":scheme", "http://localhost/?"),
      h2::with(good, ":path", "/again"),
      h2::with(good, ":status", "200"),
      h2::with(good, ":foo", "bar"),
      h2::with(h2::with(without(good, ":path"), "x", "y"), ":path", "/"),
      h2::with(good, "connection", "close"),
      h2::with(good, "keep-alive", "1"),
      h2::with(good, "proxy-connection", "close"),
      h2::with(good, "upgrade", "h2c"),
      h2::with(good, "transfer-encoding", "chunked"),
      h2::with(good, "transfer-encoding", ""),
      h2::with(good, "te", "gzip"),
      h2::with(good, "te", "trailers, gzip"),
      h2::with(good, "x", "a\r\nTransfer-Encoding: chunked"),
      h2::with(good, "x", "a\rb"),
      h2::with(good, "x", "a\nb"),
      h2::with(good, "x", std::string("a\0b", 3)),
      h2::with(good, "x", " leading"),
      h2::with(good, "x", "trailing\t"),
      h2::with(good, "Upper", "x"),
      h2::with(good, "with space", "x"),
      h2::with(good, "transfer-encoding ", "chunked"),
      h2::with(good, "a:b", "x"),
      h2::with(good, "a\r\nb", "x"),
      h2::with(good, "\xc3\xa4", "x"),
      h2::with(good, "", "x"),
      h2::with(good, "content-length", "5"),  // END_STREAM says 0
      h2::with(good, "content-length", "-1"),
      h2::with(good, "content-length", "+0"),
      h2::with(h2::with(good, "content-length", "0"), "content-length", "0"),
      h2::with(h2::with(good, "host", "a"), "host", "a"),
      h2::with(good, ":protocol", "websocket"),  // not a CONNECT
      {{":method", "CONNECT"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a:1"}},
      {{":method", "CONNECT"}},
      {{"x", "y"}},
      {},
  };
  for (const h2::FieldList& head : heads) {
    greet();
    EXPECT_EQ(answer_to(h2::headers(1, head)), rst(kProtocolError))
        << testing::PrintToString(head);
    expect_nothing_reached_a_handler();
    EXPECT_EQ(codec_->open_streams(), 0u);
    // The connection goes on.
    EXPECT_TRUE(read(h2::headers(3, h2::get())));
    EXPECT_NE(StreamRef(codec_->accept()), nullptr);
  }
}

TEST_F(Http2Attack, HeadsThatMeanTwoThingsAreAnswered400) {
  const h2::FieldList good = h2::get();
  const std::vector<h2::FieldList> heads = {
      replace(good, ":path", "/a#b"),
      replace(good, ":path", "/a\\b"),
      replace(good, ":path", "/\xff"),
      replace(good, ":authority", "u@h"),
      replace(good, ":authority", "a,b"),
      replace(good, ":authority", "a:b"),
      replace(good, ":scheme", "https"),  // the transport is plaintext
      replace(good, ":scheme", "javascript"),
      h2::with(good, "host", "b"),
      h2::with(without(good, ":authority"), "host", "u@h"),
  };
  for (const h2::FieldList& head : heads) {
    greet();
    EXPECT_EQ(answer_to(h2::headers(1, head)), "STATUS 400") << testing::PrintToString(head);
    expect_nothing_reached_a_handler();
    EXPECT_EQ(codec_->open_streams(), 0u);
  }
}

TEST_F(Http2Attack, WhatIsHarmlessPasses) {
  const h2::FieldList good = h2::get();
  const std::vector<h2::FieldList> heads = {
      h2::with(good, "te", "trailers"),
      h2::with(good, "host", "A"),
      h2::with(without(good, ":authority"), "host", "a"),
      replace(good, ":scheme", "HTTP"),
      replace(good, ":path", "/%2e%2e//"),
      replace(replace(good, ":method", "OPTIONS"), ":path", "*"),
      h2::with(good, "content-length", "0"),
      h2::with(good, "x", ""),
      h2::with(good, "http2-settings", "AAMAAABkAAQAAP__"),
      {{":method", "CONNECT"}, {":authority", "a:1"}},
  };
  uint32_t id = 1;
  for (const h2::FieldList& head : heads) {
    EXPECT_TRUE(read(h2::headers(id, head)));
    StreamRef stream(codec_->accept());
    ASSERT_NE(stream, nullptr) << testing::PrintToString(head);
    EXPECT_TRUE(stream->head()->authority == "a" || stream->head()->authority == "a:1");
    EXPECT_FALSE(stream->head()->fields.has(FieldId::host));
    EXPECT_FALSE(stream->head()->fields.has(FieldId::http2_settings));
    EXPECT_EQ(stream->head()->scheme, "http");
    id += 2;
  }
}

TEST_F(Http2Attack, ARefusedUploadIsAnsweredAndStopped) {
  EXPECT_TRUE(read(h2::headers(1, replace(h2::get(), ":path", "/a#b"), h2::kEndHeaders) +
                   h2::data(1, "body")));
  auto all = sent();
  ASSERT_EQ(h2::of_type(all, h2::kHeaders).size(), 1u);
  EXPECT_EQ(h2::of_type(all, h2::kHeaders)[0].flags, h2::kEndHeaders | h2::kEndStream);
  EXPECT_EQ(h2::of_type(all, h2::kRstStream).size(), 0u);  // it shall read the answer first
  EXPECT_TRUE(read(h2::data(1, "late")));
  expect_nothing_reached_a_handler();
  auto& codec = static_cast<Http2Codec&>(*codec_);
  for (int look = 0; look < 2; ++look) (void)codec.time_passes(codec.deadline(now_), false);
  all = sent();
  ASSERT_EQ(h2::of_type(all, h2::kRstStream).size(), 1u);
  EXPECT_EQ(h2::of_type(all, h2::kRstStream)[0].at(0), 0u);
  EXPECT_EQ(codec_->open_streams(), 0u);
}

TEST_F(Http2Attack, TooManyFieldsAre431) {
  h2::FieldList head = h2::get();
  for (int i = 0; i < 100; ++i) head.emplace_back("x", "y");
  EXPECT_TRUE(read(h2::headers(1, head)));
  EXPECT_NE(StreamRef(codec_->accept()), nullptr);
  sent();
  head.emplace_back("x", "y");
  EXPECT_EQ(answer_to(h2::headers(3, head)), "STATUS other");
  expect_nothing_reached_a_handler();
}

TEST_F(Http2Attack, CrumbsCountAsFields) {
  h2::FieldList head = h2::get();
  for (int i = 0; i < 90; ++i) head.emplace_back("cookie", "a");
  EXPECT_TRUE(read(h2::headers(1, head)));
  StreamRef stream(codec_->accept());
  EXPECT_EQ(stream->head()->fields.get(FieldId::cookie)->size(), 90u + 89 * 2);
  sent();
  for (int i = 0; i < 11; ++i) head.emplace_back("cookie", "a");
  EXPECT_EQ(answer_to(h2::headers(3, head)), "STATUS other");
  expect_nothing_reached_a_handler();
}

TEST_F(Http2Attack, LongPathsAre414) {
  EXPECT_EQ(answer_to(h2::headers(1, h2::get("/" + std::string(8200, 'a')))), "STATUS other");
  expect_nothing_reached_a_handler();
}

std::string many_small_references(size_t count) { return std::string(count, '\xbe'); }

TEST_F(Http2Attack, AnHpackBombIsCutOff) {
  // One entry of 4000 bytes goes into the table; then one byte each refers to it.
  std::string head = h2::block(h2::get());
  head += '\x40' + h2::length_prefix(1) + "x" + h2::length_prefix(3900) + std::string(3900, 'v');
  const size_t before = chunk_pool_stats().bytes_in_use;
  (void)read(h2::frame(h2::kHeaders, h2::kEndStream | h2::kEndHeaders, 1,
                       head + many_small_references(4000)));
  EXPECT_EQ(answer(), rst(kEnhanceYourCalm));
  expect_nothing_reached_a_handler();
  EXPECT_EQ(chunk_pool_stats().bytes_in_use, before);
  // The table is in order: the next request may use it.
  EXPECT_TRUE(read(h2::frame(h2::kHeaders, h2::kEndStream | h2::kEndHeaders, 3,
                             h2::block(h2::get()) + '\xbe')));
  StreamRef stream(codec_->accept());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->head()->fields.get("x")->size(), 3900u);
}

TEST_F(Http2Attack, ASmallBombIsAnswered431) {
  std::string head = h2::block(h2::get());
  head += '\x40' + h2::length_prefix(1) + "x" + h2::length_prefix(3000) + std::string(3000, 'v');
  EXPECT_EQ(answer_to(h2::frame(h2::kHeaders, h2::kEndStream | h2::kEndHeaders, 1,
                                head + many_small_references(30))),
            "STATUS other");
  expect_nothing_reached_a_handler();
}

TEST_F(Http2Attack, Continuations) {
  const std::string whole = h2::block(h2::get());
  std::string nine = h2::frame(h2::kHeaders, h2::kEndStream, 1, whole.substr(0, 1));
  for (int i = 0; i < 8; ++i) nine += h2::frame(h2::kContinuation, 0, 1, "");
  for (char c : nine) EXPECT_TRUE(read({&c, 1}));  // however it is cut
  EXPECT_EQ(answer_to(h2::frame(h2::kContinuation, 0, 1, "")), gone(kEnhanceYourCalm));
  expect_nothing_reached_a_handler();
}

TEST_F(Http2Attack, HeaderBlocksMustNotBeInterrupted) {
  const std::string open = h2::frame(h2::kHeaders, 0, 1, h2::block(h2::get()));
  for (const std::string& other :
       {h2::data(1, "x"), h2::frame(h2::kPriority, 0, 1, std::string(5, '\0')),
        h2::headers(3, h2::get()), h2::frame(0x77, 0, 1, "x"),
        h2::frame(h2::kContinuation, h2::kEndHeaders, 3, "")}) {
    greet();
    EXPECT_EQ(answer_to(open + other), gone(kProtocolError));
    expect_nothing_reached_a_handler();
  }
}

TEST_F(Http2Attack, HpackErrorsEndTheConnection) {
  const std::vector<std::string> blocks = {
      "\x80",                        // index 0
      "\xff\xff\x03",                // index beyond both tables
      std::string("\x3f\xff\x7f"),   // table size above SETTINGS
      h2::block(h2::get()) + "\x20",  // table size inside a block
      std::string("\x00\x81\xff", 3) + std::string(1, '\0'),  // Huffman EOS padding of 8 bits
      std::string("\x00\x7f\xff\xff\xff\xff\xff\xff", 8),      // endless length
  };
  for (const std::string& block : blocks) {
    greet();
    EXPECT_EQ(answer_to(h2::frame(h2::kHeaders, h2::kEndStream | h2::kEndHeaders, 1, block)),
              gone(kCompressionError))
        << testing::PrintToString(block);
    expect_nothing_reached_a_handler();
  }
}

// ---- bodies and trailers ---------------------------------------------------------------------

TEST_F(Http2Attack, ABodyOfAnotherLengthIsReset) {
  const std::string head = h2::headers(1, h2::with(h2::get(), "content-length", "10"),
                                       h2::kEndHeaders);
  const std::string trailers = h2::headers(1, {{"x", "y"}});
  for (const std::string& body : {h2::data(1, "12345", h2::kEndStream),
                                  h2::data(1, "12345678901"), h2::data(1, "12345") + trailers}) {
    greet();
    EXPECT_TRUE(read(head));
    StreamRef stream(codec_->accept());
    EXPECT_EQ(answer_to(body), rst(kProtocolError));
    EXPECT_FALSE(stream->arrived());
    ASSERT_NE(stream->failure(), nullptr);
    EXPECT_EQ(stream->failure()->code, Code::protocol_error);
    EXPECT_EQ(stream->failure()->origin, Origin::downstream);
  }
}

TEST_F(Http2Attack, BadTrailersAreReset) {
  const std::vector<std::string> trailers = {
      h2::headers(1, {{":path", "/"}}),
      h2::headers(1, {{"x", "y"}}, h2::kEndHeaders),  // no END_STREAM
      h2::headers(1, {{"Upper", "y"}}),
      h2::headers(1, {{"content-length", "0"}}),
      h2::headers(1, {{"host", "a"}}),
      h2::headers(1, {{"transfer-encoding", "chunked"}}),
  };
  for (const std::string& frame : trailers) {
    greet();
    EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
    StreamRef stream(codec_->accept());
    EXPECT_EQ(answer_to(frame), rst(kProtocolError)) << testing::PrintToString(frame);
    EXPECT_FALSE(stream->arrived());
    EXPECT_NE(stream->failure(), nullptr);
  }
}

TEST_F(Http2Attack, TrailersAreLimitedToo) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  h2::FieldList many;
  for (int i = 0; i < 21; ++i) many.emplace_back("x", "y");
  EXPECT_EQ(answer_to(h2::headers(1, many)), rst(kEnhanceYourCalm));
  ASSERT_NE(stream->failure(), nullptr);
  EXPECT_EQ(stream->failure()->code, Code::header_too_large);
}

// ---- frames ----------------------------------------------------------------------------------

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

// ---- floods ----------------------------------------------------------------------------------

// Sends `unit` until the connection ends; how often, at most `limit`. Answers are read.
class Http2Flood : public Http2Attack {
 protected:
  template <class Unit>
  size_t flood(const Unit& unit, size_t limit) {
    for (size_t i = 0; i < limit; ++i) {
      if (!read(unit(i))) {
        EXPECT_EQ(answer(), gone(kEnhanceYourCalm));
        EXPECT_TRUE(codec_->finished());
        return i;
      }
      while (StreamRef stream{codec_->accept()}) {
      }
      sent();
      if (codec_->finished()) return i;
    }
    return limit;
  }
};

TEST_F(Http2Flood, RapidReset) {
  EXPECT_LE(flood(
                [](size_t i) {
                  const auto id = static_cast<uint32_t>(2 * i + 1);
                  return h2::headers(id, h2::get()) + h2::rst(id, 8);
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, RapidResetIsNotPaidForWithData) {
  EXPECT_LE(flood(
                [](size_t i) {
                  const auto id = static_cast<uint32_t>(2 * i + 1);
                  return h2::headers(id, h2::get(), h2::kEndHeaders) + h2::data(id, "x") +
                         h2::data(id, "x") + h2::rst(id, 8);
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, MadeYouReset) {
  EXPECT_LE(flood(
                [](size_t i) {
                  const auto id = static_cast<uint32_t>(2 * i + 1);
                  return h2::headers(id, h2::get(), h2::kEndHeaders) +
                         h2::window_update(id, 0x7fffffff);
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, MalformedHeads) {
  EXPECT_LE(flood([](size_t i) { return h2::headers(static_cast<uint32_t>(2 * i + 1), {}); },
                  100000),
            1000u);
}

TEST_F(Http2Flood, RefusedHeads) {
  EXPECT_LE(flood(
                [](size_t i) {
                  return h2::headers(static_cast<uint32_t>(2 * i + 1),
                                     replace(h2::get(), ":path", "/#"));
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, EmptyData) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  EXPECT_LE(flood([](size_t) { return h2::data(1, ""); }, 100000), 100u);
}

TEST_F(Http2Flood, PaddingOnly) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  EXPECT_LE(flood([](size_t) { return h2::data(1, std::string("\x02\0\0", 3), h2::kPadded); },
                  100000),
            100u);
}

TEST_F(Http2Flood, Pings) { EXPECT_LE(flood([](size_t) { return h2::ping(); }, 100000), 1000u); }

TEST_F(Http2Flood, UnsolicitedPingAnswers) {
  EXPECT_LE(flood([](size_t) { return h2::ping("12345678", h2::kAck); }, 100000), 1000u);
}

TEST_F(Http2Flood, Settings) {
  EXPECT_LE(flood([](size_t) { return h2::settings({{4, 65535}}); }, 100000), 1000u);
}

TEST_F(Http2Flood, Priorities) {
  EXPECT_LE(flood(
                [](size_t i) {
                  return h2::frame(h2::kPriority, 0, static_cast<uint32_t>(2 * i + 101),
                                   h2::number(0, 4) + "\x01");
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, UnknownFrames) {
  EXPECT_LE(flood([](size_t) { return h2::frame(0x77, 0, 0, "what?"); }, 100000), 1000u);
  greet();
  EXPECT_LE(flood([](size_t) { return h2::frame(0xff, 0, 1, ""); }, 100000), 1000u);
}

TEST_F(Http2Flood, WindowDrips) {
  EXPECT_LE(flood([](size_t) { return h2::window_update(0, 1); }, 100000), 10000u);
}

TEST_F(Http2Flood, HonestPingsAreNoFlood) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  for (int i = 0; i < 5000; ++i) {  // the way gRPC measures its bandwidth
    ASSERT_TRUE(read(h2::data(1, "message") + h2::ping()));
    stream->receive(SIZE_MAX);
    sent();
  }
}

TEST_F(Http2Flood, CancellingIsAllowedToThoseWhoAlsoListen) {
  for (uint32_t i = 0; i < 5000; ++i) {
    const uint32_t id = 4 * i + 1;
    ASSERT_TRUE(read(h2::headers(id, h2::get()) + h2::headers(id + 2, h2::get())));
    StreamRef served(codec_->accept());
    StreamRef cancelled(codec_->accept());
    Http2Pair::respond(*served, 200);
    sent();
    ASSERT_TRUE(read(h2::rst(id + 2, 8)));
    EXPECT_NE(cancelled->failure(), nullptr);
    sent();
  }
}

TEST_F(Http2Flood, APeerThatDoesNotReadIsBounded) {
  limits_.misbehaviour_burst = 1000000;
  greet();
  size_t pings = 0;
  while (pings < 100000 && read(h2::ping())) ++pings;
  EXPECT_LE(pings, 1001u);
  EXPECT_GE(pings, 900u);
  EXPECT_EQ(h2::of_type(sent(), h2::kGoaway).size(), 1u);
  greet();
  size_t changes = 0;
  while (changes < 100000 && read(h2::settings())) ++changes;
  EXPECT_LE(changes, 1001u);
  greet();
  for (uint32_t id = 1; id < 200000 && read(h2::headers(id, {})); id += 2) {
  }
  EXPECT_LE(sent().size(), 1400u);
  EXPECT_TRUE(codec_->finished());
}

TEST_F(Http2Flood, TheBudgetComesBackWithTime) {
  for (int second = 0; second < 100; ++second) {
    now_ = now_ + 1s;
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(read(h2::ping()));
    sent();
  }
}

// ---- the client's side -----------------------------------------------------------------------

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
