// What an HTTP/1 server codec writes, how much it holds, and how long it waits.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/http1_driver.hpp"

namespace tulle {
namespace {

using testing::Http1Driver;
using testing::SeenRequest;

class Http1ServerOutput : public ::testing::Test {
 protected:
  static constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  static constexpr std::string_view kGet10 = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  Stream& open(std::string_view request) {
    driver_.handler = [](Stream&, SeenRequest&) { return false; };
    driver_.feed(request);
    EXPECT_NE(driver_.stream(), nullptr);
    return *driver_.stream();
  }
  static Head& draft(Stream& stream, int status) {
    stream.draft().status = status;
    stream.draft().fields.add(FieldId::date, "now");
    return stream.draft();
  }
  Http1Driver driver_;
};

TEST_F(Http1ServerOutput, UnknownLengthIsChunkedWithTrailers) {
  Stream& stream = open(kGet);
  draft(stream, 200);
  stream.send_head();
  stream.send(Bytes("hello"));
  driver_.turn();
  stream.send(Bytes(std::string(5000, 'x')));
  driver_.turn();
  stream.draft_trailers().add("X-Sum", "1");
  stream.draft_trailers().add("Content-Length", "7");
  stream.finish();
  driver_.turn();
  EXPECT_EQ(driver_.output, "HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1388\r\n" +
                                std::string(5000, 'x') + "\r\n0\r\nx-sum: 1\r\n\r\n");
  EXPECT_TRUE(stream.departed());
  EXPECT_FALSE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, UnknownLengthEndsTheConnectionFor10) {
  Stream& stream = open(kGet10);
  draft(stream, 200);
  stream.send_head();
  stream.send(Bytes("hello"));
  stream.finish();
  driver_.turn();
  EXPECT_EQ(driver_.output, "HTTP/1.1 200 OK\r\ndate: now\r\nconnection: close\r\n\r\nhello");
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, InterimsAreNotSentTo10) {
  Stream& stream = open(kGet10);
  stream.draft().status = 103;
  stream.send_interim();
  driver_.turn();
  EXPECT_EQ(driver_.output, "");
}

TEST_F(Http1ServerOutput, InterimsGoFirst) {
  Stream& stream = open(kGet);
  stream.draft().status = 103;
  stream.draft().fields.add("Link", "</a>");
  stream.send_interim();
  draft(stream, 204).ended = true;
  stream.send_head();
  driver_.turn();
  EXPECT_EQ(driver_.output,
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\ndate: now\r\n\r\n");
}

TEST_F(Http1ServerOutput, FramingComesFromTheModelOnly) {
  Stream& stream = open(kGet);
  Head& head = draft(stream, 200);
  head.fields.add("Content-Length", "99");
  head.fields.add("Transfer-Encoding", "chunked");
  head.fields.add("Connection", "x");
  head.fields.add("X-Bad", "a\r\nb: c");
  head.fields.add("Bad Name", "x");
  head.ended = true;
  stream.send_head();
  driver_.turn();
  EXPECT_EQ(driver_.output, "HTTP/1.1 200 OK\r\ndate: now\r\nx-bad: a  b: c\r\ncontent-length: 0\r\n\r\n");
}

TEST_F(Http1ServerOutput, NoByteOfAValueEndsItsLine) {
  for (const char bad : {'\r', '\n', '\0', '\x1f', '\x7f'}) {
    for (size_t at = 0; at < 20; ++at) {
      Http1Driver driver;
      driver.handler = [](Stream&, SeenRequest&) { return false; };
      driver.feed(kGet);
      std::string value = "a\tb\x80\xff ~!cdefghijklmn";
      std::string expected = value;
      value[at] = bad;
      expected[at] = ' ';
      Head& head = draft(*driver.stream(), 204);
      head.fields.add("x", value);
      head.ended = true;
      driver.stream()->send_head();
      driver.turn();
      EXPECT_NE(driver.output.find("\r\nx: " + expected + "\r\n"), std::string::npos) << at;
    }
  }
}

TEST_F(Http1ServerOutput, NotModifiedKeepsItsLength) {
  Stream& stream = open(kGet);
  Head& head = draft(stream, 304);
  head.content_length = 1234;
  head.ended = true;
  stream.send_head();
  driver_.turn();
  EXPECT_EQ(driver_.output, "HTTP/1.1 304 Not Modified\r\ndate: now\r\ncontent-length: 1234\r\n\r\n");
  EXPECT_FALSE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, DateIsAdded) {
  Stream& stream = open(kGet);
  stream.draft().status = 200;
  stream.draft().ended = true;
  stream.send_head();
  driver_.turn();
  const size_t at = driver_.output.find("date: ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(driver_.output.substr(at + 31, 6), " GMT\r\n") << driver_.output;
}

TEST_F(Http1ServerOutput, ABodyOfTheWrongLengthEndsTheConnection) {
  for (const std::string_view body : {"toolong", "a"}) {
    Http1Driver driver;
    driver.handler = [](Stream&, SeenRequest&) { return false; };
    driver.feed(kGet);
    Stream& stream = *driver.stream();
    draft(stream, 200).content_length = 3;
    stream.send_head();
    stream.send(Bytes(body));
    stream.finish();
    driver.turn();
    EXPECT_EQ(driver.output, "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 3\r\n\r\n" +
                                 std::string(body.substr(0, 3)));
    EXPECT_TRUE(driver.codec->finished());
    EXPECT_NE(stream.failure(), nullptr);
  }
}

TEST_F(Http1ServerOutput, WritesStopAtTheLimit) {
  Stream& stream = open(kGet);
  draft(stream, 200).content_length = 60'000;
  stream.send_head();
  stream.send(Bytes(std::string(60'000, 'x')));
  stream.finish();
  EXPECT_EQ(stream.room(), 0u);
  driver_.write_limit = 20'000;
  driver_.flush();
  EXPECT_LT(driver_.output.size(), 20'200u);
  EXPECT_TRUE(driver_.codec->wants_write());
  EXPECT_FALSE(stream.departed());
  driver_.turn();
  EXPECT_TRUE(stream.departed());
  EXPECT_TRUE(driver_.output.ends_with("xxx"));
}

TEST_F(Http1ServerOutput, AnEarlyAnswerToALongBodyClosesTheConnection) {
  Stream& stream = open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
  draft(stream, 413).ended = true;
  stream.send_head();
  driver_.turn();
  EXPECT_EQ(driver_.output,
            "HTTP/1.1 413 Content Too Large\r\ndate: now\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  EXPECT_TRUE(stream.departed());
  EXPECT_FALSE(driver_.codec->finished()) << "the handler may still want the rest";
  driver_.drop_all();
  driver_.turn();
  EXPECT_TRUE(driver_.codec->finished());
  EXPECT_EQ(driver_.codec->dirty().alive, 0u);
}

TEST_F(Http1ServerOutput, AnEarlyAnswerToAShortBodyKeepsTheConnection) {
  Stream& stream = open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome");
  draft(stream, 404).ended = true;
  stream.send_head();
  driver_.turn();
  driver_.drop_all();
  driver_.turn();
  EXPECT_FALSE(driver_.codec->finished());
  EXPECT_EQ(driver_.codec->waiting(), Codec::Waiting::body);
  driver_.handler = Http1Driver::answer_ok;
  driver_.feed(std::string(996, 'x') + std::string(kGet));
  EXPECT_EQ(driver_.output,
            "HTTP/1.1 404 Not Found\r\ndate: now\r\ncontent-length: 0\r\n\r\n"
            "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\nok");
}

TEST_F(Http1ServerOutput, ARefusedExpectationClosesTheConnection) {
  Stream& stream = open("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
  EXPECT_EQ(driver_.codec->waiting(), Codec::Waiting::handlers);
  draft(stream, 401).ended = true;
  stream.send_head();
  driver_.turn();
  EXPECT_NE(driver_.output.find("connection: close"), std::string::npos);
}

TEST_F(Http1ServerOutput, DecliningAnUpgradeKeepsTheConnectionUnlessBytesCameEarly) {
  for (const bool early : {false, true}) {
    Http1Driver driver;
    driver.handler = [](Stream&, SeenRequest&) { return false; };
    driver.feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    if (early) driver.feed(kGet);
    EXPECT_EQ(driver.seen.size(), 1u);
    draft(*driver.stream(), 426).ended = true;
    driver.stream()->send_head();
    driver.turn();
    EXPECT_TRUE(driver.stream()->ended());
    EXPECT_EQ(driver.codec->finished(), early);
    EXPECT_EQ(driver.seen.size(), 1u) << "early bytes are never parsed as a request";
  }
}

TEST_F(Http1ServerOutput, ConnectIsATunnelAfter2xxOnly) {
  for (const int status : {200, 501}) {
    Http1Driver driver;
    driver.handler = [](Stream&, SeenRequest&) { return false; };
    driver.feed("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nGET /early HTTP/1.1\r\n\r\n");
    ASSERT_EQ(driver.seen.size(), 1u);
    EXPECT_EQ(driver.seen[0].authority, "h:1");
    EXPECT_EQ(driver.seen[0].path, "");
    draft(*driver.stream(), status).ended = status == 501;
    driver.stream()->send_head();
    driver.turn();
    if (status == 200) {
      EXPECT_EQ(driver.output, "HTTP/1.1 200 OK\r\ndate: now\r\n\r\n");
      EXPECT_EQ(driver.seen[0].body, "GET /early HTTP/1.1\r\n\r\n");
    } else {
      EXPECT_TRUE(driver.codec->finished());
      EXPECT_EQ(driver.seen[0].body, "");
    }
    EXPECT_EQ(driver.seen.size(), 1u);
  }
}

TEST_F(Http1ServerOutput, AnUpgradeThatHttp2AnsweredGetsItsDigest) {
  Stream& stream = open("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  draft(stream, 101).version = Version::http2;
  stream.send_head();
  driver_.turn();
  EXPECT_EQ(driver_.output,
            "HTTP/1.1 101 Switching Protocols\r\ndate: now\r\n"
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nupgrade: websocket\r\n"
            "connection: upgrade\r\n\r\n");
}

TEST_F(Http1ServerOutput, WhatDeclinesSaysThatTheConnectionEnds) {
  for (const std::string request :
       {"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly"}) {
    Http1Driver driver;
    driver.handler = [](Stream&, SeenRequest&) { return false; };
    driver.feed(request);
    Head& head = draft(*driver.stream(), 426);
    head.ended = true;
    head.protocol = "websocket";
    driver.stream()->send_head();
    driver.turn();
    EXPECT_EQ(driver.output,
              "HTTP/1.1 426 Upgrade Required\r\ndate: now\r\ncontent-length: 0\r\nconnection: close\r\n"
              "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    EXPECT_TRUE(driver.codec->finished());
    EXPECT_EQ(driver.seen.size(), 1u);
  }
}

TEST_F(Http1ServerOutput, A101ThatNobodyAskedForIsNotSent) {
  Stream& stream = open(kGet);
  draft(stream, 101);
  stream.send_head();
  driver_.turn();
  EXPECT_EQ(driver_.output, "");
  EXPECT_NE(stream.failure(), nullptr);
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, CancellingEndsTheConnection) {
  Stream& stream = open(kGet);
  draft(stream, 200);
  stream.send_head();
  stream.send(Bytes("partial"));
  driver_.turn();
  driver_.drop_all();
  driver_.turn();
  EXPECT_TRUE(driver_.codec->finished());
  EXPECT_EQ(driver_.output.find("0\r\n\r\n"), std::string::npos);
  EXPECT_EQ(driver_.codec->dirty().alive, 0u);
}

// ---- capacity --------------------------------------------------------------------------------

TEST_F(Http1ServerOutput, ABodyWaitsForItsReader) {
  driver_.taking = false;
  Stream& stream = open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
  const std::string part(100'000, 'x');
  EXPECT_TRUE(driver_.codec->wants_read());
  driver_.feed(part);
  EXPECT_EQ(stream.readable(), driver_.limits.stream_inbound);
  EXPECT_FALSE(driver_.codec->wants_read());
  EXPECT_EQ(driver_.codec->waiting(), Codec::Waiting::handlers);
  size_t taken = stream.receive(SIZE_MAX).size();
  EXPECT_TRUE(driver_.codec->wants_write()) << "taking makes the stream dirty";
  driver_.flush();
  EXPECT_EQ(stream.readable(), part.size() - taken);
  EXPECT_TRUE(driver_.codec->wants_read());
  EXPECT_EQ(driver_.codec->waiting(), Codec::Waiting::body);
  driver_.feed(part);
  while (!stream.ended()) {
    const size_t more = stream.receive(SIZE_MAX).size();
    ASSERT_GT(more, 0u);
    taken += more;
    driver_.flush();
  }
  EXPECT_EQ(taken, 200'000u);
}

TEST_F(Http1ServerOutput, TheEndOfInputWaitsForTheReaderToo) {
  driver_.taking = false;
  Stream& stream = open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  driver_.feed(std::string(100'000, 'x'));
  driver_.end_input();
  EXPECT_EQ(stream.failure(), nullptr);
  size_t taken = 0;
  while (!stream.ended()) {
    const size_t more = stream.receive(SIZE_MAX).size();
    ASSERT_GT(more, 0u);
    taken += more;
    driver_.flush();
  }
  EXPECT_EQ(taken, 100'000u);
  EXPECT_EQ(stream.failure(), nullptr);
}

TEST_F(Http1ServerOutput, PipelinedBytesAreBounded) {
  open(kGet);
  std::string more;
  for (int i = 0; i < 1000; ++i) more += kGet;
  size_t fed = 0;
  while (driver_.codec->wants_read() && fed < 1'000'000) {
    driver_.feed(more);
    fed += more.size();
  }
  EXPECT_LT(fed, driver_.limits.pipelined + 2 * more.size());
  EXPECT_EQ(driver_.seen.size(), 1u);
}

// ---- time ------------------------------------------------------------------------------------

TEST_F(Http1ServerOutput, ASlowHeadIsToldSo) {
  driver_.feed("GET / HT");
  EXPECT_EQ(driver_.codec->waiting(), Codec::Waiting::head);
  driver_.codec->timed_out(Codec::Waiting::head);
  driver_.turn();
  EXPECT_EQ(driver_.output.substr(0, 12), "HTTP/1.1 408");
  EXPECT_TRUE(driver_.codec->finished());
  EXPECT_TRUE(driver_.seen.empty());
}

TEST_F(Http1ServerOutput, AnIdleConnectionClosesSilently) {
  driver_.codec->timed_out(Codec::Waiting::idle);
  driver_.turn();
  EXPECT_EQ(driver_.output, "");
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, ASlowBodyFailsItsStream) {
  Stream& stream = open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nsome");
  driver_.codec->timed_out(Codec::Waiting::body);
  driver_.turn();
  EXPECT_EQ(driver_.output.substr(0, 12), "HTTP/1.1 408");
  ASSERT_NE(stream.failure(), nullptr);
  EXPECT_EQ(stream.failure()->code, Code::request_timeout);
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, RetiringFinishesWhatRuns) {
  Stream& stream = open(kGet);
  driver_.codec->retire();
  EXPECT_FALSE(driver_.codec->finished());
  draft(stream, 204).ended = true;
  stream.send_head();
  driver_.turn();
  EXPECT_EQ(driver_.output, "HTTP/1.1 204 No Content\r\ndate: now\r\nconnection: close\r\n\r\n");
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, RetiringAnIdleConnectionEndsIt) {
  driver_.codec->retire();
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_F(Http1ServerOutput, ACodecMayDieBeforeItsHandlers) {
  Stream& stream = open("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nsome");
  driver_.codec.reset();
  ASSERT_NE(stream.failure(), nullptr);
  EXPECT_EQ(stream.failure()->code, Code::closed);
  EXPECT_EQ(stream.receive(SIZE_MAX).to_string(), "");
  stream.draft().status = 200;
  stream.send_head();
  stream.finish();
  driver_.drop_all();
}

}  // namespace
}  // namespace tulle
