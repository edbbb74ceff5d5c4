// ChunkGuard: the part of the framing guard that walks beside llhttp through a chunked body.
//
// Judges every byte of the chunk lines: sizes in at most 16 digits, extensions well formed and
// bounded, every line ended by CRLF. Owns counters only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/http/framing_guard.hpp"

namespace tulle {

// Follows the chunks of one body up to the last one; the trailer section is llhttp's alone.
class ChunkGuard {
 public:
  void begin(const HttpLimits& limits);
  Checked feed(ByteView bytes);   // exactly the bytes that llhttp is given

 private:
  enum class At : uint8_t {
    size, extension, name, equals, value, quoted, escaped, after_value, line_feed,
    data, data_cr, data_lf, trailers,
  };
  Checked step(unsigned char c);
  Checked size_digit(unsigned char c);
  Checked extension_byte(unsigned char c);
  Checked line_end();

  uint64_t left_ = 0;            // of the current chunk's data
  size_t line_ = 0;              // bytes of the current chunk line
  size_t line_limit_ = 0;
  size_t extensions_left_ = 0;   // bytes of extensions this message may still have
  uint8_t digits_ = 0;
  At at_ = At::size;
};

}  // namespace tulle
