// Shedding on real sockets: what is ended first, and that the memory comes back.
#include "core/http/shedding.hpp"

#include <gtest/gtest.h>

#include <list>
#include <utility>

#include "core/base/memory_budget.hpp"
#include "core/http/client.hpp"
#include "core/http/reply.hpp"
#include "core/http/server.hpp"
#include "core/net/test_loop.hpp"
#include "tests/support/recorder.hpp"

namespace tulle {
namespace {

// Takes nothing of a request; when evicted it answers as an exchange does.
class Holding final : public Service {
 public:
  explicit Holding(Loop& loop) : loop_(loop) {}
  std::unique_ptr<Task> serve(StreamRef stream) override {
    held.push_back(stream.get());
    return std::make_unique<Handler>(*this, std::move(stream));
  }
  std::vector<Stream*> held;
  int evicted = 0;

 private:
  class Handler final : public Task {
   public:
    Handler(Holding& by, StreamRef stream) : Task(by.loop_), by_(by), stream_(std::move(stream)) {
      stream_->set_owner(this);
    }

   private:
    void run() override {
      if (stream_ == nullptr || !stream_->evicted()) return;
      ++by_.evicted;
      send_text_reply(*stream_, 503, "text/plain", "later");
      stream_.reset();
    }
    Holding& by_;
    StreamRef stream_;
  };
  Loop& loop_;
};

class Shedding : public ::testing::Test {
 protected:
  ~Shedding() override {
    clients.clear();
    server.reset();
    EXPECT_TRUE(test.run_until([&] { return test.loop.cells() == 0; }));
  }
  void start(Service& service) {
    server = std::make_unique<Server>(test.loop, service, Server::Options{});
    ASSERT_TRUE(server->listen(*test.network, *Address::parse("127.0.0.1", 0), {}).has_value());
  }
  testing::Recorder& connect() {
    return clients.emplace_back(test.network->connect(server->local_address()));
  }
  // An upload of which so much arrives and the rest does not.
  testing::Recorder& upload(size_t size) {
    const size_t before = holding.held.size();
    testing::Recorder& client = connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n" + std::string(size, 'x'));
    EXPECT_TRUE(test.run_until([&] {
      return holding.held.size() > before && holding.held.back()->readable() == size;
    }));
    return client;
  }
  size_t shed(size_t bytes) {
    return server->shed(Sheds::idle_then_largest, bytes, test.loop.now());
  }
  static uint64_t shed_so_far(Shed what) { return MemoryBudget::of_process().shed(what); }

  TestLoop test;
  Holding holding{test.loop};
  std::unique_ptr<Server> server;
  std::list<testing::Recorder> clients;
};

TEST_F(Shedding, EndsTheLargestAndNoMore) {
  start(holding);
  testing::Recorder& small = upload(6'000);
  testing::Recorder& large = upload(50'000);
  testing::Recorder& middle = upload(30'000);
  const uint64_t before = shed_so_far(Shed::exchange);
  EXPECT_GE(shed(60'000), 80'000u) << "heads weigh a little, too";
  ASSERT_TRUE(test.run_until([&] { return large.text.find("503") != std::string::npos &&
                                          middle.text.find("503") != std::string::npos; }));
  EXPECT_EQ(holding.evicted, 2);
  EXPECT_EQ(shed_so_far(Shed::exchange), before + 2);
  EXPECT_EQ(small.text, "");
  EXPECT_EQ(shed(1), 6'000u + holding.held[0]->head()->fields.weight());
}

TEST_F(Shedding, WhatHoldsNextToNothingIsLeftAlone) {
  start(holding);
  upload(1'000);
  EXPECT_EQ(shed(1'000'000), 0u);
  EXPECT_EQ(holding.evicted, 0);
}

TEST_F(Shedding, AHeadThatNeverEndsGoesWithItsConnection) {
  start(holding);
  testing::Recorder& client = connect();
  std::string head = "GET / HTTP/1.1\r\nhost: a\r\n";
  for (int i = 0; i < 50; ++i) head += "x-" + std::to_string(i) + ": " + std::string(500, 'v') + "\r\n";
  client.send(head);
  ASSERT_TRUE(test.run_until([&] { return shed(1) > 20'000; }));
  ASSERT_TRUE(test.run_until([&] { return server->drained(); }));
  EXPECT_TRUE(holding.held.empty());
}

TEST_F(Shedding, AnAnswerThatIsNotTakenGoesWithItsConnection) {
  class Huge final : public Service {
   public:
    explicit Huge(Loop& loop) : loop_(loop) {}
    std::unique_ptr<Task> serve(StreamRef stream) override {
      return serve_text(loop_, std::move(stream), 200, std::string(4096 * ++served_, 't'),
                        std::string(40 << 20, 'H'));
    }

   private:
    Loop& loop_;
    size_t served_ = 0;
  } huge(test.loop);
  start(huge);
  // What the kernel leaves of a turn may be little. Heads of all sizes see to it that of some it is not.
  for (int i = 0; i < 16; ++i) {
    testing::Recorder& client = connect();
    client.stream->want_read(false);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  }
  size_t held = 0;
  int same = 0;
  ASSERT_TRUE(test.run_until([&] {
    const size_t now = chunk_pool_stats().bytes_in_use;
    same = now == std::exchange(held, now) && server->connections() == 16 ? same + 1 : 0;
    return same == 50;
  }));
  ASSERT_GT(shed(1), 16'000u);
  ASSERT_TRUE(test.run_until([&] { return server->connections() == 15; }))
      << "its backlog is not waited for";
}

TEST_F(Shedding, IdleConnectionsGoFirst) {
  start(holding);
  testing::Recorder& idle = connect();
  ASSERT_TRUE(test.run_until([&] { return server->connections() == 1; }));
  testing::Recorder& busy = upload(20'000);
  EXPECT_EQ(server->shed(Sheds::idle, 1, test.loop.now()), 0u) << "it has only just come";
  const Instant later = test.loop.now() + 2s;
  EXPECT_GT(server->shed(Sheds::idle_then_largest, 1, later), 0u);
  ASSERT_TRUE(test.run_until([&] { return idle.ended; }));
  EXPECT_EQ(server->shed(Sheds::idle, 1, later), 0u) << "a connection with a stream is not idle";
  EXPECT_EQ(holding.evicted, 0);
  EXPECT_GT(server->shed(Sheds::idle_then_largest, 1, later), 0u);
  ASSERT_TRUE(test.run_until([&] { return busy.text.find("503") != std::string::npos; }));
}

TEST_F(Shedding, HeldAcceptingLetsNobodyIn) {
  start(holding);
  server->hold_accepting(true);
  test.settle();
  testing::Recorder& client = connect();
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  test.settle();
  EXPECT_EQ(server->connections(), 0u);
  server->hold_accepting(false);
  EXPECT_TRUE(test.run_until([&] { return holding.held.size() == 1; }));
}

}  // namespace
}  // namespace tulle
