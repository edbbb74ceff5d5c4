// What the tests of TCP share: an acceptor and a connected pair over real sockets of this machine,
// on one loop, and readers that count what they hear.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/net/tcp_stream.hpp"
#include "core/net/test_loop.hpp"

namespace tulle {

struct TestReader : ByteStream::Reader {
  virtual ~TestReader() = default;
  void on_open() override { ++opens; }
  void on_bytes(ByteView bytes) override {
    EXPECT_EQ(ends, 0);
    EXPECT_EQ(opens, 1);
    ++reads;
    largest = std::max(largest, bytes.size());
    received += bytes.size();
    if (keep) text += bytes;
    if (pause_after != 0 && received >= pause_after) stream->want_read(false);
  }
  void on_end(std::optional<Error> why) override {
    ++ends;
    error = std::move(why);
  }
  void on_drain() override { ++drains; }
  void on_congested(bool is) override {
    EXPECT_NE(congested, is) << "in alternation";
    congested = is;
    ++congestions;
  }

  bool congested = false;
  int congestions = 0;
  int opens = 0, ends = 0, drains = 0, reads = 0;
  bool keep = true;
  size_t received = 0, largest = 0, pause_after = 0;
  std::string text;
  std::optional<Error> error;
  ByteStream* stream = nullptr;
};

// Counts how often it is woken.
class Owner : public Task {
 public:
  using Task::Task;
  int runs = 0;

 private:
  void run() override { ++runs; }
};

inline Address any_port() { return *Address::parse("127.0.0.1", 0); }

class TcpTest : public testing::Test {
 protected:
  void listen(const ListenOptions& options = {}) {
    auto listening = test.network->listen(any_port(), options, owner);
    ASSERT_TRUE(listening) << listening.error().detail;
    acceptor = std::move(*listening);
  }
  // A connected pair; `client` is ours, `server` was accepted.
  void connect() {
    if (acceptor == nullptr) listen();
    client = test.network->connect(acceptor->local_address());
    ASSERT_TRUE(test.run_until([&] { return (server = acceptor->accept()) != nullptr; }));
  }
  void start() {
    client_reader.stream = client.get();
    server_reader.stream = server.get();
    client->start(client_reader);
    server->start(server_reader);
  }
  void fill(ByteStream& stream, size_t size) {
    Bytes bytes;
    bytes.append(std::string(size, 'x'));
    stream.write(std::move(bytes));
  }
  bool run_until(const std::function<bool()>& condition) { return test.run_until(condition); }

  TestLoop test;
  Owner owner{test.loop};
  std::unique_ptr<Acceptor> acceptor;
  std::unique_ptr<ByteStream> client, server;
  TestReader client_reader, server_reader;
};

}  // namespace tulle
