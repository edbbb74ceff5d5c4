// Recorder: a ByteStream::Reader that writes down what it hears, and checks the order of it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/net/byte_stream.hpp"

namespace tulle::testing {

class Recorder final : public ByteStream::Reader {
 public:
  Recorder() = default;
  explicit Recorder(std::unique_ptr<ByteStream> to_own) { own(std::move(to_own)); }

  void own(std::unique_ptr<ByteStream> to_own) {
    stream = std::move(to_own);
    stream->start(*this);
  }
  void send(ByteView bytes) { stream->write(Bytes(bytes)); }

  void on_open() override {
    EXPECT_FALSE(opened || ended) << "on_open comes once and first";
    opened = true;
  }
  void on_bytes(ByteView bytes) override {
    EXPECT_TRUE(opened && !ended && !bytes.empty());
    text += bytes;
    pieces.push_back(bytes.size());
    if (pause_after != 0 && text.size() >= pause_after) {
      pause_after = 0;
      stream->want_read(false);
    }
  }
  void on_end(std::optional<Error> reason) override {
    EXPECT_FALSE(ended) << "on_end comes once";
    ended = true;
    why = std::move(reason);
  }
  void on_lost(Error reason) override {
    EXPECT_TRUE(ended_orderly() && !lost) << "on_lost comes once, after an orderly end";
    lost = std::move(reason);
  }
  void on_drain() override { ++drains; }

  bool ended_orderly() const { return ended && !why.has_value(); }
  std::string detail() const { return why.has_value() ? why->detail : std::string(); }

  std::unique_ptr<ByteStream> stream;
  std::string text;
  std::vector<size_t> pieces;  // sizes of the on_bytes calls
  size_t pause_after = 0;      // stops reading once, when so much has come
  bool opened = false;
  bool ended = false;
  std::optional<Error> why;
  std::optional<Error> lost;
  int drains = 0;
};

}  // namespace tulle::testing
