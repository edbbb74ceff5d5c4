// Http1ClientDriver: an HTTP/1 client codec that is fed answers, whole or in pieces.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/codec.hpp"

namespace tulle::testing {

// A client codec, its one stream, and what came of the response.
struct Http1ClientDriver {
  explicit Http1ClientDriver(HttpLimits limits_to_use = {})
      : limits(limits_to_use), codec(make_http1_codec(Codec::Role::client, limits, "http")) {}
  ~Http1ClientDriver() { stream.reset(); }

  // Opens a stream and fills its draft; not yet sent.
  Head& begin(std::string_view method = "GET", std::string_view path = "/") {
    stream.reset(codec->open());
    body.clear();
    Head& head = stream->draft();
    head.method = method_of(method);
    head.method_text = method;
    head.path = path;
    head.authority = "a.example";
    head.ended = true;
    return head;
  }
  std::string send() {
    stream->send_head();
    return flush();
  }
  std::string flush() {
    Bytes wire;
    codec->write(wire, 1 << 20);
    return wire.to_string();
  }
  void feed(std::string_view bytes, size_t piece = 0) {
    if (piece == 0) piece = std::max<size_t>(bytes.size(), 1);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      read_failed = !codec->read(bytes.substr(0, piece), now) || read_failed;
      for (int i = 0; i < 3; ++i) {
        take();
        flush();
      }
    }
  }
  void take() {
    if (stream == nullptr) return;
    while (const Head* interim = stream->interim()) {
      interims.push_back(interim->status);
      stream->drop_interim();
    }
    body += stream->receive(SIZE_MAX).to_string();
  }
  void end_input() {
    codec->end_of_input(std::nullopt);
    take();
  }
  bool complete() const { return stream->ended() && stream->failure() == nullptr; }
  std::optional<Code> failure() const {
    if (stream->failure() == nullptr) return std::nullopt;
    return stream->failure()->code;
  }
  // Another request can go out.
  bool reusable() {
    stream.reset();
    flush();
    Stream* next = codec->open();
    if (next == nullptr) return false;
    EXPECT_TRUE(next->reused_connection());
    stream.reset(next);
    return true;
  }

  HttpLimits limits;
  std::unique_ptr<Codec> codec;
  Instant now{1'000'000'000};
  StreamRef stream;
  std::string body;
  std::vector<int> interims;
  bool read_failed = false;
};

}  // namespace tulle::testing
