// {h1, h2} x {h1, h2} x {plain, mTLS} x {what HTTP can do}, over sockets and over simulated wires.
//
// Nobody writes code for one of these pairs; so all of them are tried, with the same expectations.
#include <gtest/gtest.h>

#include <tuple>

#include "tests/conformance/pairing.hpp"

namespace tulle::conformance {
namespace {

using testing::Heard;
using testing::response_head;
using testing::Script;

using Param = std::tuple<Protocol, Protocol, bool, bool>;

std::string name_of(const ::testing::TestParamInfo<Param>& info) {
  const auto protocol = [](Protocol p) { return p == Protocol::http2 ? "h2" : "h1"; };
  const auto& [down, up, mtls, simulated] = info.param;
  return std::string(protocol(down)) + "_" + protocol(up) + (mtls ? "_mtls" : "_plain") +
         (simulated ? "_simulated" : "_sockets");
}

// Different at every position, so that a lost, doubled or shifted byte is noticed.
std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 131 + i / 251) & 0xff);
  return text;
}

std::string field(const Fields& fields, std::string_view name) {
  return std::string(fields.get(name).value_or("absent"));
}

class PairingTest : public ::testing::TestWithParam<Param> {
 protected:
  PairingTest()
      : pairing({std::get<0>(GetParam()), std::get<1>(GetParam()), std::get<2>(GetParam()),
                 std::get<3>(GetParam())}) {
    origin().head = response_head(200);
    origin().start = Script::Start::after_end;
  }
  Script& origin() { return pairing.origin().script; }
  const Heard& at_origin() { return pairing.at_origin(); }
  bool served() { return !pairing.origin().heard.empty(); }

  static Script request(Method method, const char* text) {
    Script script;
    script.head.method = method;
    script.head.method_text = text;
    script.head.scheme = "http";
    script.head.authority = "orders.example:8080";
    script.head.path = "/a%2Fb//c?q=1&q=2";
    return script;
  }
  static Script upload(std::string body) {
    Script script = request(Method::post, "POST");
    script.body = std::move(body);
    return script;
  }

  Pairing pairing;
};

INSTANTIATE_TEST_SUITE_P(All, PairingTest,
                         ::testing::Combine(::testing::Values(Protocol::http1, Protocol::http2),
                                            ::testing::Values(Protocol::http1, Protocol::http2),
                                            ::testing::Bool(), ::testing::Bool()),
                         name_of);

TEST_P(PairingTest, Get) {
  origin().body = pattern(1000);
  origin().head.fields.add("x-answer", "42");
  origin().head.fields.add("set-cookie", "a=1");
  origin().head.fields.add("set-cookie", "b=2");
  Script get = request(Method::get, "GET");
  get.head.fields.add("x-question", "6 x 7");
  get.head.fields.add("cookie", "c=1; d=2");
  const Heard& heard = pairing.ask(get);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.head->status, 200);
  EXPECT_EQ(heard.body, origin().body);
  EXPECT_EQ(heard.head->content_length, 1000u);
  EXPECT_EQ(field(heard.head->fields, "x-answer"), "42");
  EXPECT_EQ(heard.head->fields.get("x-content-length"), std::nullopt);
  size_t cookies = 0;
  for (const Fields::Field each : heard.head->fields) cookies += each.name == "set-cookie" ? 1 : 0;
  EXPECT_EQ(cookies, 2u);

  const Head& arrived = *at_origin().head;
  EXPECT_EQ(arrived.method_text, "GET");
  EXPECT_EQ(arrived.authority, "orders.example:8080");
  EXPECT_EQ(arrived.path, "/a%2Fb//c?q=1&q=2");
  EXPECT_EQ(field(arrived.fields, "x-question"), "6 x 7");
  EXPECT_EQ(field(arrived.fields, "cookie"), "c=1; d=2");
  EXPECT_EQ(field(arrived.fields, "via"),
            std::get<0>(GetParam()) == Protocol::http2 ? "2 tulle" : "1.1 tulle");
  EXPECT_TRUE(at_origin().body.empty());
}

