// What an HTTP/1 client codec says, how much it holds, and how long it waits.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/field_text.hpp"
#include "tests/support/http1_client_driver.hpp"

namespace tulle {
namespace {

using Client = testing::Http1ClientDriver;

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
