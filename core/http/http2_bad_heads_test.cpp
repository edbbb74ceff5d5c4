// Heads, bodies and trailers that peers should not send. Each case says what the wire answers and
// that no handler has seen anything of it.
#include <gtest/gtest.h>

#include <string>

#include "core/http/http2_attack_fixture_test.hpp"
#include "core/http/http2_codec.hpp"

namespace tulle {
namespace {

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

}  // namespace
}  // namespace tulle
