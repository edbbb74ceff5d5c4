#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/http/websocket.hpp"
#include "tests/support/http1_driver.hpp"

namespace tulle {
namespace {

using testing::text_of;
using namespace std::string_literals;  // NOLINT: an input that holds NUL

// A client codec, its one stream, and what came of the response.
struct Client {
  explicit Client(HttpLimits limits_to_use = {})
      : limits(limits_to_use), codec(make_http1_codec(Codec::Role::client, limits, "http")) {}
  ~Client() { stream.reset(); }

  // Opens a stream and fills its draft; not yet sent.
  Head& begin(std::string_view method = "GET", std::string_view path = "/") {
    stream.reset(codec->open());
    body.clear();
    Head& head = stream->draft();
    head.method = method_of(method);
    head.method_text = method;
    head.path = path;
    head.authority = "a.example";
    head.ended = true;
    return head;
  }
  std::string send() {
    stream->send_head();
    return flush();
  }
  std::string flush() {
    Bytes wire;
    codec->write(wire, 1 << 20);
    return wire.to_string();
  }
  void feed(std::string_view bytes, size_t piece = 0) {
    if (piece == 0) piece = std::max<size_t>(bytes.size(), 1);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      read_failed = !codec->read(bytes.substr(0, piece), now) || read_failed;
      for (int i = 0; i < 3; ++i) {
        take();
        flush();
      }
    }
  }
  void take() {
    if (stream == nullptr) return;
    while (const Head* interim = stream->interim()) {
      interims.push_back(interim->status);
      stream->drop_interim();
    }
    body += stream->receive(SIZE_MAX).to_string();
  }
  void end_input() {
    codec->end_of_input(std::nullopt);
    take();
  }
  bool complete() const { return stream->ended() && stream->failure() == nullptr; }
  std::optional<Code> failure() const {
    if (stream->failure() == nullptr) return std::nullopt;
    return stream->failure()->code;
  }
  // Another request can go out.
  bool reusable() {
    stream.reset();
    flush();
    Stream* next = codec->open();
    if (next == nullptr) return false;
    EXPECT_TRUE(next->reused_connection());
    stream.reset(next);
    return true;
  }

  HttpLimits limits;
  std::unique_ptr<Codec> codec;
  Instant now{1'000'000'000};
  StreamRef stream;
  std::string body;
  std::vector<int> interims;
  bool read_failed = false;
};

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

// ---- requests --------------------------------------------------------------------------------

TEST(Http1Client, RequestsAreSaidFromTheModel) {
  Client client;
  Head& head = client.begin("GET", "/x?y=1");
  head.fields.add("Accept", "*/*");
  head.fields.add("TE", "trailers");
  head.fields.add("Connection", "keep-alive, x");
  head.fields.add("Host", "other");
  head.fields.add("Transfer-Encoding", "gzip");
  EXPECT_EQ(client.send(),
            "GET /x?y=1 HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nte: trailers\r\nconnection: te\r\n\r\n");
  EXPECT_TRUE(client.stream->departed());
}

TEST(Http1Client, EmptyBodiesAreAnnouncedWhereOneIsExpected) {
  for (const std::string method : {"POST", "PUT", "PATCH"}) {
    Client client;
    client.begin(method);
    EXPECT_EQ(client.send(), method + " / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n");
  }
  Client client;
  client.begin("DELETE", "");
  EXPECT_EQ(client.send(), "DELETE / HTTP/1.1\r\nhost: a.example\r\n\r\n");
}

TEST(Http1Client, BodiesOfUnknownLengthAreChunked) {
  Client client;
  client.begin("POST").ended = false;
  EXPECT_EQ(client.send(), "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n");
  client.stream->send(Bytes("hello"));
  client.stream->send(Bytes(std::string(3000, 'x')));
  EXPECT_EQ(client.flush(), "bbd\r\nhello" + std::string(3000, 'x') + "\r\n");
  client.stream->draft_trailers().add("X-Sum", "1");
  client.stream->finish();
  EXPECT_EQ(client.flush(), "0\r\nx-sum: 1\r\n\r\n");
}

// As HTTP/2 may send it: length and trailers.
TEST(Http1Client, AnnouncedTrailersTravelInChunksThoughTheLengthIsKnown) {
  Client client;
  Head& head = client.begin("POST");
  head.ended = false;
  head.content_length = 5;
  head.fields.add("trailer", "x-sum");
  head.version = Version::http2;
  EXPECT_EQ(client.send(),
            "POST / HTTP/1.1\r\nhost: a.example\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n");
  client.stream->send(Bytes("hello"));
  client.stream->draft_trailers().add("x-sum", "1");
  client.stream->finish();
  EXPECT_EQ(client.flush(), "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");
}

TEST(Http1Client, TrailersThatNobodyAnnouncedAreDroppedBehindALength) {
  Client client;
  Head& head = client.begin("POST");
  head.ended = false;
  head.content_length = 5;
  EXPECT_EQ(client.send(), "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\n");
  client.stream->send(Bytes("hello"));
  client.stream->draft_trailers().add("x-sum", "1");
  client.stream->finish();
  EXPECT_EQ(client.flush(), "hello");
}

TEST(Http1Client, GrpcIsNotSaidInHttp1) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "Application/gRPC;x=1"}) {
    Client client;
    Head& head = client.begin("POST");
    head.ended = false;
    head.fields.add(FieldId::content_type, type);
    EXPECT_EQ(client.send(), "") << type;
    EXPECT_EQ(client.failure(), Code::not_implemented) << type;
    EXPECT_TRUE(client.reusable()) << "not a byte was sent";
  }
  for (const char* type : {"application/grpc-web", "application/grpc-web+proto", "text/plain"}) {
    Client client;
    client.begin("POST").fields.add(FieldId::content_type, type);
    EXPECT_NE(client.send(), "") << type;
  }
}

