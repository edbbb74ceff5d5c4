// Exchanges between a client codec and a server codec: what goes in on one side comes out on the
// other, whole or cut into single bytes.

#include <string>

#include <gtest/gtest.h>

#include "tests/support/field_text.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

using testing::text_of;

class Http2Exchange : public ::testing::TestWithParam<size_t> {
 protected:
  Http2Exchange() { pair_.cut = GetParam(); }
  Http2Pair pair_;
};

TEST_P(Http2Exchange, RequestAndAnswerWithoutBodies) {
  StreamRef up = pair_.open();
  Head& draft = up->draft();
  draft.method = Method::get;
  draft.method_text = "GET";
  draft.path = "/a?b=c";
  draft.authority = "shop.example:8080";
  draft.fields.add("accept", "*/*");
  draft.fields.add("x-own", "one");
  draft.fields.add("x-own", "two");
  draft.fields.add(FieldId::connection, "close");
  draft.fields.add(FieldId::te, "trailers");
  draft.ended = true;
  up->send_head();
  pair_.pump();

  StreamRef down = pair_.take();
  ASSERT_NE(down, nullptr);
  const Head& head = *down->head();
  EXPECT_EQ(head.method, Method::get);
  EXPECT_EQ(head.method_text, "GET");
  EXPECT_EQ(head.scheme, "http");
  EXPECT_EQ(head.authority, "shop.example:8080");
  EXPECT_EQ(head.path, "/a?b=c");
  EXPECT_EQ(head.version, Version::http2);
  EXPECT_TRUE(head.ended);
  EXPECT_TRUE(down->ended());
  EXPECT_FALSE(head.content_length);
  EXPECT_EQ(head.fields.size(), 4u);
  EXPECT_EQ(head.fields.get("x-own"), "one");
  EXPECT_FALSE(head.fields.has(FieldId::connection));
  EXPECT_EQ(head.fields.get(FieldId::te), "trailers");

  down->draft().status = 404;
  down->draft().fields.add("server", "tulle");
  down->draft().ended = true;
  down->send_head();
  pair_.pump();
  ASSERT_NE(up->head(), nullptr);
  EXPECT_EQ(up->head()->status, 404);
  EXPECT_EQ(up->head()->fields.get("server"), "tulle");
  EXPECT_TRUE(up->head()->ended);
  EXPECT_TRUE(up->ended());
  EXPECT_TRUE(up->departed());
  EXPECT_TRUE(down->departed());
  EXPECT_FALSE(up->untouched());
  EXPECT_EQ(up->failure(), nullptr);
  EXPECT_EQ(down->failure(), nullptr);
  EXPECT_EQ(pair_.client->open_streams(), 0u);
  EXPECT_EQ(pair_.server->open_streams(), 0u);
}

TEST_P(Http2Exchange, BodiesAndLengthsBothWays) {
  StreamRef up = pair_.request("POST", "/", true);
  up->send(Bytes("ping"));
  up->finish();
  pair_.pump();
  StreamRef down = pair_.take();
  EXPECT_EQ(all_of(*down), "ping");
  EXPECT_TRUE(down->ended());
  down->draft().status = 200;
  down->draft().content_length = 4;
  down->send_head();
  down->send(Bytes("pong"));
  down->finish();
  pair_.pump();
  EXPECT_EQ(up->head()->content_length, 4u);
  EXPECT_FALSE(up->head()->fields.has(FieldId::content_length));
  EXPECT_EQ(all_of(*up), "pong");
  EXPECT_TRUE(up->ended());
  EXPECT_EQ(up->bytes_sent(), 4u);
  EXPECT_EQ(up->bytes_received(), 4u);
}

