// What the framing guard makes of the fields of one head, every branch of it
// (tests/coverage/guard.py counts).
#include "core/http/framing_fields.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tulle {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

const HttpLimits kLimits;

// One head as the parser builds it.
struct Judged {
  explicit Judged(const HttpLimits& limits = kLimits) : fields(limits) {}

  FramingFields fields;
  Head head;
  Checked refused;

  bool add(bool request, const Lines& lines) {
    for (const auto& [name, value] : lines) {
      refused = fields.add(request, name, value, head);
      if (refused) return false;
    }
    return true;
  }
};

Judged request(const Lines& lines, std::string_view method = "GET",
               Version version = Version::http11, const HttpLimits& limits = kLimits) {
  Judged judged(limits);
  judged.head.method = method_of(method);
  judged.head.method_text = method;
  judged.head.version = version;
  judged.head.scheme = "http";
  if (judged.add(true, lines)) judged.refused = judged.fields.finish_request(judged.head);
  return judged;
}

Judged good_request(Lines lines, std::string_view method = "GET") {
  lines.emplace_back("Host", "a");
  return request(lines, method);
}

Judged response(int status, const Lines& lines, std::string_view method = "GET",
                std::string_view protocol = "", Version version = Version::http11) {
  Head asked;
  asked.method = method_of(method);
  asked.protocol = protocol;
  Judged judged;
  judged.head.status = status;
  judged.head.version = version;
  if (judged.add(false, lines)) judged.refused = judged.fields.finish_response(asked, judged.head);
  return judged;
}

// ---- requests --------------------------------------------------------------------------------

TEST(FramingFieldsTest, Hosts) {
  EXPECT_FALSE(request({{"Host", "a"}}).refused);
  EXPECT_TRUE(request({}).refused);
  EXPECT_FALSE(request({}, "GET", Version::http10).refused);
  EXPECT_TRUE(request({{"Host", "a"}, {"host", "a"}}).refused);
  EXPECT_TRUE(request({{"Host", "a"}, {"host", "a"}, {"HOST", "a"}}).refused);
  EXPECT_TRUE(request({{"Host", "a b"}}).refused);
  Judged absolute;
  absolute.head.authority = "A:80";
  absolute.head.scheme = "http";
  ASSERT_TRUE(absolute.add(true, {{"Host", "a"}}));
  EXPECT_FALSE(absolute.fields.finish_request(absolute.head));
  EXPECT_EQ(absolute.head.authority, "A:80");
  Judged other;
  other.head.authority = "b";
  ASSERT_TRUE(other.add(true, {{"Host", "a"}}));
  EXPECT_TRUE(other.fields.finish_request(other.head));
}

TEST(FramingFieldsTest, Lengths) {
  EXPECT_EQ(good_request({{"Content-Length", "5"}}).fields.framing(), Framing::length);
  EXPECT_EQ(good_request({{"Content-Length", "0005"}}).head.content_length, 5u);
  const Judged empty = good_request({{"Content-Length", "0"}});
  EXPECT_EQ(empty.fields.framing(), Framing::none);
  EXPECT_TRUE(empty.head.ended);
  EXPECT_EQ(good_request({{"Content-Length", "9223372036854775807"}}).head.content_length,
            uint64_t{INT64_MAX});
  for (const char* value : {"", "x", "5x", "-5", "5, 5", "9223372036854775808", "18446744073709551616"}) {
    EXPECT_TRUE(good_request({{"Content-Length", value}}).refused) << value;
  }
  EXPECT_TRUE(good_request({{"Content-Length", "5"}, {"Content-Length", "5"}}).refused);
}

