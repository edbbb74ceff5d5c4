#include "core/http/chunk_guard.hpp"

#include <algorithm>

namespace tulle {
namespace {

Refusal bad(const char* why) { return {Code::bad_request, why}; }

}  // namespace

void ChunkGuard::begin(const HttpLimits& limits) {
  *this = {};
  line_limit_ = limits.chunk_line;
  extensions_left_ = limits.chunk_extensions;
}

Checked ChunkGuard::feed(ByteView bytes) {
  while (!bytes.empty() && at_ != At::trailers) {
    if (at_ == At::data) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      left_ -= n;
      bytes.remove_prefix(n);
      if (left_ == 0) at_ = At::data_cr;
      continue;
    }
    if (Checked refused = step(static_cast<unsigned char>(bytes.front()))) return refused;
    bytes.remove_prefix(1);
  }
  return {};
}

Checked ChunkGuard::step(unsigned char c) {
  switch (at_) {
    case At::data_cr:
      if (c != '\r') return bad("chunk data longer than its size");
      at_ = At::data_lf;
      return {};
    case At::data_lf:
      if (c != '\n') return bad("CR without LF after chunk data");
      at_ = At::size;
      digits_ = 0;
      line_ = 0;
      return {};
    case At::line_feed:
      if (c != '\n') return bad("CR without LF in a chunk line");
      return line_end();
    default: break;
  }
  if (++line_ > line_limit_) return bad("chunk line too long");
  if (at_ == At::size) return size_digit(c);
  if (extensions_left_ == 0) return bad("too many chunk extensions");
  --extensions_left_;
  return extension_byte(c);
}

Checked ChunkGuard::line_end() {
  at_ = left_ == 0 ? At::trailers : At::data;
  return {};
}

Checked ChunkGuard::size_digit(unsigned char c) {
  if (is_hex_digit(static_cast<char>(c))) {
    if (++digits_ > 16) return bad("chunk size has too many digits");
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    left_ = left_ * 16 + static_cast<uint64_t>(digit);
    return {};
  }
  if (digits_ == 0) return bad("chunk without a size");
  // Nobody sends an exabyte; such sizes are there to make somebody's arithmetic wrap.
  if (left_ > uint64_t{1} << 60) return bad("chunk size too large");
  if (c == '\r') {
    at_ = At::line_feed;
  } else if (c == ';') {
    at_ = At::extension;
  } else {
    return bad("invalid byte in a chunk size");
  }
  return {};
}

// chunk-ext = *( ";" name [ "=" ( token / quoted-string ) ] ), without the blanks that RFC 9112
// lets old senders put around the signs.
Checked ChunkGuard::extension_byte(unsigned char c) {
  const bool token = is_token_byte(static_cast<char>(c));
  switch (at_) {
    case At::extension:
      if (!token) return bad("chunk extension without a name");
      at_ = At::name;
      return {};
    case At::name:
      if (token) return {};
      if (c == '=') {
        at_ = At::equals;
        return {};
      }
      break;
    case At::equals:
      if (c == '"') {
        at_ = At::quoted;
      } else if (token) {
        at_ = At::value;
      } else {
        return bad("chunk extension without a value");
      }
      return {};
    case At::value:
      if (token) return {};
      break;
    case At::quoted:
      if (!is_value_byte(static_cast<char>(c))) return bad("invalid byte in a chunk extension");
      if (c == '\\') at_ = At::escaped;
      if (c == '"') at_ = At::after_value;
      return {};
    case At::escaped:
      if (!is_value_byte(static_cast<char>(c))) return bad("invalid byte in a chunk extension");
      at_ = At::quoted;
      return {};
    default: break;
  }
  if (c == '\r') {
    at_ = At::line_feed;
  } else if (c == ';') {
    at_ = At::extension;
  } else {
    return bad("invalid byte in a chunk extension");
  }
  return {};
}

}  // namespace tulle
