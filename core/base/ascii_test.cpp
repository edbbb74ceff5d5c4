#include "core/base/ascii.hpp"

#include <string>

#include <gtest/gtest.h>

namespace tulle {
namespace {

// Every byte at every place, beside bytes that would show a carry.
TEST(Ascii, LowerCopyIsLowerOfEveryByte) {
  for (const char beside : {'a', 'Z', '\xff', '\0'}) {
    for (size_t size = 1; size <= 20; ++size) {
      for (size_t at = 0; at < size; ++at) {
        for (int byte = 0; byte < 256; ++byte) {
          std::string text(size, beside);
          text[at] = static_cast<char>(byte);
          std::string expected = text;
          for (char& c : expected) c = lower(c);
          std::string copied(size, '?');
          lower_copy(copied.data(), text.data(), size);
          ASSERT_EQ(copied, expected) << byte << " at " << at << " of " << size;
          lower_copy(text.data(), text.data(), size);
          ASSERT_EQ(text, expected);
        }
      }
    }
  }
}

TEST(Ascii, OnlyLettersChange) {
  EXPECT_EQ(lower('A'), 'a');
  EXPECT_EQ(lower('Z'), 'z');
  for (const char c : {'@', '[', '`', '{', 'a', '0', '\xc1', '\0'}) EXPECT_EQ(lower(c), c);
}

}  // namespace
}  // namespace tulle
