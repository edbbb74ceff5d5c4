#include "core/http/http2_rules.hpp"

#include <string>

#include <gtest/gtest.h>

namespace tulle {
namespace {

TEST(Http2Rules, Paths) {
  for (std::string_view good : {"/", "*", "/a/b?c=d", "/a%20b", "/a|b", "/%2e%2e/", "/?{}^`",
                                "/?"}) {
    EXPECT_TRUE(is_request_path(good)) << good;
  }
  for (std::string_view bad :
       {"", "admin", "http://evil/", "/a b", "/a#b", "/a\\b", "/\xff", "/a\tb", "/\x7f", "**", "?a",
        "/x HTTP/1.1\r\nHost: b", "/\"", "/a<b", "/a^b", "/{a}", "/a`b", "/?<"}) {
    EXPECT_FALSE(is_request_path(bad)) << bad;
  }
  EXPECT_FALSE(is_request_path(std::string_view("/a\0b", 4)));
}

TEST(Http2Rules, Authorities) {
  for (std::string_view good : {"a", "a.b.c", "a:80", "A.", "[::1]", "[::1]:8080", "1.2.3.4:1",
                                "a_b", "[fe80::1%25eth0]"}) {
    EXPECT_TRUE(is_authority(good)) << good;
  }
  for (std::string_view bad : {"", "u@h", "a,b", "a b", "a/b", "a:b", "a:", ":80", "a:80:90",
                               "[::1", "[]", "[::1]x", "a?b", "a#b", "a\\b", "\xc3\xa4", "a:99999",
                               "[[::1]]", "a\r\n", "a[b]", "a:000080"}) {
    EXPECT_FALSE(is_authority(bad)) << bad;
  }
}

TEST(Http2Rules, TheSameAuthority) {
  EXPECT_TRUE(same_authority("a", "a", "http"));
  EXPECT_TRUE(same_authority("A.Example", "a.example", "http"));
  EXPECT_TRUE(same_authority("a.", "a", "http"));
  EXPECT_TRUE(same_authority("a:80", "a", "http"));
  EXPECT_TRUE(same_authority("a:443", "a", "https"));
  EXPECT_TRUE(same_authority("[::1]:443", "[::1]", "https"));
  EXPECT_FALSE(same_authority("a:443", "a", "http"));
  EXPECT_FALSE(same_authority("a:8080", "a", "http"));
  EXPECT_FALSE(same_authority("a", "b", "http"));
  EXPECT_FALSE(same_authority("[::1]", "[::2]", "http"));
  EXPECT_FALSE(same_authority("a", "", "http"));
}

TEST(Http2Rules, Schemes) {
  EXPECT_EQ(canonical_scheme("HTTPS"), "https");
  EXPECT_EQ(canonical_scheme("http"), "http");
  for (std::string_view bad : {"", "javascript", "http://localhost/?", "ws", "httpx"}) {
    EXPECT_EQ(canonical_scheme(bad), "") << bad;
  }
}

TEST(Http2Rules, Statuses) {
  EXPECT_EQ(parse_status("200"), 200);
  EXPECT_EQ(parse_status("599"), 599);
  for (std::string_view bad : {"", "99", "000", "099", "600", "2000", "20x", "+20", " 20"}) {
    EXPECT_FALSE(parse_status(bad)) << bad;
  }
}

TEST(Http2Rules, ContentLengths) {
  EXPECT_EQ(parse_content_length("0"), 0u);
  EXPECT_EQ(parse_content_length("005"), 5u);
  EXPECT_EQ(parse_content_length("9223372036854775807"), 9223372036854775807u);
  for (std::string_view bad : {"", "-1", "+5", " 5", "5 ", "0x5", "5,5", "9223372036854775808"}) {
    EXPECT_FALSE(parse_content_length(bad)) << bad;
  }
}

TEST(Http2Rules, FramingFields) {
  EXPECT_TRUE(is_framing_field(FieldId::content_length));
  EXPECT_TRUE(is_framing_field(FieldId::host));
  EXPECT_TRUE(is_framing_field(FieldId::transfer_encoding));
  EXPECT_FALSE(is_framing_field(FieldId::te));
  EXPECT_FALSE(is_framing_field(FieldId::grpc_status));
  EXPECT_FALSE(is_framing_field(FieldId::unknown));
}

}  // namespace
}  // namespace tulle