TEST_P(PairingTest, Head) {
  origin().head.content_length = 1234;
  origin().announce_length = false;
  Script head = request(Method::head, "HEAD");
  const Heard& heard = pairing.ask(head);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.head->status, 200);
  EXPECT_TRUE(heard.body.empty());
}

TEST_P(PairingTest, NotModifiedHasNoBody) {
  origin().head = response_head(304);
  origin().announce_length = false;
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.finish(heard));
  EXPECT_TRUE(heard.ended);
  EXPECT_EQ(heard.head->status, 304);
}

TEST_P(PairingTest, Upload) {
  origin().body = "received";
  const Heard& heard = pairing.ask(upload(pattern(1024 * 1024)));
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.body, "received");
  EXPECT_TRUE(at_origin().body == pattern(1024 * 1024));
  EXPECT_EQ(at_origin().head->content_length, 1024u * 1024);
}

TEST_P(PairingTest, UploadOfUnknownLength) {
  Script script = upload(pattern(300 * 1024));
  script.announce_length = false;
  const Heard& heard = pairing.ask(script);
  ASSERT_TRUE(pairing.finish(heard));
  EXPECT_TRUE(heard.ended);
  EXPECT_TRUE(at_origin().body == script.body);
  EXPECT_EQ(at_origin().head->content_length, std::nullopt);
}

TEST_P(PairingTest, Download) {
  origin().body = pattern(1024 * 1024);
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_TRUE(heard.body == origin().body);
}

TEST_P(PairingTest, DownloadOfUnknownLength) {
  origin().body = pattern(300 * 1024);
  origin().announce_length = false;
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.finish(heard));
  EXPECT_TRUE(heard.ended);
  EXPECT_TRUE(heard.body == origin().body);
}

TEST_P(PairingTest, BothDirectionsAtOnce) {
  origin().start = Script::Start::at_once;
  origin().body = pattern(600 * 1024);
  const Heard& heard = pairing.ask(upload(pattern(500 * 1024)));
  ASSERT_TRUE(pairing.run_until([&] { return served() && at_origin().over && heard.over; }))
      << "client: " << heard.body.size() << " bytes, over " << heard.over << "; origin: "
      << (served() ? at_origin().body.size() : 0) << " bytes";
  EXPECT_TRUE(heard.body == origin().body);
}

TEST_P(PairingTest, Trailers) {
  origin().body = pattern(5000);
  origin().trailers.add("grpc-status", "0");
  origin().trailers.add("x-checksum", "abc");
  Script script = upload(pattern(7000));
  script.head.fields.add("te", "trailers");
  script.trailers.add("x-request-checksum", "def");
  const Heard& heard = pairing.ask(script);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.body, origin().body);
  EXPECT_EQ(heard.trailers.size(), 2u);
  EXPECT_EQ(field(heard.trailers, "grpc-status"), "0");
  EXPECT_EQ(field(heard.trailers, "x-checksum"), "abc");
  EXPECT_EQ(at_origin().body, script.body);
  EXPECT_EQ(at_origin().trailers.size(), 1u);
  EXPECT_EQ(field(at_origin().trailers, "x-request-checksum"), "def");
  EXPECT_EQ(field(at_origin().head->fields, "te"), "trailers");
}

TEST_P(PairingTest, EarlyReply) {
  origin().head = response_head(413);
  origin().start = Script::Start::at_once;
  origin().body = "too much";
  origin().read = false;
  origin().finish_early = true;
  const Heard& heard = pairing.ask(upload(pattern(8 * 1024 * 1024)));
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.head) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.head->status, 413);
  EXPECT_EQ(heard.body, "too much");
  EXPECT_TRUE(heard.ended);
}

// The head and the reset may arrive in one read: then nothing was passed on, and the sidecar answers in its
// own name. Otherwise the answer has begun and can only be broken off.
bool answered_in_our_name(const Heard& heard) {
  if (!heard.head || heard.head->status != 502) return false;
  EXPECT_EQ(field(heard.head->fields, "tulle-error"), "upstream_reset");
  return true;
}

