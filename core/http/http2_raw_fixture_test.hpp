// Http2Raw: one codec, client or server, whose peer is frames made by hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/codec.hpp"
#include "tests/support/http2_frames.hpp"

namespace tulle {

struct Http2Raw {
  HttpLimits limits;
  std::unique_ptr<Codec> codec;
  explicit Http2Raw(Codec::Role role) : codec(make_http2_codec(role, limits, "http")) {
    const bool server = role == Codec::Role::server;
    EXPECT_TRUE(read((server ? std::string(h2::kPreface) : std::string()) + h2::settings()));
    write();
    EXPECT_TRUE(read(h2::settings_ack()));
  }
  Result<void> read(std::string_view bytes) { return codec->read(bytes, Instant{1}); }
  std::vector<h2::Frame> write() {
    Bytes wire;
    codec->write(wire, SIZE_MAX / 2);
    return h2::frames(wire.to_string());
  }
  StreamRef get() {
    StreamRef stream(codec->open());
    if (stream == nullptr) return stream;
    stream->draft().method_text = "GET";
    stream->draft().path = "/";
    stream->draft().authority = "a";
    stream->draft().ended = true;
    stream->send_head();
    return stream;
  }
};

}  // namespace tulle
