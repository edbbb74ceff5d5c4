// What the tests of misbehaving HTTP/2 peers share: a codec that hears frames made by hand, and its
// answers as short text.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/http/codec.hpp"
#include "tests/support/http2_frames.hpp"

namespace tulle {

enum H2Code : uint32_t {
  kProtocolError = 1,
  kFlowControlError = 3,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCompressionError = 9,
  kEnhanceYourCalm = 11,
};

class Http2Attack : public testing::Test {
 protected:
  Http2Attack() { greet(); }

  void greet() {
    codec_ = make_http2_codec(Codec::Role::server, limits_, "http");
    EXPECT_TRUE(read(std::string(h2::kPreface) + h2::settings()));
    sent();
    EXPECT_TRUE(read(h2::settings_ack()));
  }
  bool read(std::string_view bytes) { return codec_->read(bytes, now_).has_value(); }
  std::vector<h2::Frame> sent() {
    Bytes wire;
    codec_->write(wire, SIZE_MAX / 2);
    return h2::frames(wire.to_string());
  }
  // The answer to one stream: "RST n", "GOAWAY n", "STATUS n", or "" for silence.
  std::string answer_to(std::string_view bytes) {
    (void)read(bytes);
    return answer();
  }
  std::string answer() {
    for (const h2::Frame& f : sent()) {
      if (f.type == h2::kGoaway) return "GOAWAY " + std::to_string(f.at(4));
      if (f.type == h2::kRstStream) return "RST " + std::to_string(f.at(0));
      if (f.type == h2::kHeaders) return "STATUS " + status(f);
    }
    return "";
  }
  static std::string status(const h2::Frame& f) {
    if (f.payload.empty()) return "?";
    switch (static_cast<uint8_t>(f.payload[0])) {  // static table
      case 0x88: return "200";
      case 0x8c: return "400";
      case 0x8d: return "404";
      default: return "other";
    }
  }
  void expect_nothing_reached_a_handler() { EXPECT_EQ(codec_->accept(), nullptr); }

  HttpLimits limits_;
  std::unique_ptr<Codec> codec_;
  Instant now_{1};
};

inline std::string rst(H2Code code) { return "RST " + std::to_string(code); }
inline std::string gone(H2Code code) { return "GOAWAY " + std::to_string(code); }

inline h2::FieldList replace(h2::FieldList fields, std::string_view name, std::string value) {
  for (auto& [n, v] : fields) {
    if (n == name) v = std::move(value);
  }
  return fields;
}

inline h2::FieldList without(h2::FieldList fields, std::string_view name) {
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  return fields;
}

}  // namespace tulle
