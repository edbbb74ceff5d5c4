// Extended CONNECT and CONNECT between a client codec and a server codec, whole or cut into single
// bytes.

#include <string>

#include <gtest/gtest.h>

#include "tests/support/field_text.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

using testing::text_of;

class Http2Tunnel : public ::testing::TestWithParam<size_t> {
 protected:
  Http2Tunnel() { pair_.cut = GetParam(); }
  StreamRef ask_for_websocket() {
    StreamRef up = pair_.open();
    Head& head = up->draft();
    head.method_text = "GET";
    head.path = "/";
    head.authority = "a";
    head.protocol = "websocket";
    head.version = Version::http2;
    up->send_head();
    pair_.pump();
    return up;
  }
  Http2Pair pair_;
};

TEST_P(Http2Tunnel, ExtendedConnectMeetsUpgradeInTheMiddle) {
  pair_.pump();  // the client must know that the server can
  StreamRef up = pair_.open();
  up->draft().method_text = "GET";
  up->draft().path = "/chat";
  up->draft().authority = "a";
  up->draft().protocol = "websocket";
  up->draft().version = Version::http2;
  up->draft().fields.add("sec-websocket-version", "13");
  up->send_head();
  pair_.pump();
  StreamRef down = pair_.take();
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->head()->method, Method::get);
  EXPECT_EQ(down->head()->method_text, "GET");
  EXPECT_EQ(down->head()->protocol, "websocket");
  EXPECT_EQ(down->head()->path, "/chat");
  down->draft().status = 101;
  down->send_head();
  down->send(Bytes("from server"));
  up->send(Bytes("from client"));
  pair_.pump();
  EXPECT_EQ(up->head()->status, 101);
  EXPECT_EQ(all_of(*up), "from server");
  EXPECT_EQ(all_of(*down), "from client");
  EXPECT_FALSE(up->arrived());
  up->finish();
  down->finish();
  pair_.pump();
  EXPECT_TRUE(up->ended());
  EXPECT_TRUE(down->ended());
}

TEST_P(Http2Tunnel, ExtendedConnectWaitsForSettings) {
  StreamRef up = pair_.open();  // nothing has been said yet
  up->draft().method_text = "GET";
  up->draft().path = "/";
  up->draft().authority = "a";
  up->draft().protocol = "websocket";
  up->draft().version = Version::http2;
  up->send_head();
  pair_.pump();
  ASSERT_EQ(pair_.accepted.size(), 1u);
  EXPECT_EQ(pair_.accepted.front()->head()->protocol, "websocket");
}

TEST_P(Http2Tunnel, ARefusedUpgradeIsAnOrdinaryAnswer) {
  pair_.pump();
  StreamRef up = pair_.open();
  up->draft().method_text = "GET";
  up->draft().path = "/";
  up->draft().authority = "a";
  up->draft().protocol = "websocket";
  up->draft().version = Version::http2;
  up->send_head();
  pair_.pump();
  StreamRef down = pair_.take();
  Http2Pair::respond(*down, 403, "no");
  pair_.pump();
  EXPECT_EQ(up->head()->status, 403);
  EXPECT_EQ(all_of(*up), "no");
}

// Over HTTP/2 a success would open the tunnel.
TEST_P(Http2Tunnel, ASuccessThatDeclinesTheUpgradeIsNotASwitch) {
  for (const int status : {200, 204}) {
    pair_.pump();
    StreamRef up = ask_for_websocket();
    StreamRef down = pair_.take();
    const std::string_view body = status == 200 ? "a page" : "";
    down->draft().content_length = body.size();
    down->draft().fields.add("sec-websocket-accept", "not a switch");
    Http2Pair::respond(*down, status, body);
    pair_.pump();
    EXPECT_EQ(up->head()->status, status);
    EXPECT_EQ(text_of(up->head()->fields), "");
    EXPECT_EQ(all_of(*up), body);
    EXPECT_TRUE(up->ended());
  }
}

TEST_P(Http2Tunnel, KeysOfAWebSocketStayOnTheirConnection) {
  pair_.pump();
  StreamRef up = pair_.open();
  Head& head = up->draft();
  head.method_text = "GET";
  head.path = "/";
  head.authority = "a";
  head.protocol = "websocket";
  head.fields.add("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
  head.fields.add("sec-websocket-protocol", "chat");
  up->send_head();
  pair_.pump();
  StreamRef down = pair_.take();
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(text_of(down->head()->fields), "sec-websocket-protocol=chat\n");
  down->draft().status = 101;
  down->draft().fields.add("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  down->send_head();
  pair_.pump();
  EXPECT_EQ(up->head()->status, 101);
  EXPECT_EQ(text_of(up->head()->fields), "");
}

TEST_P(Http2Tunnel, WhatExtendedConnectCannotSayIsRefused) {
  struct Case {
    const char* method;
    const char* protocol;
    const char* key;
  };
  pair_.pump();
  for (const Case& bad : {Case{"POST", "tcp", ""}, Case{"GET", "websocket", ""},
                          Case{"GET", "websocket", "c2hvcnQ="}}) {
    StreamRef up = pair_.open();
    Head& head = up->draft();
    head.method_text = bad.method;
    head.path = "/";
    head.authority = "a";
    head.protocol = bad.protocol;
    if (*bad.key != 0) head.fields.add("sec-websocket-key", bad.key);
    up->send_head();
    pair_.pump();
    ASSERT_NE(up->failure(), nullptr);
    EXPECT_EQ(up->failure()->code, Code::bad_request);
    EXPECT_EQ(up->failure()->origin, Origin::downstream);
    EXPECT_TRUE(pair_.accepted.empty());
  }
}

TEST_P(Http2Tunnel, PlainConnect) {
  StreamRef up = pair_.open();
  up->draft().method = Method::connect;
  up->draft().method_text = "CONNECT";
  up->draft().authority = "db:5432";
  up->send_head();
  pair_.pump();
  StreamRef down = pair_.take();
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->head()->method, Method::connect);
  EXPECT_EQ(down->head()->authority, "db:5432");
  EXPECT_EQ(down->head()->path, "");
  down->draft().status = 200;
  down->send_head();
  down->send(Bytes("a"));
  up->send(Bytes("b"));
  pair_.pump();
  EXPECT_EQ(up->head()->status, 200);
  EXPECT_EQ(all_of(*up), "a");
  EXPECT_EQ(all_of(*down), "b");
}

INSTANTIATE_TEST_SUITE_P(Cut, Http2Tunnel, ::testing::Values(0, 1, 7),
                         [](const auto& cut) { return "by" + std::to_string(cut.param); });

}  // namespace
}  // namespace tulle
