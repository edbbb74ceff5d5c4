// What an HTTP/1 client codec makes of answers.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/http/websocket.hpp"
#include "tests/support/field_text.hpp"
#include "tests/support/http1_client_driver.hpp"

namespace tulle {
namespace {

using Client = testing::Http1ClientDriver;
using testing::text_of;
using namespace std::string_literals;  // NOLINT: an input that holds NUL

class Http1ClientInput : public ::testing::TestWithParam<size_t> {
 protected:
  void feed(std::string_view bytes) { client_.feed(bytes, GetParam()); }
  void request(std::string_view method = "GET") {
    client_.begin(method);
    client_.send();
  }
  Client client_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http1ClientInput, ::testing::Values(0, 1, 2, 3, 7, 61),
                         ::testing::PrintToStringParamName());

TEST_P(Http1ClientInput, AResponseWithALength) {
  request();
  EXPECT_TRUE(client_.stream->untouched());
  feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\nConnection: x-gone\r\nX-Gone: 1\r\nKeep-Alive: x\r\n\r\nhello");
  EXPECT_FALSE(client_.stream->untouched());
  ASSERT_NE(client_.stream->head(), nullptr);
  EXPECT_EQ(client_.stream->head()->status, 200);
  EXPECT_EQ(client_.stream->head()->content_length, 5u);
  EXPECT_EQ(text_of(client_.stream->head()->fields), "x-a=b\n");
  EXPECT_EQ(client_.body, "hello");
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, ChunksAndTrailers) {
  request();
  feed("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n");
  EXPECT_EQ(client_.body, "abcde");
  EXPECT_EQ(text_of(client_.stream->trailers()), "x-sum=9\n");
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, ABodyUpToTheEnd) {
  request();
  feed("HTTP/1.1 200 OK\r\n\r\nsome bytes");
  EXPECT_FALSE(client_.stream->arrived());
  client_.end_input();
  EXPECT_EQ(client_.body, "some bytes");
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.codec->finished());
}

TEST_P(Http1ClientInput, ABodyUpToTheEndThatBreaksIsNotComplete) {
  request();
  feed("HTTP/1.1 200 OK\r\n\r\nsome bytes");
  client_.codec->end_of_input(Error{Code::io_error, Origin::local, "reset"});
  EXPECT_EQ(client_.failure(), Code::upstream_reset);
}

TEST_P(Http1ClientInput, InterimsComeFirst) {
  request();
  feed("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client_.interims, (std::vector<int>{100, 103}));
  EXPECT_TRUE(client_.stream->head()->ended);
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, TooManyInterims) {
  request();
  std::string wire;
  for (int i = 0; i < 10'000; ++i) wire += "HTTP/1.1 103 Early Hints\r\n\r\n";
  feed(wire);
  EXPECT_LE(client_.interims.size(), 8u);
  EXPECT_EQ(client_.failure(), Code::upstream_protocol_error);
  EXPECT_TRUE(client_.codec->finished());
}

TEST_P(Http1ClientInput, AnswersToHeadHaveNoBody) {
  request("HEAD");
  feed("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
  EXPECT_EQ(client_.stream->head()->content_length, 1234u);
  EXPECT_TRUE(client_.stream->head()->ended);
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, ABodyWhereNoneBelongsIsDroppedWithItsConnection) {
  request("HEAD");
  feed("HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client_.body, "");
  EXPECT_TRUE(client_.complete());
  EXPECT_FALSE(client_.reusable());
  EXPECT_TRUE(client_.codec->finished());
}

TEST_P(Http1ClientInput, A204WithALengthEndsItsConnection) {
  request();
  feed("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(client_.body, "");
  EXPECT_FALSE(client_.stream->head()->content_length.has_value());
  EXPECT_TRUE(client_.complete());
  EXPECT_FALSE(client_.reusable());
}

TEST_P(Http1ClientInput, A304KeepsItsLength) {
  request();
  feed("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(client_.stream->head()->content_length, 5u);
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, CloseAndOldVersionsEndTheConnection) {
  for (const std::string head : {"HTTP/1.1 200 OK\r\nConnection: close\r\n", "HTTP/1.0 200 OK\r\n"}) {
    Client client;
    client.begin();
    client.send();
    client.feed(head + "Content-Length: 2\r\n\r\nok", GetParam());
    EXPECT_TRUE(client.complete());
    EXPECT_TRUE(client.codec->finished());
    EXPECT_FALSE(client.reusable());
  }
}

TEST_P(Http1ClientInput, Http10MayKeepAlive) {
  request();
  feed("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, MalformedResponses) {  // H1-66
  const std::string fat = "X: " + std::string(62'000, 'y') + "\r\n";
  for (const std::string& head : std::vector<std::string>{
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
           "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
           "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
           "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1 200 OK\nX: y\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
           "HTTP/1.1 200 O\0K\r\n\r\n"s, "HTTP/1.1 200 OK\r\nnocolon\r\n\r\n",
           "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
           "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 200 OK\r\n" + fat + "\r\n",
           "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n",
           "ICY 200 OK\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "garbage that never ends",
           "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
           "HTTP/1.1 101 Switching Protocols\r\n\r\n"}) {
    SCOPED_TRACE(head.substr(0, 80));
    Client client;
    client.begin();
    client.send();
    client.feed(head + "hello", GetParam());
    EXPECT_EQ(client.failure(), Code::upstream_protocol_error);
    EXPECT_EQ(client.stream->head(), nullptr);
    EXPECT_EQ(client.body, "");
    EXPECT_TRUE(client.codec->finished());
    EXPECT_FALSE(client.reusable());
    EXPECT_EQ(client.codec->dirty().alive, 0u);
  }
}

TEST_P(Http1ClientInput, TruncatedResponses) {  // H1-74
  for (const std::string& wire : std::vector<std::string>{
           "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "HTTP/1.1 200 OK\r\nX-A",
           "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n"}) {
    SCOPED_TRACE(wire);
    Client client;
    client.begin();
    client.send();
    client.feed(wire, GetParam());
    client.end_input();
    EXPECT_FALSE(client.stream->arrived());
    EXPECT_EQ(client.failure(), Code::upstream_reset);
    EXPECT_TRUE(client.codec->finished());
  }
}

TEST_P(Http1ClientInput, ChunksThatTurnMalformed) {
  request();
  feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x\r\n");
  EXPECT_EQ(client_.failure(), Code::upstream_protocol_error);
  EXPECT_FALSE(client_.stream->arrived());
  EXPECT_TRUE(client_.codec->finished());
}

TEST_P(Http1ClientInput, ATunnelAfterTheAskedProtocol) {
  Head& head = client_.begin("GET", "/chat");
  head.protocol = "websocket";
  head.ended = false;
  head.fields.add("Sec-WebSocket-Version", "13");
  EXPECT_EQ(client_.send(),
            "GET /chat HTTP/1.1\r\nhost: a.example\r\nsec-websocket-version: 13\r\n"
            "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
  client_.stream->send(Bytes("early"));
  EXPECT_EQ(client_.flush(), "") << "held until the answer";
  feed("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
       "Sec-WebSocket-Accept: x\r\n\r\n\x81\x02hi");
  ASSERT_NE(client_.stream->head(), nullptr);
  EXPECT_EQ(client_.stream->head()->status, 101);
  EXPECT_EQ(client_.stream->head()->protocol, "websocket");
  EXPECT_EQ(client_.body, "\x81\x02hi");
  client_.stream->send(Bytes(" and late"));
  EXPECT_EQ(client_.flush(), " and late");
  client_.end_input();
  EXPECT_TRUE(client_.complete());
  EXPECT_FALSE(client_.codec->finished()) << "our side is still open";
  client_.stream->finish();
  client_.flush();
  EXPECT_TRUE(client_.codec->finished());
}

TEST_P(Http1ClientInput, ATunnelWhoseServerEndsFirstGoesOnTheOtherWay) {
  Head& head = client_.begin("GET", "/chat");
  head.protocol = "websocket";
  head.ended = false;
  client_.send();
  feed("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye");
  client_.end_input();
  EXPECT_TRUE(client_.stream->ended());
  for (const std::string part : {"one", "two"}) {
    client_.stream->send(Bytes(part));
    EXPECT_EQ(client_.flush(), part);
  }
  EXPECT_FALSE(client_.codec->finished());
  client_.stream->finish();
  client_.flush();
  EXPECT_TRUE(client_.codec->finished());
  EXPECT_TRUE(client_.codec->owes_output());
}

std::string asked_by_extended_connect(Client& client) {
  Head& head = client.begin("GET", "/chat");
  head.protocol = "websocket";
  head.version = Version::http2;
  head.ended = false;
  head.fields.add("sec-websocket-key", "whatever the peer made of it");
  const std::string request = client.send();
  const size_t at = request.find("sec-websocket-key: ") + 19;
  return request.substr(at, request.find('\r', at) - at);
}

TEST_P(Http1ClientInput, AnUpgradeThatCameByHttp2GetsItsOwnKey) {
  const std::string key = asked_by_extended_connect(client_);
  EXPECT_EQ(key.size(), 24u);
  feed("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
       "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: " + websocket_accept(key) + "\r\n\r\nhi");
  ASSERT_NE(client_.stream->head(), nullptr);
  EXPECT_EQ(client_.stream->head()->status, 101);
  EXPECT_EQ(text_of(client_.stream->head()->fields), "sec-websocket-protocol=chat\n");
  EXPECT_EQ(client_.body, "hi");
}

TEST_P(Http1ClientInput, AWrongAnswerToOurKeyIsRefused) {
  for (const std::string fields : {"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", ""}) {
    Client client;
    asked_by_extended_connect(client);
    client.feed("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
                    fields + "\r\nbytes", GetParam());
    EXPECT_EQ(client.failure(), Code::upstream_protocol_error);
    EXPECT_EQ(client.body, "");
    EXPECT_TRUE(client.codec->finished());
  }
}

TEST_P(Http1ClientInput, A426SaysWhichProtocolItRequires) {
  request();
  feed("HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
       "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(client_.stream->head()->protocol, "websocket");
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, ADeclinedUpgradeIsAnOrdinaryAnswer) {
  Head& head = client_.begin("GET", "/chat");
  head.protocol = "websocket";
  head.ended = false;
  client_.send();
  feed("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(client_.stream->head()->protocol, "");
  EXPECT_EQ(client_.body, "no");
  EXPECT_TRUE(client_.complete());
  EXPECT_TRUE(client_.stream->departed());
  EXPECT_TRUE(client_.reusable());
}

TEST_P(Http1ClientInput, AnotherProtocolThanAskedIsRefused) {
  for (const std::string fields : {"Connection: upgrade\r\nUpgrade: other\r\n", "Connection: upgrade\r\n",
                                   "Upgrade: websocket\r\n", ""}) {
    Client client;
    Head& head = client.begin("GET", "/chat");
    head.protocol = "websocket";
    head.ended = false;
    client.send();
    client.feed("HTTP/1.1 101 Switching Protocols\r\n" + fields + "\r\nbytes", GetParam());
    EXPECT_EQ(client.failure(), Code::upstream_protocol_error);
    EXPECT_EQ(client.body, "");
  }
}

TEST_P(Http1ClientInput, ConnectIsATunnelAfter2xxOnly) {
  for (const std::string status : {"200 OK", "403 Forbidden"}) {
    Client client;
    Head& head = client.begin("CONNECT", "");
    head.authority = "h:443";
    head.ended = false;
    EXPECT_EQ(client.send(), "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n");
    client.feed("HTTP/1.1 " + status + "\r\nContent-Length: 2\r\n\r\nok", GetParam());
    EXPECT_EQ(client.body, "ok");
    EXPECT_EQ(client.complete(), status != "200 OK");
  }
}

}  // namespace
}  // namespace tulle
