// TCP streams may be finished or destroyed at any moment.
#include <gtest/gtest.h>

#include <deque>

#include "core/base/rng.hpp"
#include "core/net/tcp_fixture_test.hpp"

namespace tulle {
namespace {

// ---- finish() ------------------------------------------------------------------------------

TEST_F(TcpTest, FinishFlushesWhenTheOwnerIsGone) {
  connect();
  start();
  server_reader.keep = false;
  fill(*client, 3'000'000);
  ByteStream::finish(std::move(client), 10s);
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
  EXPECT_EQ(server_reader.received, 3'000'000u);
  EXPECT_FALSE(server_reader.error);
  EXPECT_EQ(client_reader.ends, 0);
  server = nullptr;
  EXPECT_TRUE(run_until([&] { return test.loop.cells() == 1; }));  // the acceptor's
}

TEST_F(TcpTest, FinishDiscardsWhatStillComesInsteadOfResetting) {
  connect();
  start();
  ByteStream::finish(std::move(server), 10s);
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  EXPECT_FALSE(client_reader.error);
  fill(*client, 500'000);
  client->shutdown();
  ASSERT_TRUE(run_until([&] { return client->backlog() == 0 && test.loop.cells() == 2; }));
  EXPECT_FALSE(client_reader.error);
}

TEST_F(TcpTest, FinishGivesUpAfterItsLinger) {
  connect();
  start();
  server->want_read(false);
  fill(*client, 20'000'000);
  ByteStream::finish(std::move(client), 20ms);
  EXPECT_TRUE(run_until([&] { return test.loop.cells() == 2; }));
}

TEST_F(TcpTest, FinishWhileConnectingStillDelivers) {
  listen();
  client = test.network->connect(acceptor->local_address());
  client->write(Bytes("parting words"));
  ByteStream::finish(std::move(client), 10s);
  ASSERT_TRUE(run_until([&] { return (server = acceptor->accept()) != nullptr; }));
  server->start(server_reader);
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
  EXPECT_EQ(server_reader.text, "parting words");
}

TEST_F(TcpTest, FinishOfAFailedStreamCloses) {
  client = test.network->connect(*Address::parse("255.255.255.255", 80));
  ByteStream::finish(std::move(client), 10s);
  EXPECT_TRUE(run_until([&] { return test.loop.cells() == 0; }));
}

TEST_F(TcpTest, TheLoopWaitsForFinishingCells) {
  connect();
  start();
  server_reader.keep = false;
  fill(*client, 1'000'000);
  ByteStream::finish(std::move(client), 50ms);
  // The fixture destroys the loop now; the server's stream dies before it.
}

// ---- destruction in every state --------------------------------------------------------------

TEST_F(TcpTest, DestroyedUnstarted) {
  connect();
  client = nullptr;
  server = nullptr;
  EXPECT_TRUE(run_until([&] { return test.loop.cells() == 1; }));
}

TEST_F(TcpTest, DestroyedWhileConnecting) {
  listen();
  for (int i = 0; i < 3; ++i) {
    client = test.network->connect(acceptor->local_address());
    client->start(client_reader);
    if (i == 1) client->write(Bytes("x"));
    if (i == 2) client->shutdown();
    client = nullptr;
  }
  EXPECT_TRUE(run_until([&] { return test.loop.cells() == 1; }));
  EXPECT_EQ(client_reader.opens + client_reader.ends, 0);
}

TEST_F(TcpTest, DestroyedWithFailureUntold) {
  client = test.network->connect(*Address::parse("255.255.255.255", 80));
  client->start(client_reader);
  client = nullptr;
  test.settle();
  EXPECT_EQ(client_reader.ends, 0);
}

TEST_F(TcpTest, DestroyedWithABacklogInFlight) {
  connect();
  start();
  server->want_read(false);
  fill(*client, 20'000'000);
  ASSERT_TRUE(run_until([&] { return client->backlog() > 0; }));
  client = nullptr;
  EXPECT_TRUE(run_until([&] { return test.loop.cells() == 2; }));
}

TEST_F(TcpTest, DestroyedBeforeItsWriteStage) {
  connect();
  start();
  fill(*client, 1000);
  client = nullptr;
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
  EXPECT_EQ(server_reader.received, 0u);
}

TEST_F(TcpTest, DestroyedHalfClosed) {
  for (const bool ours : {true, false}) {
    TestReader a, b;
    connect();
    client->start(a);
    server->start(b);
    (ours ? client : server)->shutdown();
    ASSERT_TRUE(run_until([&] { return (ours ? b : a).ends == 1; }));
    client = nullptr;
    server = nullptr;
    EXPECT_TRUE(run_until([&] { return test.loop.cells() == 1; }));
  }
}

// The turn that the 64th read callback holds destroys streams whose read callback is on the stack,
// and streams whose readiness libuv has not looked at yet.
TEST_F(TcpTest, DestroyedInTheTurnOfAReadCallback) {
  struct Killer : Task {
    using Task::Task;
    void run() override { streams.clear(); }
    std::vector<std::unique_ptr<ByteStream>> streams;
  } killer(test.loop);
  struct Waker : TestReader {
    explicit Waker(Task& t) : task(t) {}
    void on_bytes(ByteView) override {
      ++reads;
      task.wake();
    }
    Task& task;
  } reader(killer);

  test.loop.set_reads_per_turn(3);
  std::vector<std::unique_ptr<ByteStream>> clients;
  for (int i = 0; i < 10; ++i) {
    connect();
    server->start(reader);
    killer.streams.push_back(std::move(server));
    clients.push_back(std::move(client));
  }
  test.settle();
  for (auto& stream : clients) stream->write(Bytes("x"));
  ASSERT_TRUE(run_until([&] { return killer.streams.empty(); }));
  test.settle();
  EXPECT_GE(reader.reads, 3);
  EXPECT_EQ(test.loop.cells(), 11u);
}

TEST_F(TcpTest, DestroyedInOnDrainsTurn) {
  connect();
  start();
  server_reader.keep = false;
  fill(*client, 5'000'000);
  ASSERT_TRUE(run_until([&] { return client_reader.drains > 0; }));
  client = nullptr;
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
}

// A random life of many streams; the sanitizers and the cell count are the judges.
TEST_F(TcpTest, RandomLives) {
  listen();
  Rng rng(20261121);
  std::vector<std::unique_ptr<ByteStream>> streams;
  std::deque<TestReader> readers;
  for (int step = 0; step < 3000; ++step) {
    while (auto accepted = acceptor->accept()) streams.push_back(std::move(accepted));
    if (streams.size() < 8) {
      streams.push_back(test.network->connect(acceptor->local_address()));
    }
    auto& stream = streams[rng.below(streams.size())];
    switch (rng.below(10)) {
      case 0: stream = nullptr; break;
      case 1: ByteStream::finish(std::move(stream), Duration(rng.below(3'000'000))); break;
      case 2: stream->shutdown(); break;
      case 3: stream->want_read(rng.chance(0.5)); break;
      case 4: case 5:
        readers.emplace_back().keep = false;
        stream->start(readers.back());
        break;
      case 6: fill(*stream, rng.below(2'000'000)); break;
      case 7: fill(*stream, rng.below(100)); break;
      default: {
        int turns = static_cast<int>(rng.below(3));
        test.run_until([&] { return turns-- <= 0; });
      }
    }
    std::erase(streams, nullptr);
  }
  streams.clear();
  EXPECT_TRUE(run_until([&] { return test.loop.cells() == 1; }));
}

}  // namespace
}  // namespace tulle