TEST(Http1Client, WhatCannotBeSaidIsNotSent) {
  struct Case {
    std::string method, path, authority;
  };
  for (const Case& bad : {Case{"GET /x", "/", "a"}, Case{"GET", "/a b", "a"}, Case{"GET", "/\r\nX: y", "a"},
                          Case{"GET", "x", "a"}, Case{"GET", "/", "a b"}, Case{"GET", "/", "a\r\nX: y"},
                          Case{"GET", "/", "u@a"}, Case{"", "/", "a"}, Case{"GET", "http://a/", "a"}}) {
    Client client;
    Head& head = client.begin(bad.method, bad.path);
    head.authority = bad.authority;
    EXPECT_EQ(client.send(), "");
    EXPECT_EQ(client.failure(), Code::bad_request);
    EXPECT_FALSE(client.codec->finished());
    EXPECT_TRUE(client.reusable()) << "not a byte was sent";
  }
}

TEST(Http1Client, BytesOnAnIdleConnectionPoisonIt) {
  Client idle;
  idle.feed("HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_TRUE(idle.read_failed);
  EXPECT_TRUE(idle.codec->finished());
  EXPECT_EQ(idle.codec->open(), nullptr);

  Client opened;
  opened.begin();
  opened.feed("H");
  EXPECT_TRUE(opened.read_failed);
  EXPECT_EQ(opened.failure(), Code::upstream_reset);
  EXPECT_TRUE(opened.stream->untouched());
}

TEST(Http1Client, ACloseBeforeTheAnswerLeavesTheStreamUntouched) {
  Client client;
  client.begin();
  client.send();
  client.end_input();
  EXPECT_EQ(client.failure(), Code::upstream_reset);
  EXPECT_TRUE(client.stream->untouched());
}

TEST(Http1Client, AnAnswerBeforeTheRequestIsCompleteEndsTheConnection) {
  Client client;
  client.begin("POST").content_length = 100'000;
  client.stream->draft().ended = false;
  client.send();
  client.stream->send(Bytes("some"));
  client.feed("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nto");
  client.stream->send(Bytes(" more"));
  EXPECT_EQ(client.flush(), " more") << "sending goes on until the answer is complete";
  client.feed("o!");
  EXPECT_TRUE(client.complete());
  EXPECT_TRUE(client.codec->finished());
  EXPECT_GT(client.stream->room(), 0u);
  client.stream->send(Bytes(std::string(client.stream->room(), 'x')));
  EXPECT_GT(client.stream->room(), 0u) << "taken and dropped";
  EXPECT_EQ(client.flush(), "");
  EXPECT_FALSE(client.reusable());
}

TEST(Http1Client, ABodyOfTheWrongLengthEndsTheConnection) {
  for (const std::string body : {"toolong", "a"}) {
    Client client;
    Head& head = client.begin("PUT");
    head.ended = false;
    head.content_length = 3;
    client.send();
    client.stream->send(Bytes(body));
    client.stream->finish();
    EXPECT_EQ(client.flush(), body.substr(0, 3));
    EXPECT_EQ(client.failure(), Code::internal);
    EXPECT_TRUE(client.codec->finished());
  }
}

TEST(Http1Client, WritesStopAtTheLimit) {
  Client client;
  Head& head = client.begin("PUT");
  head.ended = false;
  head.content_length = 60'000;
  EXPECT_FALSE(client.codec->wants_write());
  client.stream->send_head();
  EXPECT_TRUE(client.codec->wants_write());
  client.flush();
  client.stream->send(Bytes(std::string(60'000, 'x')));
  client.stream->finish();
  size_t sent = 0;
  while (client.codec->wants_write()) {
    Bytes wire;
    client.codec->write(wire, 25'000);
    EXPECT_LE(wire.size(), 25'000u);
    sent += wire.size();
  }
  EXPECT_EQ(sent, 60'000u);
  EXPECT_TRUE(client.stream->departed());
}

TEST(Http1Client, CancellingBeforeTheFirstByteKeepsTheConnection) {
  Client client;
  client.begin();
  EXPECT_TRUE(client.reusable());
}

TEST(Http1Client, CancellingLaterEndsIt) {
  Client client;
  client.begin();
  client.send();
  EXPECT_FALSE(client.reusable());
  EXPECT_TRUE(client.codec->finished());
  EXPECT_EQ(client.codec->dirty().alive, 0u);
}

TEST(Http1Client, OneStreamAtATime) {
  Client client;
  client.begin();
  EXPECT_FALSE(client.stream->reused_connection());
  EXPECT_EQ(client.codec->open(), nullptr);
  EXPECT_EQ(client.codec->open_streams(), 1u);
}

TEST(Http1Client, RetiringLetsTheLastExchangeFinish) {
  Client client;
  client.begin();
  client.codec->retire();
  EXPECT_EQ(client.send(), "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n");
  client.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client.complete());
  EXPECT_TRUE(client.codec->finished());
}

TEST(Http1Client, ABodyWaitsForItsReader) {
  Client client;
  client.begin();
  client.send();
  ASSERT_TRUE(client.codec->read("HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n", client.now));
  ASSERT_TRUE(client.codec->read(std::string(100'000, 'x'), client.now));
  EXPECT_EQ(client.stream->readable(), client.limits.stream_inbound);
  EXPECT_FALSE(client.codec->wants_read());
  client.take();
  EXPECT_TRUE(client.codec->wants_write());
  client.flush();
  EXPECT_TRUE(client.codec->wants_read());
  client.feed(std::string(50'000, 'x'));
  EXPECT_TRUE(client.complete());
  EXPECT_EQ(client.body.size(), 150'000u);
  EXPECT_TRUE(client.reusable());
}

// Its client's window is shut: what is read is read for nobody.
TEST(Http1Client, AReaderThatWantsLittleIsReadToInLittlePieces) {
  Client client;
  client.begin();
  client.stream->limit_inbound(1024);
  client.send();
  const size_t most = client.codec->most_per_read();
  EXPECT_LE(most, 2048u);
  EXPECT_TRUE(client.codec->wants_read());
  ASSERT_TRUE(client.codec->read("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", client.now));
  EXPECT_TRUE(client.codec->wants_read());
  ASSERT_TRUE(client.codec->read(std::string(700, 'x'), client.now));
  EXPECT_FALSE(client.codec->wants_read()) << "before that is taken";
  client.take();
  EXPECT_TRUE(client.codec->wants_write()) << "whatever was taken";
  client.flush();
  EXPECT_TRUE(client.codec->wants_read());
  ASSERT_TRUE(client.codec->read(std::string(most, 'x'), client.now));
  EXPECT_EQ(client.stream->readable(), 1024u);

  client.stream->limit_inbound(SIZE_MAX);
  client.flush();
  EXPECT_EQ(client.codec->most_per_read(), SIZE_MAX);
  EXPECT_EQ(client.stream->readable(), most);
  EXPECT_TRUE(client.codec->wants_read());
  client.feed(std::string(100'000 - 700 - most, 'x'));
  EXPECT_TRUE(client.complete());
  EXPECT_EQ(client.body.size(), 100'000u);
}

TEST(Http1Client, AReaderThatWantsNothingIsNotReadFor) {
  Client client;
  client.begin();
  client.stream->limit_inbound(0);
  client.send();
  EXPECT_FALSE(client.codec->wants_read());
  client.stream->limit_inbound(SIZE_MAX);
  client.flush();
  EXPECT_TRUE(client.codec->wants_read());
  client.feed("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + std::string(10000, 'x'));
  client.stream->limit_inbound(0);
  client.flush();
  EXPECT_FALSE(client.codec->wants_read()) << "also when what there was has been taken";
  client.stream->limit_inbound(SIZE_MAX);
  client.flush();
  client.feed(std::string(90000, 'x'));
  EXPECT_TRUE(client.complete());
  EXPECT_EQ(client.body.size(), 100'000u);
}

TEST(Http1Client, ALimitEndsWithItsExchange) {
  Client client;
  client.begin();
  client.stream->limit_inbound(1024);
  client.send();
  client.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client.complete());
  EXPECT_TRUE(client.reusable());
  EXPECT_EQ(client.codec->most_per_read(), SIZE_MAX);
  EXPECT_TRUE(client.codec->wants_read());
}

TEST(Http1Client, ASlowHeadFailsTheStream) {
  Client client;
  client.begin();
  client.send();
  EXPECT_EQ(client.codec->waiting(), Codec::Waiting::handlers);
  client.feed("HTTP/1.1 200");
  EXPECT_EQ(client.codec->waiting(), Codec::Waiting::head);
  client.codec->timed_out(Codec::Waiting::head);
  EXPECT_EQ(client.failure(), Code::upstream_protocol_error);
}

TEST(Http1Client, AnIdleConnectionCloses) {
  Client client;
  EXPECT_EQ(client.codec->waiting(), Codec::Waiting::idle);
  client.codec->timed_out(Codec::Waiting::idle);
  EXPECT_TRUE(client.codec->finished());
}

}  // namespace
}  // namespace tulle
