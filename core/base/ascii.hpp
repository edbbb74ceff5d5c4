// ASCII text: lower case, one byte or eight at a time. Other bytes stay as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tulle {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

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

}  // namespace tulle
