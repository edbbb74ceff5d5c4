// What an HTTP/1 server codec makes of requests.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/http1_driver.hpp"

namespace tulle {
namespace {

using testing::Http1Driver;
using testing::SeenRequest;

const std::string kOk = "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\nok";
const std::string kOkClose =
    "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

std::string times(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// Every test of input runs with the bytes at once, one by one, and in odd pieces.
class Http1ServerInput : public ::testing::TestWithParam<size_t> {
 protected:
  void feed(std::string_view bytes) { driver_.feed(bytes, GetParam()); }
  const SeenRequest& only() {
    EXPECT_EQ(driver_.seen.size(), 1u);
    static const SeenRequest nothing;
    return driver_.seen.empty() ? nothing : driver_.seen.front();
  }
  Http1Driver driver_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http1ServerInput, ::testing::Values(0, 1, 2, 3, 7, 61),
                         ::testing::PrintToStringParamName());

TEST_P(Http1ServerInput, AGetIsAHeadWithoutABody) {
  feed("GET /a/b?c=%20d HTTP/1.1\r\nHost: Example.com:8080\r\nX-Some:  a  b \t\r\nAccept: */*\r\n\r\n");
  EXPECT_EQ(only().method, "GET");
  EXPECT_EQ(only().authority, "Example.com:8080");
  EXPECT_EQ(only().path, "/a/b?c=%20d");
  EXPECT_EQ(only().fields, "x-some=a  b\naccept=*/*\n");
  EXPECT_TRUE(only().head_ended);
  EXPECT_FALSE(only().content_length.has_value());
  EXPECT_EQ(driver_.output, kOk);
  EXPECT_FALSE(driver_.codec->finished());
  EXPECT_EQ(driver_.codec->waiting(), Codec::Waiting::idle);
}

TEST_P(Http1ServerInput, ABodyWithALength) {
  feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000000000000005\r\n\r\nhello");
  EXPECT_EQ(only().body, "hello");
  EXPECT_EQ(only().content_length, 5u);
  EXPECT_EQ(only().fields, "");
  EXPECT_TRUE(only().arrived);
  EXPECT_EQ(driver_.output, kOk);
}

TEST_P(Http1ServerInput, ChunksWithExtensionsAndTrailers) {
  feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
       "5;a=b;c=\"d\\\" e\"\r\nhello\r\n00a\r\n, worldly!\r\n0\r\nX-Sum: 1\r\nTE: x\r\nY: 2\r\n\r\n");
  EXPECT_EQ(only().body, "hello, worldly!");
  EXPECT_EQ(only().trailers, "x-sum=1\ny=2\n");
  EXPECT_FALSE(only().head_ended);
  EXPECT_TRUE(only().arrived);
  EXPECT_EQ(driver_.output, kOk);
}

TEST_P(Http1ServerInput, PipelinedRequestsAreAnsweredInOrder) {
  std::string wire;
  for (int i = 0; i < 100; ++i) {
    wire += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    wire += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  }
  feed(wire);
  ASSERT_EQ(driver_.seen.size(), 200u);
  for (size_t i = 0; i < 200; ++i) EXPECT_EQ(driver_.seen[i].path, "/" + std::to_string(i / 2));
  EXPECT_EQ(driver_.output, times(kOk, 200));
}

TEST_P(Http1ServerInput, TheFirstMalformedOfManyEndsTheRest) {
  std::string wire = times("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 49);
  wire += "GET / HTTP/1.1\r\nHost : a\r\n\r\n";
  wire += times("GET /evil HTTP/1.1\r\nHost: a\r\n\r\n", 50);
  feed(wire);
  EXPECT_EQ(driver_.seen.size(), 49u);
  EXPECT_EQ(driver_.output.substr(0, kOk.size() * 49), times(kOk, 49));
  EXPECT_EQ(driver_.output.substr(kOk.size() * 49, 12), "HTTP/1.1 400");
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, ConnectionFieldsStayHere) {
  feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop, te\r\nX-Hop: 1\r\nX-Hop: 2\r\n"
       "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers;q=0.5, gzip\r\nX-End: 3\r\n\r\n");
  EXPECT_EQ(only().fields, "x-end=3\nte=trailers\n");
  EXPECT_EQ(driver_.output, kOk);
}

TEST_P(Http1ServerInput, ConnectionCloseIsHonouredAndAnnounced) {
  feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(only().path, "/");
  EXPECT_EQ(driver_.output, kOkClose);
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, Http10ClosesUnlessAskedNotTo) {
  feed("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(only().version, Version::http10);
  EXPECT_EQ(driver_.output, kOkClose);
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, Http10KeepAliveIsSaid) {
  feed("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(driver_.output,
            "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok");
  EXPECT_FALSE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, TargetsOfEveryForm) {
  feed("GET http://B.example/x?y HTTP/1.1\r\nHost: b.example\r\n\r\n"
       "GET HTTP://b:80?q HTTP/1.1\r\nHost: b\r\n\r\n"
       "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
       "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"
       "GET /?a={b}|`^ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
  ASSERT_EQ(driver_.seen.size(), 5u);
  EXPECT_EQ(driver_.seen[0].authority, "B.example");
  EXPECT_EQ(driver_.seen[0].path, "/x?y");
  EXPECT_EQ(driver_.seen[1].authority, "b:80");
  EXPECT_EQ(driver_.seen[1].path, "/?q");
  EXPECT_EQ(driver_.seen[2].path, "*");
  EXPECT_EQ(driver_.seen[3].path, "*");
  EXPECT_EQ(driver_.seen[4].path, "/?a={b}|`^");
}

TEST_P(Http1ServerInput, H2cUpgradeIsServedAsHttp1) {
  feed("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
       "HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(only().protocol, "");
  EXPECT_EQ(only().fields, "");
  EXPECT_EQ(only().body, "hello");
  EXPECT_EQ(driver_.output, kOk);
}

TEST_P(Http1ServerInput, H2cHiddenAmongOthersIsNotSeen) {
  feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c, WebSocket\r\nUpgrade: h2\r\n\r\n");
  EXPECT_EQ(only().protocol, "websocket");
}

TEST_P(Http1ServerInput, AFewEmptyLinesBeforeARequestAreSkipped) {
  feed("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(driver_.output, kOk + kOk);
}

TEST_P(Http1ServerInput, AHeadRequestIsAnsweredWithoutABody) {
  feed("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(driver_.output, "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\n" + kOk);
}

TEST_P(Http1ServerInput, ABodyThatTurnsMalformedFailsItsStream) {
  driver_.handler = [](Stream& stream, SeenRequest&) { return stream.failure() != nullptr; };
  feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
  feed("loX\r\n0\r\n\r\n");
  EXPECT_EQ(only().body.substr(0, 3), "hel");
  EXPECT_EQ(only().failure, Code::bad_request);
  EXPECT_FALSE(only().arrived);
  EXPECT_EQ(driver_.output.substr(0, 12), "HTTP/1.1 400");
  EXPECT_TRUE(driver_.codec->finished());
  EXPECT_EQ(driver_.codec->dirty().alive, 0u);
}

TEST_P(Http1ServerInput, ATruncatedBodyIsNeverComplete) {
  driver_.handler = [](Stream& stream, SeenRequest&) { return stream.failure() != nullptr; };
  feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
  driver_.end_input();
  EXPECT_EQ(only().body, "hello");
  EXPECT_FALSE(only().arrived);
  EXPECT_EQ(only().failure, Code::bad_request);
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, AnUnfinishedHeadIsForgotten) {
  feed("GET / HTTP/1.1\r\nHost: a\r\nX-");
  driver_.end_input();
  EXPECT_TRUE(driver_.codec->finished());
  EXPECT_EQ(driver_.output, "");
  EXPECT_TRUE(driver_.seen.empty());
  EXPECT_EQ(driver_.codec->dirty().alive, 0u);
}

TEST_P(Http1ServerInput, PipelinedRequestsOfAHalfClosedClientAreAnswered) {
  driver_.handler = [](Stream&, SeenRequest&) { return false; };
  feed("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HT");
  driver_.end_input();
  driver_.handler = Http1Driver::answer_ok;
  driver_.turn();
  EXPECT_EQ(driver_.seen.size(), 2u);
  EXPECT_EQ(driver_.output.substr(0, kOk.size() * 2), kOk + kOk);
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, ATunnelMayHalfCloseTowardsTheClient) {
  driver_.handler = [](Stream& stream, SeenRequest&) {
    if (stream.head_sent()) return false;
    stream.draft().status = 101;
    stream.send_head();
    stream.send(Bytes("bye"));
    stream.finish();
    return false;
  };
  feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n");
  EXPECT_TRUE(driver_.codec->output_ended());
  EXPECT_FALSE(driver_.codec->finished());
  feed("more");
  EXPECT_EQ(only().body, "more");
  driver_.drop_all();
  driver_.turn();
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, AHalfClosedClientIsStillAnswered) {
  driver_.handler = [](Stream&, SeenRequest&) { return false; };
  feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  driver_.end_input();
  EXPECT_FALSE(driver_.codec->finished());
  driver_.handler = Http1Driver::answer_ok;
  driver_.turn();
  EXPECT_EQ(driver_.output, kOkClose);
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, ExpectationIsPassedOnAndContinued) {
  driver_.handler = [](Stream& stream, SeenRequest& seen) {
    if (!seen.arrived && seen.trailers.empty()) {
      seen.trailers = "asked";
      stream.draft().status = 100;
      stream.send_interim();
    }
    return Http1Driver::answer_ok(stream, seen);
  };
  feed("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_TRUE(only().expects_continue);
  EXPECT_EQ(only().fields, "expect=100-Continue\n");
  EXPECT_EQ(driver_.output, "HTTP/1.1 100 Continue\r\n\r\n");
  feed("hi");
  EXPECT_EQ(driver_.output, "HTTP/1.1 100 Continue\r\n\r\n" + kOk);
}

TEST_P(Http1ServerInput, ATunnelCarriesBytesBothWays) {
  driver_.handler = [echoed = size_t{0}](Stream& stream, SeenRequest& seen) mutable {
    if (!stream.head_sent()) {
      stream.draft().status = 101;
      stream.draft().fields.add(FieldId::date, "now");
      stream.send_head();
    }
    stream.send(Bytes(std::string_view(seen.body).substr(echoed)));
    echoed = seen.body.size();
    if (seen.arrived) stream.finish();
    return seen.arrived;
  };
  feed("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n\x81\x02hi");
  EXPECT_EQ(only().protocol, "websocket");
  EXPECT_FALSE(only().head_ended);
  feed("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(only().body, "\x81\x02hiGET / HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(driver_.codec->finished());
  driver_.end_input();
  EXPECT_EQ(driver_.output,
            "HTTP/1.1 101 Switching Protocols\r\ndate: now\r\nupgrade: websocket\r\n"
            "connection: upgrade\r\n\r\n\x81\x02hiGET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, ATunnelWhoseClientEndedBeforeTheAnswer) {
  driver_.handler = [](Stream&, SeenRequest&) { return false; };
  feed("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\nearly");
  driver_.end_input();
  EXPECT_FALSE(only().arrived);
  driver_.stream()->draft().status = 101;
  driver_.stream()->send_head();
  driver_.turn();
  EXPECT_EQ(only().body, "early");
  EXPECT_TRUE(only().arrived);
  driver_.stream()->send(Bytes("late"));
  driver_.stream()->finish();
  driver_.turn();
  EXPECT_EQ(driver_.output.substr(driver_.output.size() - 4), "late");
  EXPECT_TRUE(driver_.codec->finished());
}

TEST_P(Http1ServerInput, ProtocolsThatAreNotSwitchedToAreIgnored) {
  HttpLimits limits;
  limits.upgrades = std::make_shared<const std::vector<std::string>>(1, "websocket");
  for (const auto& [fields, protocol] : std::vector<std::pair<std::string, std::string>>{
           {"Upgrade: TLS/1.2\r\n", ""},
           {"Upgrade: tcp, WebSocket\r\n", "websocket"},
           {"Upgrade: web socket\r\nUpgrade: websocket/13\r\n", ""}}) {
    SCOPED_TRACE(fields);
    Http1Driver driver(limits);
    driver.feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n" + fields + "\r\n", GetParam());
    ASSERT_EQ(driver.seen.size(), 1u);
    EXPECT_EQ(driver.seen[0].protocol, protocol);
    EXPECT_EQ(driver.seen[0].head_ended, protocol.empty());
    EXPECT_EQ(driver.seen[0].fields, "");
  }
}

TEST_P(Http1ServerInput, ConnectIsNoUpgrade) {
  driver_.handler = [](Stream&, SeenRequest&) { return false; };
  feed("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_EQ(only().protocol, "");
  EXPECT_EQ(only().method, "CONNECT");
}

}  // namespace
}  // namespace tulle
