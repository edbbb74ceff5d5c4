// Http2Pair: a client codec and a server codec with nothing between them but memory.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/http/codec.hpp"

namespace tulle {

struct Http2Pair {
  HttpLimits client_limits;
  HttpLimits server_limits;
  std::unique_ptr<Codec> client;
  std::unique_ptr<Codec> server;
  Instant now{1'000'000'000};
  size_t cut = 0;            // feed at most so many bytes at once; 0: everything
  size_t write_limit = 1 << 20;
  size_t to_client = 0;      // bytes that crossed
  size_t to_server = 0;
  std::string last_to_client;
  std::string last_to_server;
  std::vector<StreamRef> accepted;

  explicit Http2Pair(HttpLimits limits = {}) : Http2Pair(limits, limits) {}
  Http2Pair(HttpLimits client_side, HttpLimits server_side)
      : client_limits(client_side), server_limits(server_side) {
    client = make_http2_codec(Codec::Role::client, client_limits, "http");
    server = make_http2_codec(Codec::Role::server, server_limits, "http");
  }
  ~Http2Pair() { accepted.clear(); }

  std::string written(Codec& codec) const {
    Bytes wire;
    codec.write(wire, write_limit);
    return wire.to_string();
  }

  Result<void> feed(Codec& codec, std::string_view bytes) const {
    const size_t piece = cut == 0 ? std::max<size_t>(bytes.size(), 1) : cut;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      Result<void> outcome = codec.read(bytes.substr(0, piece), now);
      if (!outcome) return outcome;
    }
    return {};
  }

  // One write in each direction. False: nobody had anything to say.
  bool step() {
    last_to_server = written(*client);
    to_server += last_to_server.size();
    const bool heard = !last_to_server.empty();
    if (heard) {
      EXPECT_TRUE(feed(*server, last_to_server).has_value());
    }
    take_accepted();
    last_to_client = written(*server);
    to_client += last_to_client.size();
    if (!last_to_client.empty()) {
      EXPECT_TRUE(feed(*client, last_to_client).has_value());
    }
    return heard || !last_to_client.empty();
  }

  void pump() {
    for (int i = 0; i < 100000; ++i) {
      if (!step()) return;
    }
    ADD_FAILURE() << "the two codecs never fall silent";
  }

  void take_accepted() {
    while (Stream* stream = server->accept()) accepted.emplace_back(stream);
  }

  StreamRef open() { return StreamRef(client->open()); }

  // A complete request without a body unless `more` follows.
  StreamRef request(std::string_view method, std::string_view path, bool more = false) {
    StreamRef stream = open();
    if (stream == nullptr) return stream;
    Head& head = stream->draft();
    head.method = method_of(method);
    head.method_text = method;
    head.path = path;
    head.authority = "a.example";
    head.ended = !more;
    stream->send_head();
    return stream;
  }

  // The oldest request that nobody has taken yet.
  StreamRef take() {
    if (accepted.empty()) return nullptr;
    StreamRef first = std::move(accepted.front());
    accepted.erase(accepted.begin());
    return first;
  }

  static void respond(Stream& stream, int status, std::string_view body = {}) {
    stream.draft().status = status;
    stream.draft().ended = body.empty();
    stream.send_head();
    if (body.empty()) return;
    stream.send(Bytes(body));
    stream.finish();
  }
};

inline std::string all_of(Stream& stream) { return stream.receive(SIZE_MAX).to_string(); }

// Keeps a stream full until `left` bytes of 'x' have been sent; then finishes it.
inline void send_some(Stream& stream, size_t& left) {
  while (left > 0) {
    const size_t room = stream.room();
    if (room == 0) return;
    const size_t size = std::min(room, left);
    stream.send(Bytes(std::string(size, 'x')));
    left -= size;
  }
  stream.finish();
}

}  // namespace tulle