TEST_P(PairingTest, ResetByTheOrigin) {
  origin().body = pattern(500 * 1024);
  origin().reset_after = 100 * 1024;
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.finish(heard));
  if (answered_in_our_name(heard)) return;
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->origin, Origin::upstream);
  EXPECT_FALSE(heard.ended);
  EXPECT_EQ(heard.body, pattern(500 * 1024).substr(0, heard.body.size()));
}

// Without a length only the reset tells a broken answer from a complete one.
TEST_P(PairingTest, ResetOfAnAnswerOfUnknownLength) {
  origin().body = pattern(500 * 1024);
  origin().announce_length = false;
  origin().reset_after = 100 * 1024;
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.finish(heard));
  if (answered_in_our_name(heard)) return;
  EXPECT_TRUE(heard.failure);
  EXPECT_FALSE(heard.ended);
}

TEST_P(PairingTest, ResetByTheOriginBeforeItsHead) {
  origin().reset_after = 0;
  origin().body = "never";
  origin().finish_early = true;
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.finish(heard));
  // The head was with the stream but never left: the sidecar answers in its own name.
  if (heard.head) {
    EXPECT_EQ(heard.head->status, 502);
    EXPECT_EQ(field(heard.head->fields, "tulle-error"), "upstream_reset");
  } else {
    EXPECT_TRUE(heard.failure);
  }
}

TEST_P(PairingTest, ResetByTheClient) {
  Script script = upload(pattern(500 * 1024));
  script.reset_after = 100 * 1024;
  const Heard& heard = pairing.ask(script);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(pairing.run_until([&] {
    return !served() || at_origin().over;  // the request may not have reached the origin at all
  }));
  if (served()) {
    EXPECT_TRUE(at_origin().failure);
    EXPECT_FALSE(at_origin().ended);
  }
}

TEST_P(PairingTest, ClientLeavesWhileItIsAnswered) {
  origin().body = pattern(64 * 1024 * 1024);
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.run_until([&] { return heard.body.size() > 100 * 1024; }))
      << heard.body.size() << " bytes; " << (heard.failure ? heard.failure->detail : "no failure");
  pairing.drop_request();
  ASSERT_TRUE(pairing.run_until([&] { return at_origin().over; }));
  EXPECT_TRUE(at_origin().failure);
  EXPECT_LT(heard.body.size(), origin().body.size());
}

TEST_P(PairingTest, Continue) {
  origin().interims = {100};
  origin().body = "thanks";
  Script script = upload(pattern(50 * 1024));
  script.start = Script::Start::after_continue;
  script.head.expects_continue = true;
  script.head.fields.add("expect", "100-continue");
  const Heard& heard = pairing.ask(script);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.interims, std::vector<int>{100});
  EXPECT_EQ(heard.head->status, 200);
  EXPECT_TRUE(at_origin().body == script.body);
  EXPECT_TRUE(at_origin().head->expects_continue);
}

TEST_P(PairingTest, RefusalInsteadOfContinue) {
  origin().head = response_head(417);
  origin().start = Script::Start::at_once;
  origin().finish_early = true;
  Script script = upload(pattern(50 * 1024));
  script.start = Script::Start::after_continue;
  script.head.expects_continue = true;
  script.head.fields.add("expect", "100-continue");
  const Heard& heard = pairing.ask(script);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.head) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.head->status, 417);
  EXPECT_TRUE(heard.interims.empty());
}

TEST_P(PairingTest, EarlyHints) {
  origin().interims = {103, 103};
  origin().body = "page";
  const Heard& heard = pairing.ask(request(Method::get, "GET"));
  ASSERT_TRUE(pairing.finish(heard));
  EXPECT_EQ(heard.interims, (std::vector<int>{103, 103}));
  EXPECT_EQ(heard.body, "page");
}

