#include "core/http/http1_writer.hpp"

#include <string>

#include <gtest/gtest.h>

namespace tulle {
namespace {

std::string written(const Head& head) {
  Bytes wire;
  write_interim_head(head, wire);
  return wire.to_string();
}

// Whatever a handler has put there, no byte leaves that could end a line (RFC 9110, 5.5).
TEST(Http1Writer, ControlBytesBecomeBlanksWhereverTheyStand) {
  for (size_t size = 1; size <= 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string value(size, 'v');
        value[at] = static_cast<char>(byte);
        Head head;
        head.status = 103;
        head.fields.add("x-own", value);
        const bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
        if (control) value[at] = ' ';
        ASSERT_EQ(written(head), "HTTP/1.1 103 Early Hints\r\nx-own: " + value + "\r\n\r\n")
            << byte << " at " << at << " of " << size;
      }
    }
  }
}

TEST(Http1Writer, EmptyValuesAndTextBeyondAscii) {
  Head head;
  head.status = 103;
  head.fields.add("x-none", "");
  head.fields.add("x-name", "M\xc3\xbcller \xff");
  EXPECT_EQ(written(head), "HTTP/1.1 103 Early Hints\r\nx-none: \r\nx-name: M\xc3\xbcller \xff\r\n\r\n");
}

}  // namespace
}  // namespace tulle
