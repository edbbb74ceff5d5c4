// HTTP/2 frames made and read by hand, for what a correct implementation would never send.
//
// Independent of nghttp2 and of the codec, so that a shared misunderstanding shows. Field blocks are
// literals without indexing and without Huffman coding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::h2 {

enum Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kAck = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;
inline constexpr uint8_t kPadded = 0x8;

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

using FieldList = std::vector<std::pair<std::string, std::string>>;

inline std::string number(uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift & 0xff));
  }
  return out;
}

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = number(payload.size(), 3);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += number(stream, 4);
  return out.append(payload);
}

// HPACK: a length with a seven-bit prefix whose first bit (Huffman) is clear.
inline std::string length_prefix(size_t value) {
  std::string out;
  if (value < 127) return out += static_cast<char>(value);
  out += '\x7f';
  value -= 127;
  while (value >= 128) {
    out += static_cast<char>(value % 128 + 128);
    value /= 128;
  }
  return out += static_cast<char>(value);
}

inline std::string literal(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out += length_prefix(name.size());
  out += name;
  out += length_prefix(value.size());
  return out += value;
}

inline std::string block(const FieldList& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += literal(name, value);
  return out;
}

inline std::string headers(uint32_t stream, const FieldList& fields,
                           uint8_t flags = kEndStream | kEndHeaders) {
  return frame(kHeaders, flags, stream, block(fields));
}
inline std::string data(uint32_t stream, std::string_view bytes, uint8_t flags = 0) {
  return frame(kData, flags, stream, bytes);
}
inline std::string rst(uint32_t stream, uint32_t code) {
  return frame(kRstStream, 0, stream, number(code, 4));
}
inline std::string window_update(uint32_t stream, uint32_t by) {
  return frame(kWindowUpdate, 0, stream, number(by, 4));
}
inline std::string ping(std::string_view eight = "12345678", uint8_t flags = 0) {
  return frame(kPing, flags, 0, eight);
}
inline std::string settings(const std::vector<std::pair<uint16_t, uint32_t>>& entries = {}) {
  std::string payload;
  for (const auto& [id, value] : entries) payload += number(id, 2) + number(value, 4);
  return frame(kSettings, 0, 0, payload);
}
inline std::string settings_ack() { return frame(kSettings, kAck, 0, ""); }
inline std::string goaway(uint32_t last, uint32_t code) {
  return frame(kGoaway, 0, 0, number(last, 4) + number(code, 4));
}
inline FieldList get(std::string_view path = "/") {
  return {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", std::string(path)}};
}
inline FieldList with(FieldList fields, std::string name, std::string value) {
  fields.emplace_back(std::move(name), std::move(value));
  return fields;
}

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;

  uint32_t at(size_t offset) const {
    uint32_t value = 0;
    for (size_t i = offset; i < offset + 4 && i < payload.size(); ++i) {
      value = value << 8 | static_cast<uint8_t>(payload[i]);
    }
    return value;
  }
};

// Splits wire bytes into frames; an incomplete one at the end is left out.
inline std::vector<Frame> frames(std::string_view wire) {
  std::vector<Frame> out;
  if (wire.starts_with(kPreface)) wire.remove_prefix(kPreface.size());
  while (wire.size() >= 9) {
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(wire[i])); };
    const size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (wire.size() < 9 + length) break;
    Frame next;
    next.type = static_cast<uint8_t>(byte(3));
    next.flags = static_cast<uint8_t>(byte(4));
    next.stream = static_cast<uint32_t>(byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8));
    next.payload = wire.substr(9, length);
    out.push_back(std::move(next));
    wire.remove_prefix(9 + length);
  }
  return out;
}

// The frames of one type, or of one stream.
inline std::vector<Frame> of_type(const std::vector<Frame>& all, uint8_t type) {
  std::vector<Frame> out;
  for (const Frame& f : all) {
    if (f.type == type) out.push_back(f);
  }
  return out;
}

}  // namespace tulle::h2
