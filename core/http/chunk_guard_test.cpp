// The framing guard's walk through chunks, every branch of it (tests/coverage/guard.py counts).
#include "core/http/chunk_guard.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tulle {
namespace {

using namespace std::string_literals;

bool accepts(ByteView bytes) {
  const HttpLimits limits;
  ChunkGuard whole;
  whole.begin(limits);
  const bool at_once = !whole.feed(bytes);
  ChunkGuard torn;
  torn.begin(limits);
  bool in_pieces = true;
  for (size_t i = 0; i < bytes.size() && in_pieces; ++i) in_pieces = !torn.feed(bytes.substr(i, 1));
  EXPECT_EQ(at_once, in_pieces) << bytes;
  return at_once;
}

TEST(ChunkGuard, Accepts) {
  for (const std::string& bytes :
       {"5\r\nhello\r\n0\r\n\r\n"s, "a;b\r\n0123456789\r\n0\r\n\r\n"s, "A;b=c;d=\"e\"\r\n0123456789\r\n0\r\n"s,
        "0000000000000005\r\nhello\r\n0;x=\"a\\\"b\"\r\nany: trailers\x01"s, "1;a=bc;b\r\nx\r\n"s,
        "1000000000000000\r\nx"s, ""s}) {
    EXPECT_TRUE(accepts(bytes)) << bytes;
  }
}

TEST(ChunkGuard, Refuses) {
  for (const std::string& bytes :
       {"\r\n"s, ";a\r\n"s, "g\r\n"s, "5 \r\n"s, "00000000000000005\r\n"s, "1000000000000001\r\n"s,
        "5\rX"s, "5;\r"s, "5;=x"s, "5;a=\r"s, "5;a;;"s, "5;a b"s, "5;a=b c"s, "5;a=\"b\"c"s, "5;a=\"\r"s,
        "5;a=\"\\\r"s, "5;a\n"s, "5\r\nhelloX"s, "5\r\nhello\rX"s, "5;"s + std::string(300, 'e')}) {
    EXPECT_FALSE(accepts(bytes)) << bytes;
  }
}

TEST(ChunkGuard, ExtensionsOfAMessageAreBounded) {
  const std::string chunk = "1;" + std::string(200, 'e') + "\r\nx\r\n";
  std::string twenty;
  for (int i = 0; i < 20; ++i) twenty += chunk;
  EXPECT_TRUE(accepts(twenty));
  EXPECT_FALSE(accepts(twenty + chunk));
}

}  // namespace
}  // namespace tulle
