// What must be refused before any handler hears of it: each input whole
// and byte by byte. And the few odd inputs that must be understood in exactly one way.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/http1_driver.hpp"

namespace tulle {
namespace {

using testing::Http1Driver;
using namespace std::string_literals;  // NOLINT: inputs that hold NUL

const std::string kG = "GET / HTTP/1.1\r\nHost: a\r\n";
const std::string kP = "POST / HTTP/1.1\r\nHost: a\r\n";
const std::string kChunked = kP + "Transfer-Encoding: chunked\r\n\r\n";
const std::string kEvil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";

std::string printable(const std::string& text) {
  std::string out;
  for (const unsigned char c : text.substr(0, 200)) {
    if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
    } else {
      char hex[8];
      std::snprintf(hex, sizeof hex, "<%02x>", c);
      out += hex;
    }
  }
  return out;
}

// One request, refused with this status, whatever the pieces; the bytes behind it are not a request.
void refused(const std::string& input, int status = 400) {
  for (const size_t piece : {0, 1, 5}) {
    SCOPED_TRACE(printable(input) + " in pieces of " + std::to_string(piece));
    Http1Driver driver;
    driver.handler = [](Stream& stream, testing::SeenRequest&) { return stream.failure() != nullptr; };
    driver.feed(input, piece);
    driver.end_input();
    // In pieces a head may be complete before its body goes wrong; at once nobody hears of it.
    for (const testing::SeenRequest& seen : driver.seen) {
      EXPECT_NE(piece, 0u);
      EXPECT_FALSE(seen.arrived);
      EXPECT_TRUE(seen.failure.has_value());
    }
    EXPECT_EQ(driver.output.substr(0, 12), "HTTP/1.1 " + std::to_string(status));
    EXPECT_NE(driver.output.find("connection: close\r\n"), std::string::npos);
    EXPECT_NE(driver.output.find("tulle-error: "), std::string::npos);
    EXPECT_EQ(driver.output.find("HTTP/1.1", 1), std::string::npos) << "one answer";
    EXPECT_TRUE(driver.codec->finished());
    EXPECT_EQ(driver.codec->dirty().alive, 0u);
    // Told once: by the codec, or by the handler whose stream has failed.
    const std::vector<Refused> told = driver.codec->take_refused();
    EXPECT_EQ(told.size() + driver.seen.size(), 1u);
    for (const Refused& each : told) EXPECT_EQ(each.status, status);
    EXPECT_FALSE(driver.codec->has_refused());
  }
}

void all_refused(const std::vector<std::string>& inputs, int status = 400) {
  for (const std::string& input : inputs) refused(input, status);
}

// With this field line before the end of the head, and something that could be a second request.
void refused_fields(const std::vector<std::string>& lines, int status = 400) {
  for (const std::string& line : lines) refused(kP + line + "\r\n\r\n" + kEvil, status);
}

TEST(Http1Smuggling, TwoFramings) {  // H1-01, H1-02
  all_refused({kP + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
               kP + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST"});
}

TEST(Http1Smuggling, ContentLength) {  // H1-03 to H1-07
  refused_fields({"Content-Length: 5\r\nContent-Length: 6", "Content-Length: 0\r\nContent-Length: 31",
                  "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5",
                  "Content-Length: 5, 6", "Content-Length: 5,5,5", "Content-Length:",
                  "Content-Length: \r\nContent-Length: 43", "Content-Length: 18446744073709551616",
                  "Content-Length: 123456789012345678901234567890", "Content-Length: +5",
                  "Content-Length: -5", "Content-Length: 5 5", "Content-Length: 0x5",
                  "Content-Length: 5_0", "Content-Length: five", "Content-Length: 5\x0b"});
}

TEST(Http1Smuggling, TransferEncoding) {  // H1-10, H1-12, H1-14
  refused_fields({"Transfer-Encoding: xchunked", "Transfer-Encoding: chunked\x0b",
                  "Transfer-Encoding: \x0b" "chunked", "Transfer-Encoding: \x0c" "chunked",
                  "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'",
                  "Transfer-Encoding: chunked;a=b", "Transfer-Encoding: chunk",
                  "Transfer-Encoding: chun ked", "Transfer-Encoding: \xa0" "chunked\xa0",
                  "Transfer-Encoding: \xff" "chunked", "Transfer-Encoding: identity",
                  "Transfer-Encoding:", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,",
                  "Transfer-Encoding:\r\nContent-Length: 5", "Content-Length: 5\r\nTransfer-Encoding:",
                  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                  "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
                  "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
                  "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
                  "Transfer-Encoding: chunked, chunked, cow", "Transfer-Encoding: chunked, gzip"});
  refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST(Http1Smuggling, CodingsWeDoNotSpeak) {  // H1-13
  refused_fields({"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity, chunked",
                  "Transfer-Encoding: gzip"}, 501);
}

TEST(Http1Smuggling, BlanksAroundNames) {  // H1-15, H1-17
  refused_fields({"Transfer-Encoding : chunked", "Content-Length\t: 5", "X-A : 1", " X-A: 1",
                  "X-A: 1\r\n folded", "X-A: 1\r\n\tfolded"});
  all_refused({"GET / HTTP/1.1\r\n\tContent-Length: 1\r\nHost: a\r\n\r\nX",
               "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"});
}

TEST(Http1Smuggling, LineEnds) {  // H1-18 to H1-23
  all_refused({"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", kG + "X: \rTransfer-Encoding: chunked\r\n\r\n",
               "GE\rT / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
               "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "GET / HT\rTP/1.1\r\nHost: a\r\n\r\n",
               kG + "X\rY: z\r\n\r\n", kG + "\rZ" + kEvil, kG + "\n", kG + "\n\n",
               "GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n",
               "GET / HTTP/1.1\r\nHost: a\n\n"});
}

TEST(Http1Smuggling, FieldNames) {  // H1-24 to H1-26
  refused_fields({": x", ":\r\nI: am chopped", "Content-Length 10", "Te\nst: x", "garbage"});
  static const std::string kOkNames =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (kOkNames.find(c) != std::string::npos) continue;
    refused(kG + "X" + c + "Y: 1\r\n\r\n");
  }
}

TEST(Http1Smuggling, FieldValues) {  // H1-27
  for (int byte = 0; byte < 0x80; ++byte) {
    if (byte == '\t' || (byte >= 0x20 && byte != 0x7f)) continue;
    refused(kG + "X: a" + static_cast<char>(byte) + "b\r\n\r\n");
  }
}

TEST(Http1Smuggling, ChunkSizes) {  // H1-29, H1-30
  for (const std::string size :
       {"0x5", "+5", "-5", "5_0", "5 ", " 5", "5\t", "", "G", "5h", "10000000000000005",
        "FFFFFFFFFFFFFFFF", "8000000000000000", "00000000000000005",
        "0000000000000000000000000000000000000005"}) {
    refused(kChunked + size + "\r\nhello\r\n0\r\n\r\n" + kEvil);
  }
}

TEST(Http1Smuggling, ChunkLineEnds) {  // H1-31, H1-32, H1-38
  for (const std::string body :
       {"5\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n", "5\rXhello\r\n0\r\n\r\n", "2\r\r;a\r\nab\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\rX0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello\r\n0\r\nX", "0\r\n\rX", "0\r\n\n"}) {
    refused(kChunked + body + kEvil);
  }
}

TEST(Http1Smuggling, ChunkExtensions) {  // H1-33, H1-34, H1-36, H1-39
  for (const std::string extension :
       {";\n", ";a=b\nX", ";a=\"\r\nX\"", ";", ";=x", ";a=", ";;a",
        ";a=\"b", ";a=b c", "; a=b", ";a =b", ";a\r;b"}) {
    refused(kChunked + "5" + extension + "\r\nhello\r\n0\r\n\r\n" + kEvil);
  }
  refused(kChunked + "1\n;ext\r\nZ\r\n0\r\n\r\n");
  refused(kChunked + "5;\0a\r\nhello\r\n0\r\n\r\n"s);
  refused(kChunked + "5;a=" + std::string(16'384, 'x') + "\r\nhello\r\n0\r\n\r\n");
  std::string many;
  for (int i = 0; i < 40; ++i) many += "1;a=" + std::string(200, 'x') + "\r\nb\r\n";
  refused(kChunked + many + "0\r\n\r\n");
}

TEST(Http1Smuggling, Trailers) {  // H1-41, H1-43
  for (const std::string name : {"Transfer-Encoding", "Content-Length", "Host", "content_length"}) {
    refused(kChunked + "0\r\n" + name + ": 1\r\n\r\n" + kEvil);
  }
  std::string many;
  for (int i = 0; i < 21; ++i) many += "X: y\r\n";
  refused(kChunked + "0\r\n" + many + "\r\n", 431);
  refused(kChunked + "0\r\nX: " + std::string(9000, 'y') + "\r\n\r\n", 431);
  refused(kChunked + "0\r\nX: y\n\r\n");
  refused(kChunked + "0\r\nX : y\r\n\r\n");
}

TEST(Http1Smuggling, Versions) {  // H1-44, H1-45
  all_refused({"GET /\r\n", "GET /\r\n\r\n", "GET /x\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
               "GET / HTTP/1.32\r\nHost: a\r\n\r\n", "GET / HTTP/4294967295.255\r\nHost: a\r\n\r\n",
               "GET / http/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1\r\nHost: a\r\n\r\n",
               "GET / HTTP/ 1.1\r\nHost: a\r\n\r\n", "GET / RTSP/1.0\r\nHost: a\r\n\r\n",
               "DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", "SOURCE / ICE/1.0\r\nHost: a\r\n\r\n",
               "GET / HTTP/1.1x\r\nHost: a\r\n\r\n"});
  all_refused({"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
               "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, 505);
}

TEST(Http1Smuggling, RequestLineBlanks) {  // H1-46
  all_refused({"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
               "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
               "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "GET / \tHTTP/1.1\r\nHost: a\r\n\r\n",
               "GET\r\nHost: a\r\n\r\n", "\x16\x03\x01\x02"});
}

TEST(Http1Smuggling, Methods) {  // H1-47
  all_refused({"GET=\": / HTTP/1.1\r\nHost: a\r\n\r\n", "G\0ET / HTTP/1.1\r\nHost: a\r\n\r\n"s,
               "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"});
  all_refused({"get / HTTP/1.1\r\nHost: a\r\n\r\n", "GETX / HTTP/1.1\r\nHost: a\r\n\r\n",
               "SLUDGE / HTTP/1.1\r\nHost: a\r\n\r\n", "G / HTTP/1.1\r\nHost: a\r\n\r\n",
               std::string(1024, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n"}, 501);
}

TEST(Http1Smuggling, Targets) {  // H1-48, H1-50, H1-52
  for (const std::string line :
       {"GET admin", "GET *", "OPTIONS */x", "CONNECT /", "CONNECT a", "CONNECT http://a:80", "GET a:80",
        "GET http://a#/admin", "GET http://u:p@a/", "GET https://a/", "GET ftp://a/", "GET http:///x",
        "GET /a#b", "GET /\"", "GET /<", "GET /\\", "GET /^", "GET /`", "GET /{", "GET /\xc0\xaf", "GET /\x7f",
        "GET /\x01", "GET /a?\\", "GET //a@b\xff", "GET http://a\\b/", "GET ?x"}) {
    refused(line + " HTTP/1.1\r\nHost: a\r\n\r\n" + kEvil);
  }
  refused("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\n\r\nhello");
}

TEST(Http1Smuggling, HostAndTargetMustAgree) {  // H1-49
  all_refused({"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
               "CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n"});
}

TEST(Http1Smuggling, Hosts) {  // H1-51
  refused("GET / HTTP/1.1\r\n\r\n");
  for (const std::string host :
       {"", "a/b", "a@b", "a,b", "a b", "[::1", "::1]", "a:80:80", "a:99999", "a:-1", "a:", ":80", "a:8o",
        "a?b", "a#b", "\"a\"", "[]", "[a]]"}) {
    refused("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  }
  refused("GET / HTTP/1.1\r\nHost: " + std::string(300, 'a') + "\r\n\r\n");
  all_refused({kG + "Host: a\r\n\r\n", kG + "Host: b\r\n\r\n"});
}

TEST(Http1Smuggling, Limits) {  // H1-53
  const std::string end = "\r\nHost: a\r\n\r\n";
  refused("GET /" + std::string(8193 - 14, 'a') + " HTTP/1.1" + end, 414);
  refused("GET /" + std::string(20'000, 'a'), 414);
  refused(kG + "X: " + std::string(61'440, 'y') + "\r\n\r\n", 431);
  refused(kG + "X: " + std::string(1 << 20, 'y') + "\r\n\r\n", 431);
  refused(kG + "X:" + std::string(1 << 20, ' ') + "y\r\n\r\n", 431);
  refused(kG + std::string(65'536, 'x') + ": y\r\n\r\n", 431);
  std::string many;
  for (int i = 0; i < 100; ++i) many += "X: y\r\n";
  refused(kG + many + "\r\n", 431);
  for (int i = 0; i < 10'000; ++i) many += "X: y\r\n";
  refused(kG + many + "\r\n", 431);
}

TEST(Http1Smuggling, Expectations) {  // H1-62
  refused_fields({"Content-Length: 5\r\nExpect: y 100-continue", "Content-Length: 5\r\nExpect: 100-continue, x",
                  "Content-Length: 5\r\nExpect:\r\n 100-continue", "Content-Length: 5\r\nExpect: x",
                  "Content-Length: 5\r\nExpect: 100-continue\r\nExpect: 100-continue"});
}

TEST(Http1Smuggling, UpgradesWithABody) {  // 0.4
  refused_fields({"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5",
                  "Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked"});
}

TEST(Http1Smuggling, EmptyLines) {  // H1-71
  std::string many;
  for (int i = 0; i < 3; ++i) many += "\r\n";
  refused(many + kG + "\r\n");
  refused("\n" + kG + "\r\n");
  refused("\r\r\n" + kG + "\r\n");
}

TEST(Http1Smuggling, Disguises) {  // H1-73
  refused_fields({"Content_Length: 5", "Transfer_Encoding: chunked", "X_Forwarded_Client_Cert: x",
                  "X-Forwarded_Client-Cert: x", "Host_: b", "Content-Length\xa0: 50"});
}

// ---- understood in one way -------------------------------------------------------------------

TEST(Http1Smuggling, AtTheLimit) {
  for (const size_t piece : {0, 1}) {
    Http1Driver driver;
    const std::string line = "GET /" + std::string(8192 - 14, 'a') + " HTTP/1.1";
    ASSERT_EQ(line.size(), 8192u);
    driver.feed(line + "\r\nHost: a\r\n\r\n", piece);
    std::string many;
    for (int i = 0; i < 99; ++i) many += "X: y\r\n";
    driver.feed(kG + many + "\r\n", piece);
    driver.feed(kG + "X: " + std::string(60'000, 'y') + "\r\n\r\n", piece);
    EXPECT_EQ(driver.seen.size(), 3u);
  }
}

TEST(Http1Smuggling, AGetWithABodyKeepsIt) {  // H1-09
  for (const size_t piece : {0, 1}) {
    Http1Driver driver;
    driver.feed(kG + "Content-Length: 10\r\n\r\n1234567890" + kEvil, piece);
    ASSERT_EQ(driver.seen.size(), 2u);
    EXPECT_EQ(driver.seen[0].body, "1234567890");
    EXPECT_EQ(driver.seen[1].path, "/evil");
  }
}

TEST(Http1Smuggling, ManyTinyChunks) {  // H1-40
  Http1Driver driver;
  std::string wire = kChunked;
  for (int i = 0; i < 100'000; ++i) wire += "1\r\nx\r\n";
  driver.feed(wire + "0\r\n\r\n", 16 * 1024);
  ASSERT_EQ(driver.seen.size(), 1u);
  EXPECT_EQ(driver.seen[0].body.size(), 100'000u);
  EXPECT_TRUE(driver.seen[0].arrived);
}

TEST(Http1Smuggling, AQueryIsNotAnAuthority) {  // H1-50
  Http1Driver driver;
  driver.feed("GET http://a?x=/../admin HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(driver.seen.size(), 1u);
  EXPECT_EQ(driver.seen[0].authority, "a");
  EXPECT_EQ(driver.seen[0].path, "/?x=/../admin");
}

TEST(Http1Smuggling, AHugeDeclaredLengthAllocatesNothing) {
  Http1Driver driver;
  driver.handler = [](Stream&, testing::SeenRequest&) { return false; };
  driver.feed(kP + "Content-Length: 9223372036854775807\r\n\r\nx");
  ASSERT_EQ(driver.seen.size(), 1u);
  EXPECT_EQ(driver.seen[0].body, "x");
}

}  // namespace
}  // namespace tulle