TEST_P(Http2Exchange, OneMebibyteEachWay) {
  constexpr size_t kSize = 1 << 20;
  StreamRef up = pair_.request("POST", "/", true);
  size_t to_send = kSize;
  size_t to_answer = kSize;
  std::string at_server;
  std::string at_client;
  StreamRef down;
  for (int round = 0; round < 10000 && !(up->ended() && down && down->ended()); ++round) {
    if (!up->finished()) send_some(*up, to_send);
    pair_.step();
    if (down == nullptr && (down = pair_.take()) != nullptr) {
      down->draft().status = 200;
      down->send_head();
    }
    if (down == nullptr) continue;
    at_server += all_of(*down);
    if (!down->finished()) send_some(*down, to_answer);
    at_client += all_of(*up);
  }
  EXPECT_EQ(at_server.size(), kSize);
  EXPECT_EQ(at_client.size(), kSize);
  EXPECT_TRUE(down->ended());
  EXPECT_TRUE(up->ended());
  EXPECT_EQ(at_client.find_first_not_of('x'), std::string::npos);
}

TEST_P(Http2Exchange, TrailersBothWays) {
  StreamRef up = pair_.request("POST", "/", true);
  up->send(Bytes("body"));
  up->draft_trailers().add("x-sum", "1");
  up->finish();
  pair_.pump();
  StreamRef down = pair_.take();
  EXPECT_EQ(all_of(*down), "body");
  EXPECT_TRUE(down->ended());
  EXPECT_EQ(down->trailers().get("x-sum"), "1");
  down->draft().status = 200;
  down->send_head();
  pair_.pump();
  down->send(Bytes("answer"));
  pair_.pump();
  down->draft_trailers().add(FieldId::grpc_status, "0");
  down->finish();
  pair_.pump();
  EXPECT_EQ(all_of(*up), "answer");
  EXPECT_TRUE(up->ended());
  EXPECT_EQ(up->trailers().get(FieldId::grpc_status), "0");
  EXPECT_TRUE(up->departed());
  EXPECT_TRUE(down->departed());
}

TEST_P(Http2Exchange, TrailersWithoutABody) {
  StreamRef up = pair_.request("GET", "/");
  pair_.pump();
  StreamRef down = pair_.take();
  down->draft().status = 200;
  down->send_head();
  down->draft_trailers().add(FieldId::grpc_status, "12");
  down->finish();
  pair_.pump();
  EXPECT_FALSE(up->head()->ended);
  EXPECT_TRUE(up->ended());
  EXPECT_EQ(up->trailers().get(FieldId::grpc_status), "12");
}

TEST_P(Http2Exchange, CookieCrumbsAreJoined) {
  StreamRef up = pair_.request("GET", "/", true);
  up->cancel(Code::cancelled);
  up = pair_.open();
  up->draft().method_text = "GET";
  up->draft().path = "/";
  up->draft().authority = "a";
  up->draft().fields.add(FieldId::cookie, "a=1");
  up->draft().fields.add("x", "y");
  up->draft().fields.add(FieldId::cookie, "b=2; c=3");
  up->draft().fields.add(FieldId::cookie, "");
  up->draft().ended = true;
  up->send_head();
  pair_.pump();
  StreamRef down = pair_.take();
  EXPECT_EQ(down->head()->fields.count(FieldId::cookie), 1u);
  EXPECT_EQ(down->head()->fields.get(FieldId::cookie), "a=1; b=2; c=3");
}

TEST_P(Http2Exchange, InterimHeads) {
  StreamRef up = pair_.request("POST", "/", true);
  up->draft();
  pair_.pump();
  StreamRef down = pair_.take();
  down->draft().status = 100;
  down->send_interim();
  down->draft().status = 103;
  down->draft().fields.add("link", "</style.css>");
  down->send_interim();
  pair_.pump();
  ASSERT_NE(up->interim(), nullptr);
  EXPECT_EQ(up->interim()->status, 100);
  up->drop_interim();
  EXPECT_EQ(up->interim()->status, 103);
  EXPECT_EQ(up->interim()->fields.get("link"), "</style.css>");
  EXPECT_EQ(up->head(), nullptr);
  up->finish();
  Http2Pair::respond(*down, 200, "done");
  pair_.pump();
  EXPECT_EQ(up->head()->status, 200);
  EXPECT_EQ(all_of(*up), "done");
  EXPECT_TRUE(up->ended());
}

