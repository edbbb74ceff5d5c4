#include "core/http/reply.hpp"

#include <gtest/gtest.h>

namespace tulle {
namespace {

constexpr size_t kRoom = 64 * 1024;

// A server stream whose request has arrived, without a connection.
class ReplyTest : public testing::Test {
 protected:
  ReplyTest() : stream_(Stream::make(dirty_, true, kRoom, kRoom)) {
    request().method_text = "GET";
    request().ended = true;
  }
  Head& request() { return stream_->arriving_head(); }
  void reply(const Error& error, const ReplyContext& context = {}) {
    stream_->head_arrived();
    send_error_reply(*stream_, *stream_->head(), error, context);
  }
  const Head& sent() { return *stream_->departing_head(); }
  std::string field(FieldId id) { return std::string(sent().fields.get(id).value_or("absent")); }
  std::string body() { return stream_->departing_body().to_string(); }

  DirtyStreams dirty_;
  StreamRef stream_;
};

TEST_F(ReplyTest, ProblemDocument) {
  reply({Code::no_endpoint, Origin::local, "cluster orders has no endpoint"},
        {.hop = "outbound@shop-1", .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"});
  EXPECT_EQ(sent().status, 503);
  EXPECT_EQ(field(FieldId::content_type), "application/problem+json");
  EXPECT_EQ(field(FieldId::tulle_error), "no_endpoint");
  EXPECT_EQ(body(),
            R"({"type":"urn:tulle:error:no_endpoint","title":"The service has no usable endpoint",)"
            R"("status":503,"detail":"cluster orders has no endpoint","code":"no_endpoint",)"
            R"("hop":"outbound@shop-1","origin":"local",)"
            R"("trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"})"
            "\n");
  EXPECT_EQ(sent().content_length, body().size());
  EXPECT_TRUE(stream_->finished());
}

TEST_F(ReplyTest, APeerThatKeepsItsWindowShutGetsTheHeadAlone) {
  stream_->limit_outbound(1024, true);
  reply({Code::no_endpoint, Origin::local, "cluster orders has no endpoint"});
  EXPECT_EQ(sent().status, 503);
  EXPECT_EQ(field(FieldId::tulle_error), "no_endpoint");
  EXPECT_EQ(field(FieldId::content_type), "absent");
  EXPECT_TRUE(sent().ended);
  EXPECT_EQ(sent().content_length, 0u);
  EXPECT_EQ(body(), "");
}

TEST_F(ReplyTest, WhatIsUnknownIsLeftOut) {
  reply({Code::connect_failed, Origin::upstream, ""});
  EXPECT_EQ(body(),
            R"({"type":"urn:tulle:error:connect_failed",)"
            R"("title":"The endpoint refused the connection","status":502,)"
            R"("code":"connect_failed","origin":"upstream"})"
            "\n");
}

TEST_F(ReplyTest, DetailsOfAnyBytesStayJsonAndShort) {
  reply({Code::upstream_protocol_error, Origin::upstream, std::string("\xff\"\n") + std::string(9000, 'x')});
  EXPECT_NE(body().find("\\\"\\n"), std::string::npos);
  EXPECT_NE(body().find("\xef\xbf\xbd"), std::string::npos);  // U+FFFD
  EXPECT_LT(body().size(), 1500u);
}

TEST_F(ReplyTest, HeadGetsNoBody) {
  request().method = Method::head;
  request().method_text = "HEAD";
  reply({Code::no_route, Origin::local, "no route"});
  EXPECT_EQ(sent().status, 404);
  EXPECT_EQ(field(FieldId::tulle_error), "no_route");
  EXPECT_TRUE(sent().ended);
  EXPECT_TRUE(body().empty());
  EXPECT_TRUE(stream_->finished());
}

TEST_F(ReplyTest, TraceIsToldWhatIsAllowed) {
  request().method = Method::trace;
  request().method_text = "TRACE";
  reply({Code::not_implemented, Origin::downstream, "TRACE is not forwarded"});
  EXPECT_EQ(sent().status, 405);
  EXPECT_EQ(sent().fields.get("allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
}

// RFC 9110 lets parameters and other types be anything; gRPC's own type is exact.
TEST_F(ReplyTest, WhatOnlyLooksLikeGrpcGetsHttp) {
  for (const char* type : {"application/grpc;evil", "application/grpc-web", "application/grpcx",
                           "application/grpc-web+proto", "text/plain"}) {
    Head head;
    head.method_text = "POST";
    head.fields.add(FieldId::content_type, type);
    Stream* stream = Stream::make(dirty_, true, kRoom, kRoom);
    StreamRef owner(stream);
    stream->head_arrived();
    send_error_reply(*stream, head, {Code::denied, Origin::local, ""}, {});
    EXPECT_EQ(stream->departing_head()->status, 403) << type;
    EXPECT_FALSE(stream->departing_head()->fields.has(FieldId::grpc_status)) << type;
  }
}

TEST_F(ReplyTest, GrpcGetsTrailersOnly) {
  request().fields.add(FieldId::content_type, "application/grpc+proto");
  reply({Code::connect_failed, Origin::upstream, "connect 10.0.0.1:80: 100 % r\xc3\xbc" "ckwärts\n"});
  EXPECT_EQ(sent().status, 200);
  EXPECT_TRUE(sent().ended);
  EXPECT_EQ(field(FieldId::content_type), "application/grpc+proto");
  EXPECT_EQ(field(FieldId::grpc_status), "14");
  EXPECT_EQ(field(FieldId::grpc_message),
            "The endpoint refused the connection: connect 10.0.0.1:80: 100 %25 r%C3%BCckw%C3%A4rts%0A");
  EXPECT_EQ(field(FieldId::tulle_error), "connect_failed");
  EXPECT_TRUE(body().empty());
}

TEST_F(ReplyTest, ACallWhoseAnswerHasBegunEndsInItsTrailers) {
  Fields trailers;
  trailers.add("x-from-upstream", "1");
  add_error_status(trailers, {Code::deadline_exceeded, Origin::upstream, "5s are over"});
  EXPECT_EQ(trailers.get(FieldId::grpc_status), "4");
  EXPECT_EQ(trailers.get(FieldId::grpc_message), "The caller's deadline has passed: 5s are over");
  EXPECT_EQ(trailers.get(FieldId::tulle_error), "deadline_exceeded");
  EXPECT_EQ(trailers.size(), 3u);
}

TEST_F(ReplyTest, HalfWrittenDraftIsThrownAway) {
  stream_->draft().status = 200;
  stream_->draft().fields.add("x-from-upstream", "1");
  reply({Code::upstream_reset, Origin::upstream, ""});
  EXPECT_EQ(sent().status, 502);
  EXPECT_FALSE(sent().fields.get("x-from-upstream"));
}

TEST_F(ReplyTest, ReplyToAFailedStreamDoesNothing) {
  stream_->fail({Code::closed, Origin::downstream, "gone"});
  reply({Code::no_route, Origin::local, ""});
  EXPECT_EQ(stream_->departing_head(), nullptr);
}

struct Expected {
  Code code;
  int http;
  int grpc;
};

TEST(ReplyTableTest, StatusesAreThoseOfTheDesign) {
  const Expected rows[] = {
      {Code::no_route, 404, 12},          {Code::no_endpoint, 503, 14},
      {Code::circuit_open, 503, 14},      {Code::overloaded, 503, 14},
      {Code::config_missing, 503, 14},    {Code::connect_failed, 502, 14},
      {Code::connect_timeout, 502, 14},   {Code::tls_failed, 502, 14},
      {Code::identity_mismatch, 502, 14}, {Code::upstream_reset, 502, 14},
      {Code::upstream_protocol_error, 502, 14},
      {Code::request_timeout, 504, 4},    {Code::attempt_timeout, 504, 4},
      {Code::deadline_exceeded, 504, 4},  {Code::rate_limited, 429, 8},
      {Code::denied, 403, 7},             {Code::unauthenticated, 401, 16},
      {Code::bad_request, 400, 13},       {Code::header_too_large, 431, 8},
      {Code::uri_too_long, 414, 13},      {Code::not_implemented, 501, 12},
      {Code::version_not_supported, 505, 13},
      {Code::invalid_backend, 500, 14},   {Code::internal, 500, 13},
  };
  for (const Expected& row : rows) {
    EXPECT_EQ(http_status(row.code), row.http) << to_string(row.code);
    EXPECT_EQ(grpc_status(row.code), row.grpc) << to_string(row.code);
  }
}

TEST(ReplyTableTest, EveryCodeHasAnAnswer) {
  for (int code = 0; code <= static_cast<int>(Code::address_in_use); ++code) {
    const int status = http_status(static_cast<Code>(code));
    EXPECT_GE(status, 400) << to_string(static_cast<Code>(code));
    EXPECT_LE(status, 599);
    EXPECT_GT(grpc_status(static_cast<Code>(code)), 0);
  }
}

TEST(ReplyTableTest, ResponseFlags) {
  const auto flag = [](Code code, Origin origin) { return response_flag({code, origin, {}}); };
  EXPECT_EQ(flag(Code::no_route, Origin::local), "NR");
  EXPECT_EQ(flag(Code::no_endpoint, Origin::local), "UH");
  EXPECT_EQ(flag(Code::circuit_open, Origin::local), "UO");
  EXPECT_EQ(flag(Code::tls_failed, Origin::upstream), "UF");
  EXPECT_EQ(flag(Code::upstream_reset, Origin::upstream), "UR");
  EXPECT_EQ(flag(Code::request_timeout, Origin::upstream), "UT");
  EXPECT_EQ(flag(Code::rate_limited, Origin::local), "RL");
  EXPECT_EQ(flag(Code::closed, Origin::downstream), "DC");
  EXPECT_EQ(flag(Code::closed, Origin::upstream), "UC");
  EXPECT_EQ(flag(Code::denied, Origin::local), "");
}

TEST_F(ReplyTest, TextReply) {
  stream_->head_arrived();
  send_text_reply(*stream_, 200, "text/plain", "ready\n");
  EXPECT_EQ(sent().status, 200);
  EXPECT_EQ(sent().content_length, 6u);
  EXPECT_EQ(body(), "ready\n");
  EXPECT_TRUE(stream_->finished());
}

TEST_F(ReplyTest, EmptyTextReply) {
  stream_->head_arrived();
  send_text_reply(*stream_, 204, "", "");
  EXPECT_TRUE(sent().ended);
  EXPECT_FALSE(sent().fields.has(FieldId::content_type));
}

}  // namespace
}  // namespace tulle
