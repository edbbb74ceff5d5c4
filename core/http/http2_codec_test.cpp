// Exchanges between a client codec and a server codec: what goes in on one side comes out on the
// other, whole or cut into single bytes.

#include <string>

#include <gtest/gtest.h>

#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

class Http2Exchange : public testing::TestWithParam<size_t> {
 protected:
  Http2Exchange() { pair_.cut = GetParam(); }
  static std::string lines_of(const Fields& fields) {
    std::string lines;
    for (const Fields::Field field : fields) {
      lines.append(field.name).append("=").append(field.value).append("\n");
    }
    return lines;
  }
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

TEST_P(Http2Exchange, ExtendedConnectMeetsUpgradeInTheMiddle) {
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

TEST_P(Http2Exchange, ExtendedConnectWaitsForSettings) {
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

TEST_P(Http2Exchange, ARefusedUpgradeIsAnOrdinaryAnswer) {
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
TEST_P(Http2Exchange, ASuccessThatDeclinesTheUpgradeIsNotASwitch) {
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
    EXPECT_EQ(lines_of(up->head()->fields), "");
    EXPECT_EQ(all_of(*up), body);
    EXPECT_TRUE(up->ended());
  }
}

TEST_P(Http2Exchange, KeysOfAWebSocketStayOnTheirConnection) {
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
  EXPECT_EQ(lines_of(down->head()->fields), "sec-websocket-protocol=chat\n");
  down->draft().status = 101;
  down->draft().fields.add("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  down->send_head();
  pair_.pump();
  EXPECT_EQ(up->head()->status, 101);
  EXPECT_EQ(lines_of(up->head()->fields), "");
}

TEST_P(Http2Exchange, WhatExtendedConnectCannotSayIsRefused) {
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

TEST_P(Http2Exchange, PlainConnect) {
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

INSTANTIATE_TEST_SUITE_P(Cut, Http2Exchange, testing::Values(0, 1, 7),
                         [](const auto& cut) { return "by" + std::to_string(cut.param); });

// ---- what is on the wire ---------------------------------------------------------------------

TEST(Http2Wire, ASmallAnswerIsTwoFramesInOneWrite) {
  Http2Pair pair;
  StreamRef warm = pair.request("GET", "/");
  pair.pump();
  Http2Pair::respond(*pair.take(), 200);
  pair.pump();
  StreamRef up = pair.request("GET", "/");
  pair.step();
  Http2Pair::respond(*pair.accepted.back(), 200, std::string(1024, 'b'));
  pair.step();
  const auto sent = h2::frames(pair.last_to_client);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].type, h2::kHeaders);
  EXPECT_EQ(sent[1].type, h2::kData);
  EXPECT_EQ(sent[1].flags, h2::kEndStream);
}

TEST(Http2Wire, AnEmptyFinishedAnswerIsOneFrame) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  down->draft().status = 200;
  down->send_head();
  down->finish();
  pair.step();
  const auto sent = h2::frames(pair.last_to_client);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, h2::kEndHeaders | h2::kEndStream);
}

// gRPC's calls without a message: an implementation waits for the frame that says so.
TEST(Http2Wire, TheEndOfARequestThatCameByItselfGoesByItself) {
  Http2Pair pair;
  StreamRef warm = pair.request("GET", "/");
  pair.pump();
  Http2Pair::respond(*pair.take(), 200);
  pair.pump();
  StreamRef up = pair.request("POST", "/", true);
  up->finish();
  pair.step();
  const auto sent = h2::frames(pair.last_to_server);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].type, h2::kHeaders);
  EXPECT_EQ(sent[0].flags, h2::kEndHeaders);
  EXPECT_EQ(sent[1].type, h2::kData);
  EXPECT_EQ(sent[1].flags, h2::kEndStream);
  EXPECT_EQ(sent[1].payload, "");
}

TEST(Http2Wire, RepeatedHeadsAreIndexed) {
  Http2Pair pair;
  std::vector<StreamRef> kept;
  const auto ask = [&] {
    StreamRef& up = kept.emplace_back(pair.open());
    up->draft().method_text = "GET";
    up->draft().path = "/";
    up->draft().authority = "a.example";
    up->draft().fields.add("user-agent", "a-client-with-a-long-name/1.0");
    up->draft().fields.add("x-tenant", "some-tenant-that-is-always-the-same");
    up->draft().ended = true;
    up->send_head();
    pair.step();
    return pair.last_to_server.size();
  };
  ask();
  ask();
  EXPECT_LE(ask(), 9u + 6u);
}