TEST_P(Http2Exchange, InterimAndFinalHeadInOneWrite) {
  StreamRef up = pair_.request("GET", "/");
  pair_.pump();
  StreamRef down = pair_.take();
  down->draft().status = 103;
  down->send_interim();
  Http2Pair::respond(*down, 200, "x");
  pair_.pump();
  EXPECT_EQ(up->interim()->status, 103);
  EXPECT_EQ(up->head()->status, 200);
  EXPECT_EQ(all_of(*up), "x");
}

TEST_P(Http2Exchange, AnswersToHeadHaveNoBody) {
  StreamRef up = pair_.request("HEAD", "/");
  pair_.pump();
  StreamRef down = pair_.take();
  down->draft().status = 200;
  down->draft().content_length = 1000;
  down->send_head();
  down->send(Bytes("HTTP/1.1 200 OK\r\n\r\n"));
  pair_.pump();
  down->send(Bytes("more"));
  down->finish();
  pair_.pump();
  ASSERT_NE(up->head(), nullptr) << (up->failure() ? up->failure()->detail : "no failure");
  EXPECT_EQ(up->head()->content_length, 1000u);
  EXPECT_TRUE(up->ended());
  EXPECT_EQ(up->readable(), 0u);
  EXPECT_EQ(up->failure(), nullptr);
  EXPECT_TRUE(down->departed());
}

TEST_P(Http2Exchange, NoContentAndNotModifiedHaveNoBody) {
  for (int status : {204, 304}) {
    StreamRef up = pair_.request("GET", "/");
    pair_.pump();
    StreamRef down = pair_.take();
    down->draft().status = status;
    down->draft().content_length = 5;
    down->send_head();
    down->send(Bytes("hello"));
    down->finish();
    pair_.pump();
    EXPECT_EQ(up->head()->status, status);
    EXPECT_TRUE(up->ended());
    EXPECT_EQ(up->readable(), 0u);
    EXPECT_EQ(up->head()->content_length.has_value(), status == 304);
  }
}

TEST_P(Http2Exchange, ManyAtOnce) {
  std::vector<StreamRef> ups;
  for (int i = 0; i < 100; ++i) ups.push_back(pair_.request("GET", "/" + std::to_string(i)));
  EXPECT_EQ(pair_.client->open(), nullptr);
  pair_.pump();
  ASSERT_EQ(pair_.accepted.size(), 100u);
  for (StreamRef& down : pair_.accepted) {
    Http2Pair::respond(*down, 200, std::string(down->head()->path));
  }
  pair_.pump();
  for (int i = 0; i < 100; ++i) {
    const size_t k = static_cast<size_t>(i);
    EXPECT_EQ(all_of(*ups[k]), "/" + std::to_string(i));
    EXPECT_TRUE(ups[k]->ended());
  }
  EXPECT_EQ(pair_.client->open_streams(), 0u);
}

TEST_P(Http2Exchange, ExpectContinue) {
  StreamRef up = pair_.open();
  up->draft().method_text = "PUT";
  up->draft().path = "/";
  up->draft().authority = "a";
  up->draft().fields.add(FieldId::expect, "100-Continue");
  up->send_head();
  pair_.pump();
  StreamRef down = pair_.take();
  EXPECT_TRUE(down->head()->expects_continue);
  EXPECT_EQ(down->head()->fields.get(FieldId::expect), "100-Continue");
}

TEST_P(Http2Exchange, LargeHeadsNeedContinuations) {
  StreamRef up = pair_.open();
  up->draft().method_text = "GET";
  up->draft().path = "/";
  up->draft().authority = "a";
  up->draft().ended = true;
  const std::string value(20000, '\x7e');  // long in Huffman code
  up->draft().fields.add("x-a", value);
  up->draft().fields.add("x-b", value);
  up->send_head();
  pair_.pump();
  StreamRef down = pair_.take();
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->head()->fields.get("x-b"), value);
}

INSTANTIATE_TEST_SUITE_P(Cut, Http2Exchange, ::testing::Values(0, 1, 7),
                         [](const auto& cut) { return "by" + std::to_string(cut.param); });

}  // namespace
}  // namespace tulle
