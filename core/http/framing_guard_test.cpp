// The framing guard's start lines, byte sets and targets, every branch of them
// (tests/coverage/guard.py counts).
#include "core/http/framing_guard.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle {
namespace {

HttpLimits short_lines() {
  HttpLimits limits;
  limits.request_line = 40;
  return limits;
}

TEST(FramingGuardAlphabets, Bytes) {
  EXPECT_TRUE(is_token_byte('!'));
  EXPECT_FALSE(is_token_byte(':'));
  EXPECT_TRUE(is_value_byte('\t'));
  EXPECT_TRUE(is_value_byte('\xff'));
  EXPECT_FALSE(is_value_byte('\x7f'));
  EXPECT_TRUE(is_hex_digit('F'));
  EXPECT_FALSE(is_hex_digit('g'));
  EXPECT_TRUE(is_token("GET"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("G T"));
  EXPECT_TRUE(is_field_value("a\tb\x80"));
  EXPECT_FALSE(is_field_value("a\rb"));
}

TEST(FramingGuardAlphabets, Targets) {
  EXPECT_TRUE(is_target("/a|b"));
  EXPECT_TRUE(is_target("/a?{b}^`"));
  EXPECT_FALSE(is_target("/{a}?b"));
  EXPECT_FALSE(is_target("/a?b#c"));
}

TEST(FramingGuardAlphabets, Words) {
  EXPECT_EQ(trimmed(" \t a b\t "), "a b");
  EXPECT_EQ(trimmed(" \t"), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(FramingGuardAlphabets, Lists) {
  const auto items_of = [](ByteView list) {
    std::vector<std::string> items;
    for_each_item(list, [&](ByteView item) { items.emplace_back(item); });
    return items;
  };
  EXPECT_EQ(items_of("a, b ,,\tc"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(items_of("").empty());
  EXPECT_TRUE(items_of(" , ,").empty());
}

TEST(FramingGuardLines, RequestLinesThatWillNeverBeOne) {
  const HttpLimits limits = short_lines();
  EXPECT_FALSE(check_partial_request_line("\r", limits));
  EXPECT_FALSE(check_partial_request_line("", limits));
  EXPECT_FALSE(check_partial_request_line("GE", limits));
  EXPECT_FALSE(check_partial_request_line("GET /" + std::string(36, 'x'), limits));
  EXPECT_TRUE(check_partial_request_line("G\r", limits));
  EXPECT_TRUE(check_partial_request_line(" GET", limits));
  EXPECT_EQ(check_partial_request_line("GET /" + std::string(37, 'x'), limits)->code,
            Code::uri_too_long);
}

struct LineCase {
  std::string line;
  std::optional<Code> refused;
};

TEST(FramingGuardLines, RequestLines) {
  const LineCase cases[] = {
      {"GET / HTTP/1.1\r\n", {}},
      {"GET / HTTP/1.0\r\n", {}},
      {" / HTTP/1.1\r\n", Code::bad_request},
      {"\r\n", Code::bad_request},
      {"G(T / HTTP/1.1\r\n", Code::bad_request},
      {"GET /" + std::string(40, 'x') + " HTTP/1.1\r\n", Code::uri_too_long},
      {"GET / HTTP/1.1\n", Code::bad_request},
      {"GET\r\n", Code::bad_request},
      {"GET /\r\n", Code::bad_request},
      {"GET  HTTP/1.1\r\n", Code::bad_request},
      {"GET /\x80 HTTP/1.1\r\n", Code::bad_request},
      {"GET / HTTP/1.10\r\n", Code::bad_request},
      {"GET / HTTQ/1.1\r\n", Code::bad_request},
      {"GET / HTTP/1,1\r\n", Code::bad_request},
      {"GET / HTTP/x.1\r\n", Code::bad_request},
      {"GET / HTTP/ .1\r\n", Code::bad_request},
      {"GET / HTTP/1.x\r\n", Code::bad_request},
      {"GET / HTTP/2.0\r\n", Code::version_not_supported},
  };
  for (const LineCase& each : cases) {
    RequestLine line;
    const Checked refused = parse_request_line(each.line, short_lines(), line);
    EXPECT_EQ(refused ? std::optional(refused->code) : std::nullopt, each.refused) << each.line;
  }
  RequestLine line;
  EXPECT_FALSE(parse_request_line("POST /x?y HTTP/1.0\r\n", short_lines(), line));
  EXPECT_EQ(line.method, "POST");
  EXPECT_EQ(line.target, "/x?y");
  EXPECT_EQ(line.version, Version::http10);
}

TEST(FramingGuardLines, StatusLines) {
  const LineCase cases[] = {
      {"HTTP/1.1 200 OK\r\n", {}},
      {"HTTP/1.0 200\r\n", {}},
      {"HTTP/1.1 599 \r\n", {}},
      {"HTTP/1.1 100 a b\r\n", {}},
      {"HTTQ/1.1 200 OK\r\n", Code::bad_request},
      {"\n", Code::bad_request},
      {"\r\n", Code::bad_request},
      {"HTTP/1.1 200 OK\n", Code::bad_request},
      {"HTTP/1.1 200 O\rK\r\n", Code::bad_request},
      {"HTTP/1.\r\n", Code::bad_request},
      {"HTTP/1.2 200 OK\r\n", Code::version_not_supported},
      {"HTTP/1.1 20\r\n", Code::bad_request},
      {"HTTP/1.1x200 OK\r\n", Code::bad_request},
      {"HTTP/1.1 2000\r\n", Code::bad_request},
      {"HTTP/1.1 2x0 OK\r\n", Code::bad_request},
      {"HTTP/1.1 2/0 OK\r\n", Code::bad_request},
      {"HTTP/1.1 099 OK\r\n", Code::bad_request},
      {"HTTP/1.1 600 OK\r\n", Code::bad_request},
      {std::string("HTTP/1.1 200 O\0K\r\n", 18), Code::bad_request},
      {"HTTP/1.1 200 " + std::string(40, 'x') + "\r\n", Code::bad_request},
  };
  for (const LineCase& each : cases) {
    StatusLine line;
    const Checked refused = parse_status_line(each.line, short_lines(), line);
    EXPECT_EQ(refused ? std::optional(refused->code) : std::nullopt, each.refused) << each.line;
  }
  EXPECT_FALSE(check_partial_status_line("HTT", short_lines()));
  EXPECT_TRUE(check_partial_status_line("HTX", short_lines()));
}

struct TargetCase {
  std::string method;
  std::string target;
  std::string authority;
  std::string path;  // "" and not CONNECT: refused
};

TEST(FramingGuardTargets, Forms) {
  const TargetCase cases[] = {
      {"GET", "/x?y", "", "/x?y"},
      {"OPTIONS", "*", "", "*"},
      {"GET", "*", "", ""},
      {"GET", "a:80", "", ""},
      {"GET", "https://a/", "", ""},
      {"GET", "http://a@b/", "", ""},
      {"GET", "HTTP://A/x", "A", "/x"},
      {"GET", "http://a", "a", "/"},
      {"OPTIONS", "http://a", "a", "*"},
      {"GET", "http://a?x", "a", "/?x"},
      {"CONNECT", "a:80", "a:80", ""},
      {"CONNECT", "[::1]:80", "[::1]:80", ""},
      {"CONNECT", "a", "", ""},
      {"CONNECT", "[::1]", "", ""},
      {"CONNECT", "a/:80", "", ""},
  };
  for (const TargetCase& each : cases) {
    Head head;
    head.method = method_of(each.method);
    head.authority = "left from before";
    RequestLine line;
    line.target = each.target;
    const Checked refused = parse_target(line, "http", head);
    EXPECT_EQ(refused.has_value(), each.path.empty() && each.authority.empty()) << each.target;
    if (refused) continue;
    EXPECT_EQ(head.authority, each.authority) << each.target;
    EXPECT_EQ(head.path, each.path) << each.target;
  }
}

}  // namespace
}  // namespace tulle