TEST(FramingFieldsTest, Codings) {
  EXPECT_EQ(good_request({{"Transfer-Encoding", "Chunked"}}).fields.framing(), Framing::chunked);
  const std::pair<const char*, Code> refused[] = {
      {"", Code::bad_request},         {",", Code::bad_request},
      {"chunked,", Code::bad_request}, {"cow", Code::bad_request},
      {"identity", Code::bad_request}, {"chunked, gzip", Code::bad_request},
      {"cow, chunked", Code::bad_request}, {"gzip", Code::not_implemented},
      {"gzip, chunked", Code::not_implemented}, {"identity, chunked", Code::not_implemented},
  };
  for (const auto& [value, code] : refused) {
    const Judged judged = good_request({{"Transfer-Encoding", value}});
    ASSERT_TRUE(judged.refused) << value;
    EXPECT_EQ(judged.refused->code, code) << value;
  }
  EXPECT_TRUE(good_request({{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}).refused);
  EXPECT_TRUE(good_request({{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}).refused);
  EXPECT_TRUE(request({{"Transfer-Encoding", "chunked"}}, "POST", Version::http10).refused);
}

TEST(FramingFieldsTest, NamesInDisguise) {
  for (const char* name : {"content_length", "TRANSFER_encoding", "x-forwarded_client-cert", "host_"}) {
    EXPECT_TRUE(good_request({{name, "x"}}).refused) << name;
  }
  for (const char* name : {"content_lengths", "x_custom", "hostx_", "content_lengtz",
                           "a-name-that-is-longer-than-any-we-know-of"}) {
    const Judged judged = good_request({{name, "x"}});
    EXPECT_FALSE(judged.refused) << name;
    EXPECT_EQ(judged.head.fields.size(), 1u);
  }
}

TEST(FramingFieldsTest, ConnectionOptions) {
  const Judged judged = good_request({{"Connection", "x-a, Keep-Alive,,x-b"},
                                      {"X-A", "1"}, {"X-B", "2"}, {"X-C", "3"},
                                      {"Keep-Alive", "timeout=1"}, {"Proxy-Connection", "close"},
                                      {"HTTP2-Settings", "x"}});
  EXPECT_FALSE(judged.refused);
  EXPECT_EQ(judged.head.fields.size(), 1u);
  EXPECT_TRUE(judged.fields.keeps_alive());
  EXPECT_FALSE(good_request({{"Connection", "close"}}).fields.keeps_alive());
  EXPECT_FALSE(request({}, "GET", Version::http10).fields.keeps_alive());
  EXPECT_TRUE(request({{"Connection", "keep-alive"}}, "GET", Version::http10).fields.keeps_alive());
}

TEST(FramingFieldsTest, TrailersAreAccepted) {
  const Judged judged = good_request({{"TE", "gzip, trailers;q=1"}, {"TE", "trailers"}});
  EXPECT_EQ(judged.head.fields.get(FieldId::te), "trailers");
  EXPECT_FALSE(good_request({{"TE", "gzip"}}).head.fields.has(FieldId::te));
}

TEST(FramingFieldsTest, Expectations) {
  const Lines body = {{"Host", "a"}, {"Content-Length", "5"}, {"Expect", "100-Continue"}};
  const Judged judged = request(body, "POST");
  EXPECT_TRUE(judged.head.expects_continue);
  EXPECT_TRUE(judged.head.fields.has(FieldId::expect));
  EXPECT_FALSE(request(body, "POST", Version::http10).head.expects_continue);
  const Judged without = good_request({{"Expect", "100-continue"}});
  EXPECT_FALSE(without.head.expects_continue);
  EXPECT_FALSE(without.head.fields.has(FieldId::expect));
  EXPECT_TRUE(good_request({{"Expect", "x"}}).refused);
  EXPECT_TRUE(good_request({{"Expect", "100-continue"}, {"Expect", "100-continue"}}).refused);
}

TEST(FramingFieldsTest, Upgrades) {
  const Judged judged = good_request({{"Connection", "Upgrade"}, {"Upgrade", "WebSocket, other"}});
  EXPECT_EQ(judged.head.protocol, "websocket");
  EXPECT_EQ(judged.fields.framing(), Framing::tunnel);
  // Not asked for in Connection, or not in Upgrade, or only HTTP/2: stays HTTP.
  EXPECT_EQ(good_request({{"Upgrade", "websocket"}}).fields.framing(), Framing::none);
  EXPECT_EQ(good_request({{"Connection", "upgrade"}}).fields.framing(), Framing::none);
  EXPECT_EQ(good_request({{"Connection", "upgrade"}, {"Upgrade", "h2c, HTTP/2.0"}}).fields.framing(),
            Framing::none);
  EXPECT_EQ(good_request({{"Connection", "upgrade"}, {"Upgrade", "h2c"}, {"Content-Length", "5"}})
                .fields.framing(),
            Framing::length);
  EXPECT_EQ(request({{"Host", "a"}, {"Connection", "upgrade"}, {"Upgrade", "websocket"}}, "GET",
                    Version::http10)
                .fields.framing(),
            Framing::none);
  EXPECT_TRUE(good_request({{"Connection", "upgrade"}, {"Upgrade", "websocket"}, {"Content-Length", "5"}})
                  .refused);
}

TEST(FramingFieldsTest, OnlyProtocolsThatAreSwitchedTo) {
  HttpLimits limits;
  limits.upgrades = std::make_shared<const std::vector<std::string>>(1, "websocket");
  const auto protocol = [&](const std::string& upgrade) {
    const Judged judged = request({{"Host", "a"}, {"Connection", "upgrade"}, {"Upgrade", upgrade}},
                                  "GET", Version::http11, limits);
    EXPECT_FALSE(judged.refused);
    EXPECT_EQ(judged.fields.framing() == Framing::tunnel, !judged.head.protocol.empty());
    return judged.head.protocol;
  };
  EXPECT_EQ(protocol("tcp, WebSocket, tcp"), "websocket");
  EXPECT_EQ(protocol("tcp"), "");
  EXPECT_EQ(protocol("web socket, a/b/c"), "");
  EXPECT_TRUE(request({{"Host", "a"}, {"Connection", "upgrade"}, {"Upgrade", "tcp"}, {"Content-Length", "5"}},
                      "GET", Version::http11, limits)
                  .refused) << "with a body it is ambiguous, whatever it names";
  EXPECT_EQ(response(426, {{"Connection", "upgrade"}, {"Upgrade", "tcp"}}).head.protocol, "tcp");
  EXPECT_EQ(response(426, {{"Upgrade", "tcp"}}).head.protocol, "");
}

TEST(FramingFieldsTest, Connect) {
  // It is a tunnel already, whatever else it asks for.
  const Judged judged = good_request({{"Connection", "upgrade"}, {"Upgrade", "websocket"}}, "CONNECT");
  EXPECT_EQ(judged.head.protocol, "");
  EXPECT_EQ(judged.fields.framing(), Framing::tunnel);
  EXPECT_EQ(good_request({}, "CONNECT").fields.framing(), Framing::tunnel);
  EXPECT_TRUE(good_request({{"Content-Length", "5"}}, "CONNECT").refused);
  EXPECT_EQ(good_request({{"Content-Length", "0"}}, "CONNECT").head.content_length, std::nullopt);
}

// ---- responses -------------------------------------------------------------------------------

TEST(FramingFieldsTest, ResponseFraming) {
  EXPECT_EQ(response(200, {{"Content-Length", "5"}}).fields.framing(), Framing::length);
  EXPECT_EQ(response(200, {{"Content-Length", "0"}}).fields.framing(), Framing::none);
  EXPECT_EQ(response(200, {{"Transfer-Encoding", "chunked"}}).fields.framing(), Framing::chunked);
  EXPECT_EQ(response(404, {}).fields.framing(), Framing::until_close);
  EXPECT_FALSE(response(200, {}).fields.keeps_alive());
  EXPECT_TRUE(response(200, {{"Transfer-Encoding", "gzip"}}).refused);
  EXPECT_TRUE(response(200, {{"Content-Length", "x"}}).refused);
  EXPECT_TRUE(response(200, {{"Content-Length", "5"}}).fields.keeps_alive());
  EXPECT_FALSE(response(200, {{"Content-Length", "5"}, {"Connection", "close"}}).fields.keeps_alive());
  EXPECT_FALSE(response(200, {{"Content-Length", "5"}}, "GET", "", Version::http10).fields.keeps_alive());
  EXPECT_TRUE(response(200, {{"Content-Length", "5"}, {"Connection", "keep-alive"}}, "GET", "", Version::http10)
                  .fields.keeps_alive());
}

TEST(FramingFieldsTest, ResponsesWithoutABody) {
  EXPECT_EQ(response(304, {{"Content-Length", "5"}}).fields.framing(), Framing::none);
  EXPECT_EQ(response(304, {{"Content-Length", "5"}}).head.content_length, 5u);
  EXPECT_EQ(response(200, {{"Content-Length", "5"}}, "HEAD").fields.framing(), Framing::none);
  EXPECT_TRUE(response(204, {}).fields.keeps_alive());
  EXPECT_FALSE(response(204, {{"Content-Length", "5"}}).fields.keeps_alive());
  EXPECT_FALSE(response(204, {{"Transfer-Encoding", "chunked"}}).fields.keeps_alive());
  EXPECT_EQ(response(204, {{"Content-Length", "5"}}).head.content_length, std::nullopt);
  EXPECT_FALSE(response(103, {}).refused);
  EXPECT_TRUE(response(103, {{"Content-Length", "5"}}).refused);
  EXPECT_TRUE(response(103, {{"Transfer-Encoding", "chunked"}}).refused);
  EXPECT_FALSE(response(103, {{"Content-Length", "0"}}).refused);
}

TEST(FramingFieldsTest, ResponseFieldsThatMeanSomethingInRequestsOnly) {
  const Judged judged =
      response(200, {{"Host", "a"}, {"Expect", "x"}, {"X", "y"}, {"Connection", "x"}, {"Server", "z"}});
  EXPECT_FALSE(judged.refused);
  EXPECT_FALSE(judged.head.fields.has(FieldId::host));
  EXPECT_TRUE(judged.head.fields.has(FieldId::expect));
  EXPECT_EQ(judged.head.fields.size(), 2u);
}

TEST(FramingFieldsTest, Switching) {
  const Lines lines = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
  const Judged judged = response(101, lines, "GET", "websocket");
  EXPECT_FALSE(judged.refused);
  EXPECT_EQ(judged.fields.framing(), Framing::tunnel);
  EXPECT_TRUE(response(101, lines).refused);
  EXPECT_TRUE(response(101, lines, "GET", "other").refused);
  EXPECT_TRUE(response(101, {{"Upgrade", "websocket"}}, "GET", "websocket").refused);
  EXPECT_EQ(response(200, {{"Upgrade", "websocket"}, {"Content-Length", "0"}}).head.protocol, "");
}

TEST(FramingFieldsTest, ConnectIsAnswered) {
  EXPECT_EQ(response(200, {}, "CONNECT").fields.framing(), Framing::tunnel);
  EXPECT_EQ(response(200, {}, "CONNECT", "websocket").fields.framing(), Framing::until_close);
  EXPECT_EQ(response(403, {{"Content-Length", "5"}}, "CONNECT").fields.framing(), Framing::length);
}

TEST(FramingFieldsTest, ClearForgets) {
  Judged judged = good_request({{"Content-Length", "5"}, {"Connection", "close"}});
  judged.fields.clear();
  Head head;
  EXPECT_FALSE(judged.fields.add(true, "Host", "a", head));
  EXPECT_FALSE(judged.fields.finish_request(head));
  EXPECT_EQ(judged.fields.framing(), Framing::none);
  EXPECT_TRUE(judged.fields.keeps_alive());
}

TEST(FramingFieldsTest, Trailers) {
  for (const char* name : {"Content-Length", "transfer-encoding", "HOST", "content_length"}) {
    EXPECT_EQ(trailer_rule(name), TrailerRule::refuse) << name;
  }
  for (const char* name : {"Connection", "TE", "trailer", "upgrade"}) {
    EXPECT_EQ(trailer_rule(name), TrailerRule::drop) << name;
  }
  for (const char* name : {"x-sum", "x_sum", "grpc-status"}) {
    EXPECT_EQ(trailer_rule(name), TrailerRule::keep) << name;
  }
}

}  // namespace
}  // namespace tulle