TEST(Http2Wire, SecretsAreNeverIndexed) {
  Http2Pair pair;
  std::vector<StreamRef> kept;
  const auto ask = [&](FieldId id, std::string_view secret) {
    StreamRef& up = kept.emplace_back(pair.open());
    up->draft().method_text = "GET";
    up->draft().path = "/";
    up->draft().authority = "a";
    up->draft().fields.add(id, secret);
    up->draft().ended = true;
    up->send_head();
    pair.step();
    return pair.last_to_server.size();
  };
  pair.pump();
  for (FieldId id : {FieldId::authorization, FieldId::proxy_authorization}) {
    ask(id, "Bearer abcdefghijklmnopqrstuvwxyz0123456789");
    EXPECT_GE(ask(id, "Bearer abcdefghijklmnopqrstuvwxyz0123456789"), 9u + 30u);
  }
  ask(FieldId::cookie, "sid=0123456789");
  EXPECT_GE(ask(FieldId::cookie, "sid=0123456789"), 9u + 12u);
  ask(FieldId::cookie, "preferences=a-long-cookie-that-is-worth-compressing");
  EXPECT_LE(ask(FieldId::cookie, "preferences=a-long-cookie-that-is-worth-compressing"), 9u + 6u);
}

TEST(Http2Wire, ConnectionFieldsStayHere) {
  Http2Pair pair;
  StreamRef up = pair.open();
  up->draft().method_text = "GET";
  up->draft().path = "/";
  up->draft().authority = "a";
  for (FieldId id : {FieldId::connection, FieldId::keep_alive, FieldId::proxy_connection,
                     FieldId::transfer_encoding, FieldId::upgrade, FieldId::http2_settings,
                     FieldId::host}) {
    up->draft().fields.add(id, "x");
  }
  up->draft().fields.add(FieldId::te, "gzip");
  up->draft().ended = true;
  up->send_head();
  pair.pump();
  StreamRef down = pair.take();
  ASSERT_NE(down, nullptr);
  EXPECT_TRUE(down->head()->fields.empty());
  EXPECT_EQ(down->head()->authority, "a");
}

TEST(Http2Wire, PrefacesSayWhatWeAllow) {
  HttpLimits limits;
  limits.max_concurrent_streams = 7;
  Http2Pair pair(limits);
  const auto entries = [](std::string_view wire) {
    std::vector<std::pair<uint32_t, uint32_t>> out;
    for (const h2::Frame& f : h2::of_type(h2::frames(wire), h2::kSettings)) {
      for (size_t i = 0; i + 6 <= f.payload.size(); i += 6) {
        out.emplace_back(f.at(i) >> 16, f.at(i + 2));
      }
    }
    return out;
  };
  const auto has = [](const auto& list, uint32_t id, uint32_t value) {
    return std::find(list.begin(), list.end(), std::pair{id, value}) != list.end();
  };
  const std::string from_server = pair.written(*pair.server);
  const auto server = entries(from_server);
  EXPECT_TRUE(has(server, 3, 7));             // MAX_CONCURRENT_STREAMS
  EXPECT_TRUE(has(server, 4, 64 * 1024));     // INITIAL_WINDOW_SIZE
  EXPECT_TRUE(has(server, 6, 60 * 1024));     // MAX_HEADER_LIST_SIZE
  EXPECT_TRUE(has(server, 8, 1));             // ENABLE_CONNECT_PROTOCOL
  const auto updates = h2::of_type(h2::frames(from_server), h2::kWindowUpdate);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].at(0), 1024 * 1024 - 65535u);
  const std::string from_client = pair.written(*pair.client);
  EXPECT_TRUE(from_client.starts_with(h2::kPreface));
  EXPECT_TRUE(has(entries(from_client), 2, 0));  // ENABLE_PUSH
}

TEST(Http2Wire, SilenceWhenThereIsNothingToSay) {
  Http2Pair pair;
  pair.pump();
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  EXPECT_FALSE(pair.client->wants_write());
  EXPECT_FALSE(pair.server->wants_write());
  Http2Pair::respond(*down, 200, "x");
  EXPECT_TRUE(pair.server->wants_write());
  pair.step();
  all_of(*up);
  EXPECT_FALSE(pair.client->wants_write());  // a byte taken is no reason for a WINDOW_UPDATE
  EXPECT_FALSE(pair.server->wants_write());
}

TEST(Http2Wire, ABodyThatIsNotAsLongAsItSaidIsReset) {
  for (size_t length : {3u, 6u}) {
    Http2Pair pair;
    StreamRef up = pair.request("GET", "/");
    pair.pump();
    StreamRef down = pair.take();
    down->draft().status = 200;
    down->draft().content_length = 5;
    down->send_head();
    down->send(Bytes(std::string(length, 'x')));
    down->finish();
    pair.pump();
    ASSERT_NE(up->failure(), nullptr);
    EXPECT_EQ(up->failure()->code, Code::upstream_reset);
    ASSERT_NE(down->failure(), nullptr);
    EXPECT_EQ(down->failure()->code, Code::internal);
  }
}

TEST(Http2Wire, ALimitedWriteGoesOnLater) {
  Http2Pair pair;
  pair.write_limit = 1000;
  StreamRef up = pair.request("POST", "/", true);
  size_t left = 60000;
  send_some(*up, left);
  std::string first = pair.written(*pair.client);
  EXPECT_GE(first.size(), 1000u);
  EXPECT_LE(first.size(), 1000u + 16384 + 9);
  EXPECT_TRUE(pair.client->wants_write());
  ASSERT_TRUE(pair.feed(*pair.server, first));
  pair.pump();
  StreamRef down = pair.take();
  EXPECT_EQ(all_of(*down).size(), 60000u);
}

}  // namespace
}  // namespace tulle