Script websocket() {
  Script script;
  script.head.method_text = "GET";
  script.head.scheme = "http";
  script.head.authority = "chat.example";
  script.head.path = "/chat";
  script.head.protocol = "websocket";
  script.head.fields.add("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
  script.head.fields.add("sec-websocket-version", "13");
  script.announce_length = false;
  return script;
}

// As an HTTP/1.1 server it then answers the key that it was sent.
Head switched() {
  Head head = response_head(101);
  head.version = Version::http2;
  return head;
}

TEST_P(PairingTest, ATunnelCarriesBytesBothWays) {
  origin().head = switched();
  origin().start = Script::Start::at_once;
  origin().announce_length = false;
  origin().body = pattern(700 * 1000);
  Script script = websocket();
  script.body = pattern(1024 * 1024);
  const Heard& heard = pairing.ask(script);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.head->status, 101);
  EXPECT_TRUE(heard.body == origin().body);
  ASSERT_TRUE(pairing.run_until([&] { return at_origin().over; }));
  EXPECT_TRUE(at_origin().body == script.body);
  EXPECT_EQ(at_origin().head->protocol, "websocket");
  EXPECT_EQ(at_origin().head->method_text, "GET");
  EXPECT_EQ(at_origin().head->path, "/chat");
  EXPECT_EQ(field(at_origin().head->fields, "sec-websocket-version"), "13");
}

TEST_P(PairingTest, ATunnelWhoseServerEndsFirst) {
  origin().head = switched();
  origin().start = Script::Start::at_once;
  origin().announce_length = false;
  origin().body = "all I have to say";
  Script script = websocket();
  script.start = Script::Start::body_after_end;
  script.body = pattern(1024 * 1024);
  const Heard& heard = pairing.ask(script);
  ASSERT_TRUE(pairing.finish(heard));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "");
  EXPECT_EQ(heard.body, "all I have to say");
  ASSERT_TRUE(pairing.run_until([&] { return at_origin().over; }));
  EXPECT_TRUE(at_origin().ended) << (at_origin().failure ? at_origin().failure->detail : "");
  EXPECT_TRUE(at_origin().body == script.body);
}

TEST_P(PairingTest, AnUpgradeThatIsDeclinedIsAnOrdinaryAnswer) {
  for (const int status : {200, 426}) {
    origin().head = response_head(status);
    origin().start = Script::Start::at_once;
    origin().body = "a page";
    Script script = websocket();
    script.body = "frames that came early";
    const Heard& heard = pairing.ask(script);
    ASSERT_TRUE(pairing.finish(heard));
    ASSERT_TRUE(heard.head) << (heard.failure ? heard.failure->detail : "");
    EXPECT_EQ(heard.head->status, status);
    EXPECT_EQ(heard.body, "a page");
    EXPECT_EQ(pairing.origin().heard.back().body, "");
  }
}

TEST_P(PairingTest, ManyAtOnce) {
  origin().body = pattern(20000);
  std::vector<const Heard*> all;
  for (int i = 0; i < 30; ++i) all.push_back(&pairing.ask(upload(pattern(10000))));
  ASSERT_TRUE(pairing.run_until([&] {
    for (const Heard* heard : all) {
      if (!heard->over) return false;
    }
    return true;
  }));
  for (const Heard* heard : all) {
    EXPECT_TRUE(heard->ended) << (heard->failure ? heard->failure->detail : "");
    EXPECT_TRUE(heard->body == origin().body);
  }
  for (const Heard& heard : pairing.origin().heard) EXPECT_TRUE(heard.body == pattern(10000));
}

TEST_P(PairingTest, OneAfterTheOther) {
  origin().body = "again";
  for (int i = 0; i < 20; ++i) {
    const Heard& heard = pairing.ask(upload("x"));
    ASSERT_TRUE(pairing.finish(heard));
    EXPECT_EQ(heard.body, "again");
    EXPECT_EQ(heard.reused_connection, i > 0);
  }
}

}  // namespace
}  // namespace tulle::conformance
