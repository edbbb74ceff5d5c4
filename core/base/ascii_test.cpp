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

TEST(Ascii, LettersAndDigitsOfAsciiOnly) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    EXPECT_EQ(is_digit(c), byte >= 0x30 && byte <= 0x39) << byte;
    const int folded = byte | 0x20;
    EXPECT_EQ(is_letter(c), folded >= 0x61 && folded <= 0x7a) << byte;
    EXPECT_EQ(is_alphanumeric(c), is_digit(c) || is_letter(c)) << byte;
  }
}

TEST(Ascii, CaseIsIgnoredAndNothingElse) {
  EXPECT_TRUE(equals_ignoring_case("ChunKed", "chunked"));
  EXPECT_FALSE(equals_ignoring_case("chunkex", "chunked"));
  EXPECT_FALSE(equals_ignoring_case("chunk", "chunked"));
  EXPECT_FALSE(equals_ignoring_case("[", "a"));
  EXPECT_FALSE(equals_ignoring_case("@", "a"));
  EXPECT_FALSE(equals_ignoring_case("chunkeD ", "chunked"));
  EXPECT_FALSE(equals_ignoring_case("chun", "chunked"));
  EXPECT_FALSE(equals_ignoring_case("@", "`"));
  EXPECT_EQ(lower_case("Stra\xc3\x9f" "E-1"), "stra\xc3\x9f" "e-1");
}

}  // namespace
}  // namespace tulle
