// Connections of a shared port spread over the loops that listen on it.
#include "core/net/accept_group.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "core/net/test_loop.hpp"

namespace tulle {
namespace {

class Owner : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

struct Worker {
  TestLoop test;
  Owner owner{test.loop};
  std::unique_ptr<Acceptor> acceptor;
  std::vector<std::unique_ptr<ByteStream>> streams;

  void listen(const Address& at) {
    ListenOptions options;
    options.reuse_port = true;
    auto listening = test.network->listen(at, options, owner);
    ASSERT_TRUE(listening) << listening.error().detail;
    acceptor = std::move(*listening);
  }
  void take() {
    test.settle();
    if (acceptor == nullptr) return;
    while (auto stream = acceptor->accept()) streams.push_back(std::move(stream));
  }
};

class AcceptGroupTest : public testing::Test {
 protected:
  AcceptGroupTest() {
    EXPECT_TRUE(claim_port(at));
    for (Worker& worker : workers) worker.listen(at);
  }
  ~AcceptGroupTest() override { release_port(at); }
  void connect_one() { clients.push_back(clients_loop.network->connect(at)); }
  void take_all() {
    clients_loop.settle();
    for (int round = 0; round < 3; ++round) {
      for (Worker& worker : workers) worker.take();
    }
  }
  std::vector<size_t> counts() {
    std::vector<size_t> out;
    for (Worker& worker : workers) {
      EXPECT_EQ(worker.test.loop.accepted(), worker.streams.size());
      out.push_back(worker.streams.size());
    }
    return out;
  }

  Address at = *Address::parse("127.0.0.1", 0);
  Worker workers[3];
  TestLoop clients_loop;
  std::vector<std::unique_ptr<ByteStream>> clients;
};

TEST_F(AcceptGroupTest, FewConnectionsSpreadEvenly) {
  for (size_t i = 1; i <= 9; ++i) {
    connect_one();
    take_all();
    const auto now = counts();
    EXPECT_EQ(*std::max_element(now.begin(), now.end()), (i + 2) / 3);
  }
  // Those that end make room.
  workers[1].streams.clear();
  take_all();
  for (int i = 0; i < 3; ++i) {
    connect_one();
    take_all();
  }
  EXPECT_EQ(counts(), (std::vector<size_t>(3, 3)));
}

TEST_F(AcceptGroupTest, AHandedOverStreamWorks) {
  for (int i = 0; i < 3; ++i) connect_one();
  take_all();
  struct Reader : ByteStream::Reader {
    virtual ~Reader() = default;
    void on_bytes(ByteView bytes) override { text += bytes; }
    void on_end(std::optional<Error>) override {}
    std::string text;
  };
  for (Worker& worker : workers) {
    ASSERT_EQ(worker.streams.size(), 1u);
    Reader reader;
    worker.streams[0]->start(reader);
    for (auto& client : clients) {
      if (client->local_address() == worker.streams[0]->peer_address()) client->write(Bytes("hi"));
    }
    clients_loop.settle();
    EXPECT_TRUE(worker.test.run_until([&] { return reader.text == "hi"; }));
    worker.streams.clear();
  }
}

TEST_F(AcceptGroupTest, APausedListenerGetsNothing) {
  workers[0].acceptor->pause(true);
  workers[1].acceptor->pause(true);
  for (int i = 0; i < 12; ++i) connect_one();
  take_all();
  EXPECT_EQ(workers[0].streams.size() + workers[1].streams.size(), 0u);
  workers[0].acceptor->pause(false);
  workers[1].acceptor->pause(false);
  take_all();
  size_t total = 0;
  for (const size_t count : counts()) total += count;
  EXPECT_EQ(total, 12u);
}

// Sockets in the mail of a listener that goes are closed, and counted down.
TEST_F(AcceptGroupTest, AListenerMayGoWithSocketsInItsMail) {
  for (int i = 0; i < 12; ++i) connect_one();
  clients_loop.settle();
  workers[0].take();
  workers[1].take();
  const uint32_t posted = workers[2].test.loop.accepted();
  workers[2].acceptor = nullptr;
  workers[2].take();
  EXPECT_GT(posted, 0u);
  EXPECT_EQ(workers[2].test.loop.accepted(), 0u);
}

TEST_F(AcceptGroupTest, ALoopMayGoWithSocketsInItsMail) {
  auto fourth = std::make_unique<Worker>();
  fourth->listen(at);
  for (int i = 0; i < 12; ++i) connect_one();
  clients_loop.settle();
  for (Worker& worker : workers) worker.take();
  EXPECT_GT(fourth->test.loop.accepted(), 0u);
  fourth = nullptr;
}

TEST(AcceptGroup, ThreadsShareAPort) {
  Address at = *Address::parse("127.0.0.1", 0);
  ASSERT_TRUE(claim_port(at));
  constexpr int kClients = 200;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      Worker worker;
      worker.listen(at);
      EXPECT_TRUE(worker.test.run_until([&] {
        while (auto stream = worker.acceptor->accept()) {
          ++taken;
          if (taken % 2 == 0) worker.streams.push_back(std::move(stream));
        }
        return taken == kClients;
      }));
    });
  }
  TestLoop test;
  std::vector<std::unique_ptr<ByteStream>> clients;
  struct Reader : ByteStream::Reader {
    virtual ~Reader() = default;
    void on_open() override { ++opened; }
    void on_bytes(ByteView) override {}
    void on_end(std::optional<Error>) override {}
    int opened = 0;
  } reader;
  Owner retry(test.loop);
  for (int i = 0; i < kClients; ++i) {
    const int before = reader.opened;
    // Until the first thread listens, connecting is refused.
    while (reader.opened == before) {
      auto client = test.network->connect(at);
      client->start(reader);
      test.run_until([&] { return reader.opened > before; }, 20ms);
      if (reader.opened > before) clients.push_back(std::move(client));
    }
  }
  EXPECT_TRUE(test.run_until([&] { return taken == kClients; }));
  for (auto& thread : threads) thread.join();
  release_port(at);
}

}  // namespace
}  // namespace tulle
