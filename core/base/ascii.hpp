// ASCII text, whatever the locale says: letters, digits, lower case one byte or eight at a time, and
// what protocols call case-insensitive. Other bytes, those of UTF-8 too, stay as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tulle {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_letter(char c) { return is_lower(c) || is_upper(c); }
constexpr bool is_alphanumeric(char c) { return is_letter(c) || is_digit(c); }

constexpr char lower(char c) { return is_upper(c) ? static_cast<char>(c + ('a' - 'A')) : c; }

// The eight bytes of a word. Adding to seven bits carries into the eighth, never into the next byte.
constexpr uint64_t lower_word(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t seven = word & (kOnes * 0x7f);
  const uint64_t from_a = seven + kOnes * (0x80 - 'A');
  const uint64_t behind_z = seven + kOnes * (0x80 - 'Z' - 1);
  const uint64_t upper = (from_a ^ behind_z) & ~word & (kOnes * 0x80);
  return word | (upper >> 2);
}

// Copies; both may be the same.
inline void lower_copy(char* to, const char* from, size_t size) {
  if (size < 8) {
    for (size_t i = 0; i < size; ++i) to[i] = lower(from[i]);
    return;
  }
  const auto copy_word = [to, from](size_t at) {
    uint64_t word;
    std::memcpy(&word, from + at, 8);
    word = lower_word(word);
    std::memcpy(to + at, &word, 8);
  };
  for (size_t at = 0; at + 8 < size; at += 8) copy_word(at);
  copy_word(size - 8);  // some of them once more
}

inline void make_lower(std::string& text) { lower_copy(text.data(), text.data(), text.size()); }

inline std::string lower_case(std::string_view text) {
  std::string lowered(text);
  make_lower(lowered);
  return lowered;
}

// `lower_case` is lower-case already.
constexpr bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

}  // namespace tulle
