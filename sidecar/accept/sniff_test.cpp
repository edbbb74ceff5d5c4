// What the first bytes of a connection are: whole, byte by byte, and what they are not.
#include "sidecar/accept/sniff.hpp"

#include <gtest/gtest.h>

#include "tests/support/client_hello.hpp"

namespace tulle::accept {
namespace {

using Kind = Sniffed::Kind;
using testing::client_hello;
using testing::HelloOptions;

// The verdict on the whole; every prefix must agree with it or be undecided.
Sniffed by_bytes(const std::string& first) {
  const Sniffed whole = sniff(first);
  bool decided = false;
  for (size_t size = 0; size <= first.size(); ++size) {
    const Sniffed part = sniff(ByteView(first).substr(0, size));
    if (part.kind == Kind::undecided) {
      EXPECT_FALSE(decided) << "undecided again after " << size << " bytes";
      continue;
    }
    decided = true;
    EXPECT_EQ(part, whole) << "after " << size << " bytes";
  }
  return whole;
}

Kind kind_of(const std::string& first) { return by_bytes(first).kind; }

TEST(Sniff, NothingIsUndecided) { EXPECT_EQ(sniff("").kind, Kind::undecided); }

TEST(Sniff, RequestLines) {
  EXPECT_EQ(kind_of("GET / HTTP/1.1\r\n"), Kind::http1);
  EXPECT_EQ(kind_of("POST http://a/b?c HTTP/1.1\r\nHost: a\r\n"), Kind::http1);
  EXPECT_EQ(kind_of("OPTIONS * HTTP/1.1\r\n"), Kind::http1);
  EXPECT_EQ(kind_of("CONNECT [::1]:443 HTTP/1.1\r\n"), Kind::http1);
  EXPECT_EQ(kind_of("M-SEARCH * HTTP/1.1\r\n"), Kind::http1);
  EXPECT_FALSE(by_bytes("GET / HTTP/1.1\r\n").http10);
  EXPECT_TRUE(by_bytes("GET / HTTP/1.0\r\n").http10);
}

// HTTP's own parser says what is wrong with these; they are not passed on unseen.
TEST(Sniff, BrokenRequestLinesAreHttp) {
  EXPECT_EQ(kind_of("get / HTTP/1.1\r\n"), Kind::http1);
  EXPECT_EQ(kind_of("GET / HTTP/9.9\r\n"), Kind::http1);
  EXPECT_EQ(kind_of("GET / HTTP/x\r\n"), Kind::http1);
  EXPECT_EQ(kind_of("GET /" + std::string(20'000, 'a')), Kind::http1);
}

TEST(Sniff, Http2PrefaceOnlyWhole) {
  EXPECT_EQ(kind_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Kind::http2);
  EXPECT_EQ(sniff("PRI * HTTP/2.0\r\n\r\nSM\r\n\r").kind, Kind::undecided);
  EXPECT_EQ(kind_of("PRI * HTTP/2.0\r\n\r\nXX"), Kind::http1);
}

TEST(Sniff, OtherProtocolsWithWordsAreOpaque) {
  EXPECT_EQ(kind_of("*1\r\n$4\r\nPING\r\n"), Kind::opaque);  // RESP
  EXPECT_EQ(kind_of("PING\r\n"), Kind::opaque);
  EXPECT_EQ(kind_of("GET key\r\n"), Kind::opaque);
  EXPECT_EQ(kind_of("set key 0 0 3\r\nabc\r\n"), Kind::opaque);
  EXPECT_EQ(kind_of("EHLO example.com\r\n"), Kind::opaque);
  EXPECT_EQ(kind_of("SSH-2.0-OpenSSH_9.2\r\n"), Kind::opaque);
  EXPECT_EQ(kind_of(std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8)), Kind::opaque);  // PostgreSQL
  EXPECT_EQ(kind_of(" GET / HTTP/1.1\r\n"), Kind::opaque);
  EXPECT_EQ(kind_of(std::string(40, 'A')), Kind::opaque);
}

TEST(Sniff, ClientHelloWithNames) {
  HelloOptions options;
  options.server_name = "Orders.Example";
  options.alpn = {"tulle-tcp", "h2"};
  const Sniffed sniffed = by_bytes(client_hello(options));
  EXPECT_EQ(sniffed.kind, Kind::tls);
  EXPECT_EQ(sniffed.server_name, "orders.example");
  EXPECT_EQ(sniffed.alpn, (std::vector<std::string>{"tulle-tcp", "h2"}));
}

TEST(Sniff, ClientHelloInSmallRecords) {
  HelloOptions options;
  options.server_name = "orders";
  options.alpn = {"h2"};
  options.record_size = 7;
  const Sniffed sniffed = by_bytes(client_hello(options));
  EXPECT_EQ(sniffed.kind, Kind::tls);
  EXPECT_EQ(sniffed.server_name, "orders");
  EXPECT_EQ(sniffed.alpn, std::vector<std::string>{"h2"});
}

TEST(Sniff, ClientHelloWithoutNames) {
  const Sniffed sniffed = by_bytes(client_hello({}));
  EXPECT_EQ(sniffed.kind, Kind::tls);
  EXPECT_TRUE(sniffed.server_name.empty());
  EXPECT_TRUE(sniffed.alpn.empty());
}

// With two names nobody knows which one the server will take.
TEST(Sniff, TwoServerNamesAreNone) {
  HelloOptions options;
  options.server_name = "a";
  options.second_server_name = "b";
  EXPECT_EQ(by_bytes(client_hello(options)).server_name, "");
  options.second_in_own_extension = true;
  EXPECT_EQ(by_bytes(client_hello(options)).server_name, "");
}

TEST(Sniff, ServerNamesThatAreNoHostNamesAreNone) {
  for (const std::string& name : {std::string("a\0b", 3), std::string("a/b"), std::string(300, 'a'),
                                 std::string(".a")}) {
    HelloOptions options;
    options.server_name = name;
    EXPECT_EQ(by_bytes(client_hello(options)).server_name, "") << name;
    EXPECT_EQ(sniff(client_hello(options)).kind, Kind::tls);
  }
}

TEST(Sniff, BytesBehindTheHelloChangeNothing) {
  HelloOptions options;
  options.server_name = "orders";
  const std::string hello = client_hello(options);
  EXPECT_EQ(by_bytes(hello + "\x17\x03\x03 anything"), sniff(hello));
}

TEST(Sniff, BrokenTls) {
  EXPECT_EQ(kind_of("\x16\x04\x01"), Kind::opaque);           // no such version
  EXPECT_EQ(kind_of(std::string("\x16\x03\x01\0\0", 5)), Kind::opaque);  // an empty record
  EXPECT_EQ(kind_of(std::string("\x16\x03\x01\0\x05\x02hello", 11)), Kind::opaque);
  std::string cut = client_hello({});
  cut[5 + 4 + 34] = '\x7f';  // a session longer than the hello
  EXPECT_EQ(by_bytes(cut).kind, Kind::tls);
}

TEST(Sniff, AHelloThatIsTooLongIsTlsWithoutNames) {
  HelloOptions options;
  options.server_name = "orders";
  options.padding = 2 * kMostSniffed;
  const Sniffed sniffed = by_bytes(client_hello(options));
  EXPECT_EQ(sniffed.kind, Kind::tls);
  EXPECT_EQ(sniffed.server_name, "");
}

}  // namespace
}  // namespace tulle::accept
