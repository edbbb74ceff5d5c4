// What the tests of connections share: a server, and somebody who speaks to it in bytes.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "core/http/connection.hpp"
#include "tests/support/http_bench.hpp"
#include "tests/support/recorder.hpp"

namespace tulle {

inline constexpr const char* kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// A server and somebody who speaks to it in bytes.
class RawPeerTest : public ::testing::Test {
 protected:
  void connect() {
    if (bench.server == nullptr) bench.start();
    auto [near, far] = MemoryStream::pair(bench.loop, bench.network.wire);
    near_ = near.get();
    server_wire_ = far.get();
    peer.own(std::move(near));
    bench.server->adopt(std::move(far));
    bench.settle();
  }
  void say(ByteView bytes) {
    peer.send(bytes);
    bench.settle();
  }
  size_t served() const { return bench.service.heard.size(); }

  testing::HttpBench bench{Protocol::negotiated};
  testing::Recorder peer;
  MemoryStream* near_ = nullptr;
  MemoryStream* server_wire_ = nullptr;
};

}  // namespace tulle
