// TcpStream and TcpAcceptor over real sockets of this machine, on one loop.
#include "core/net/tcp_stream.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <functional>

#include "core/base/rng.hpp"
#include "core/net/listen_socket.hpp"
#include "core/net/test_loop.hpp"

namespace tulle {
namespace {

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

class Owner : public Task {
 public:
  using Task::Task;
  int runs = 0;

 private:
  void run() override { ++runs; }
};

Address any_port() { return *Address::parse("127.0.0.1", 0); }

// The limit of descriptors, put back when the test ends in whatever way.
class DescriptorLimit {
 public:
  DescriptorLimit() { getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorLimit() { restore(); }
  void set(rlim_t count) {
    rlimit low = before_;
    low.rlim_cur = count;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  }
  void restore() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_;
};

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

TEST_F(TcpTest, CarriesBytesBothWaysAndEndsInOrder) {
  connect();
  start();
  client->write(Bytes("hello "));
  client->write(Bytes("there"));
  client->shutdown();
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
  EXPECT_EQ(server_reader.text, "hello there");
  EXPECT_EQ(server_reader.reads, 1);  // one write for what a turn has produced
  EXPECT_FALSE(server_reader.error);
  server->write(Bytes("answer after the half close"));
  server->shutdown();
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  EXPECT_EQ(client_reader.text, "answer after the half close");
  EXPECT_EQ(client_reader.opens, 1);
  EXPECT_EQ(server_reader.opens, 1);
}

TEST_F(TcpTest, KnowsItsAddresses) {
  connect();
  EXPECT_EQ(client->peer_address(), acceptor->local_address());
  EXPECT_EQ(server->local_address(), acceptor->local_address());
  EXPECT_EQ(server->peer_address(), client->local_address());
  EXPECT_FALSE(server->original_destination().is_set());
}

TEST_F(TcpTest, RefusedConnectSaysSoInWords) {
  listen();
  const Address nobody = acceptor->local_address();
  acceptor = nullptr;
  client = test.network->connect(nobody);
  client->start(client_reader);
  client->write(Bytes("lost"));
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  ASSERT_TRUE(client_reader.error);
  EXPECT_EQ(client_reader.error->code, Code::connect_failed);
  EXPECT_EQ(client_reader.error->origin, Origin::upstream);
  EXPECT_EQ(client_reader.error->detail, "connect " + nobody.to_string() + ": connection refused");
  EXPECT_EQ(client_reader.opens, 0);
  EXPECT_EQ(client->backlog(), 0u);
}

// Fails at once inside connect(), but is heard of later and not from inside a call.
TEST_F(TcpTest, ImpossibleConnectIsHeardOfInATurn) {
  client = test.network->connect(*Address::parse("255.255.255.255", 80));
  client->start(client_reader);
  EXPECT_EQ(client_reader.ends, 0);
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  EXPECT_EQ(client_reader.error->code, Code::connect_failed);
}

TEST_F(TcpTest, FailureBeforeStartIsTold) {
  client = test.network->connect(*Address::parse("255.255.255.255", 80));
  test.settle();
  client->start(client_reader);
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
}

TEST_F(TcpTest, WhatIsWrittenWhileConnectingGoesOut) {
  listen();
  client = test.network->connect(acceptor->local_address());
  client->write(Bytes("early"));
  client->shutdown();
  ASSERT_TRUE(run_until([&] { return (server = acceptor->accept()) != nullptr; }));
  server->start(server_reader);
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
  EXPECT_EQ(server_reader.text, "early");
}

TEST_F(TcpTest, BacklogGrowsWithAPausedReaderAndDrains) {
  connect();
  start();
  server_reader.keep = false;
  server->want_read(false);
  const size_t written = 20'000'000;  // more than the two socket buffers hold
  fill(*client, written);
  test.settle();
  ASSERT_GT(client->backlog(), ByteStream::kBacklogMark / 2);
  EXPECT_EQ(server_reader.received, 0u);
  EXPECT_EQ(client_reader.drains, 0);
  server->want_read(true);
  ASSERT_TRUE(run_until([&] { return server_reader.received == written; }));
  EXPECT_EQ(client_reader.drains, 1);
  EXPECT_EQ(client->backlog(), 0u);
}

TEST_F(TcpTest, CongestionIsToldWhenItBeginsAndWhenAllHasGone) {
  connect();
  start();
  server_reader.keep = false;
  fill(*client, 1000);
  ASSERT_TRUE(run_until([&] { return server_reader.received == 1000; }));
  EXPECT_EQ(client_reader.congestions, 0) << "the kernel took it at once";
  server->want_read(false);
  const size_t written = 20'000'000;
  fill(*client, written);
  test.settle();
  EXPECT_TRUE(client_reader.congested);
  EXPECT_EQ(client_reader.congestions, 1);
  server->want_read(true);
  ASSERT_TRUE(run_until([&] { return !client_reader.congested; }));
  EXPECT_EQ(client->backlog(), 0u);
  EXPECT_EQ(client_reader.congestions, 2);
  ASSERT_TRUE(run_until([&] { return server_reader.received == 1000 + written; }));
}

TEST_F(TcpTest, ALostPeerEndsCongestion) {
  connect();
  start();
  server->want_read(false);
  fill(*client, 20'000'000);
  test.settle();
  ASSERT_TRUE(client_reader.congested);
  ByteStream::abort(std::move(server));
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  EXPECT_TRUE(client_reader.error || !client_reader.congested);
}

TEST_F(TcpTest, ANewReaderHearsOfCongestion) {
  connect();
  start();
  server->want_read(false);
  fill(*client, 20'000'000);
  test.settle();
  TestReader second;
  client->start(second);
  test.settle();
  EXPECT_TRUE(second.congested);
}

TEST_F(TcpTest, PausingFromTheReadCallbackStopsAfterThisRead) {
  connect();
  start();
  server_reader.keep = false;
  server_reader.pause_after = 1;
  fill(*client, 1'000'000);
  ASSERT_TRUE(run_until([&] { return server_reader.received > 0; }));
  test.settle();
  EXPECT_EQ(server_reader.reads, 1);
  EXPECT_LE(server_reader.received, 64u * 1024);
  server_reader.pause_after = 0;
  server->want_read(true);
  ASSERT_TRUE(run_until([&] { return server_reader.received == 1'000'000; }));
}

// A turn must come between every 256 KiB, although libuv would read 2 MiB at once, and the other
// sockets must be polled in between.
TEST_F(TcpTest, ReadsAtMostItsShareInATurnAndAPoll) {
  struct CountingReader : TestReader {
    explicit CountingReader(Loop& l) : loop(l) {}
    void on_bytes(ByteView bytes) override {
      if (turn != loop.turn_number()) in_turn = 0;
      turn = loop.turn_number();
      in_turn += bytes.size();
      most = std::max(most, in_turn);
      if (poll != loop.poll_number()) in_poll = 0;
      poll = loop.poll_number();
      in_poll += bytes.size();
      most_in_poll = std::max(most_in_poll, in_poll);
      TestReader::on_bytes(bytes);
    }
    Loop& loop;
    uint32_t turn = 0, poll = 0;
    size_t in_turn = 0, most = 0, in_poll = 0, most_in_poll = 0;
  } reader(test.loop);
  reader.keep = false;
  connect();
  client->start(client_reader);
  server->start(reader);
  server->want_read(false);
  fill(*client, 4'000'000);
  test.settle();
  server->want_read(true);
  ASSERT_TRUE(run_until([&] { return reader.received == 4'000'000; }));
  EXPECT_GT(reader.most, 64u * 1024);
  EXPECT_LT(reader.most, 256u * 1024 + 64 * 1024);
  EXPECT_LT(reader.most_in_poll, 256u * 1024 + 64 * 1024);
}

TEST_F(TcpTest, LargeTransferArrivesIntact) {
  connect();
  start();
  Rng rng(7);
  std::string sent;
  for (int i = 0; i < 300; ++i) {
    std::string piece(1 + rng.below(40'000), '\0');
    for (char& c : piece) c = static_cast<char>(rng.next());
    sent += piece;
    client->write(Bytes(piece));
  }
  client->shutdown();
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
  EXPECT_TRUE(server_reader.text == sent);
}

TEST_F(TcpTest, PeerResetIsAnError) {
  connect();
  start();
  ASSERT_TRUE(run_until([&] { return server_reader.opens == 1; }));
  client->write(Bytes("unread"));
  server->want_read(false);
  test.settle();
  server = nullptr;  // with input unread: the kernel resets
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  ASSERT_TRUE(client_reader.error);
  EXPECT_EQ(client_reader.error->code, Code::io_error);
  EXPECT_EQ(client_reader.error->detail,
            "read " + acceptor->local_address().to_string() + ": connection reset by peer");
  client->write(Bytes("into the void"));
  test.settle();
  EXPECT_EQ(client->backlog(), 0u);
}

TEST_F(TcpTest, AbortIsAResetAlsoWithNothingUnread) {
  connect();
  start();
  ASSERT_TRUE(run_until([&] { return server_reader.opens == 1; }));
  ByteStream::abort(std::move(server));
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  ASSERT_TRUE(client_reader.error);
  EXPECT_NE(client_reader.error->detail.find("connection reset"), std::string::npos);
}

TEST_F(TcpTest, AbortDropsWhatWasNotWritten) {
  connect();
  start();
  ASSERT_TRUE(run_until([&] { return server_reader.opens == 1; }));
  server_reader.stream->want_read(false);
  fill(*client, 16 * 1024 * 1024);
  test.settle();
  ByteStream::abort(std::move(client));
  server_reader.stream->want_read(true);
  ASSERT_TRUE(run_until([&] { return server_reader.ends == 1; }));
  EXPECT_TRUE(server_reader.error);
  EXPECT_LT(server_reader.received, 16u * 1024 * 1024);
}

// An answer that comes with the end of a peer who did not read the request to its end: our next write
// fails before the answer has been read, and must not hide it.
TEST_F(TcpTest, WhatWasSaidBeforeAResetIsReadAfterAFailedWrite) {
  connect();
  start();
  ASSERT_TRUE(run_until([&] { return server_reader.opens == 1; }));
  server_reader.stream->want_read(false);
  client->write(Bytes(std::string(1000, 'r')));
  client->want_read(false);
  server->write(Bytes("too much"));
  test.settle();
  ByteStream::abort(std::move(server));
  test.settle();
  client->want_read(true);  // in this turn it writes before it reads
  client->write(Bytes(std::string(1000, 'r')));
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  EXPECT_EQ(client_reader.text, "too much");
  EXPECT_TRUE(client_reader.error);
}

TEST_F(TcpTest, ConnectsFromTheAddressThatWasAskedFor) {
  listen();
  client = test.network->connect(acceptor->local_address(),
                                 {.from = *Address::parse("127.0.0.6", 0)});
  ASSERT_TRUE(test.run_until([&] { return (server = acceptor->accept()) != nullptr; }));
  EXPECT_EQ(server->peer_address().ip(), "127.0.0.6");
}

TEST_F(TcpTest, AnAddressThatIsNotOursCannotBeConnectedFrom) {
  listen();
  client = test.network->connect(acceptor->local_address(),
                                 {.from = *Address::parse("192.0.2.1", 0)});
  client_reader.stream = client.get();
  client->start(client_reader);
  ASSERT_TRUE(run_until([&] { return client_reader.ends == 1; }));
  ASSERT_TRUE(client_reader.error);
  EXPECT_EQ(client_reader.error->code, Code::connect_failed);
  EXPECT_TRUE(client_reader.error->detail.starts_with("bind 192.0.2.1:0 to connect"))
      << client_reader.error->detail;
}

TEST_F(TcpTest, HandsOverToAnotherReader) {
  connect();
  start();
  client->write(Bytes("sniffed"));
  ASSERT_TRUE(run_until([&] { return server_reader.received == 7; }));
  TestReader second;
  second.stream = server.get();
  server->start(second);
  client->write(Bytes("the rest"));
  client->shutdown();
  ASSERT_TRUE(run_until([&] { return second.ends == 1; }));
  EXPECT_EQ(second.opens, 1);
  EXPECT_EQ(second.text, "the rest");
  EXPECT_EQ(server_reader.text, "sniffed");
  EXPECT_EQ(server_reader.ends, 0);
  TestReader third;  // comes late, and still hears the end
  server->start(third);
  ASSERT_TRUE(run_until([&] { return third.ends == 1; }));
  EXPECT_EQ(third.opens, 1);
}

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

// ---- listening -----------------------------------------------------------------------------

TEST_F(TcpTest, PausedAcceptorLeavesPeersInTheKernel) {
  listen();
  acceptor->pause(true);
  client = test.network->connect(acceptor->local_address());
  client->start(client_reader);
  ASSERT_TRUE(run_until([&] { return client_reader.opens == 1; }));
  test.settle();
  EXPECT_EQ(acceptor->accept(), nullptr);
  acceptor->pause(false);
  EXPECT_TRUE(run_until([&] { return (server = acceptor->accept()) != nullptr; }));
}

TEST_F(TcpTest, AcceptedWakesTheOwner) {
  listen();
  client = test.network->connect(acceptor->local_address());
  ASSERT_TRUE(run_until([&] { return owner.runs > 0; }));
  EXPECT_NE(acceptor->accept(), nullptr);
}

TEST_F(TcpTest, AddressInUseNamesTheAddressAndTheWayOut) {
  listen();
  const Address at = acceptor->local_address();
  auto second = test.network->listen(at, {}, owner);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::address_in_use);
  EXPECT_EQ(second.error().detail, "listen " + at.to_string() +
            ": address already in use; to see by whom: ss -ltnp 'sport = :" +
            std::to_string(at.port()) + "'");
}

TEST_F(TcpTest, ForeignAddressAndPrivilegedPort) {
  auto foreign = test.network->listen(*Address::parse("192.0.2.1", 0), {}, owner);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Code::io_error);
  EXPECT_EQ(foreign.error().detail, "listen 192.0.2.1:0: this machine does not have that address");
}

TEST_F(TcpTest, DualStackListenerShowsIpv4PeersAsIpv4) {
  auto listening = test.network->listen(*Address::parse("::", 0), {}, owner);
  if (!listening) GTEST_SKIP() << listening.error().detail;
  const uint16_t port = (*listening)->local_address().port();
  client = test.network->connect(*Address::parse("127.0.0.1", port));
  ASSERT_TRUE(run_until([&] { return (server = (*listening)->accept()) != nullptr; }));
  EXPECT_EQ(server->peer_address().ip(), "127.0.0.1");
  EXPECT_EQ(server->local_address().ip(), "127.0.0.1");
  client = test.network->connect(*Address::parse("::1", port));
  ASSERT_TRUE(run_until([&] { return (server = (*listening)->accept()) != nullptr; }));
  EXPECT_EQ(server->peer_address().ip(), "::1");
}

TEST_F(TcpTest, ClaimedPortIsSharedByWorkersOnly) {
  Address at = any_port();
  ASSERT_TRUE(claim_port(at));
  EXPECT_NE(at.port(), 0);
  ASSERT_TRUE(claim_port(at));  // again, by the same process
  EXPECT_FALSE(bind_socket(at, false));  // what another process would do, and nobody listens yet
  ListenOptions shared;
  shared.reuse_port = true;
  auto one = test.network->listen(at, shared, owner);
  auto two = test.network->listen(at, shared, owner);
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(bind_socket(at, false));
  // None of the connections goes to the claim itself.
  for (int i = 0; i < 20; ++i) {
    client = test.network->connect(at);
    ASSERT_TRUE(run_until([&] {
      return (*one)->accept() != nullptr || (*two)->accept() != nullptr;
    }));
  }
  release_port(at);
  *one = nullptr;
  *two = nullptr;
  EXPECT_TRUE(test.network->listen(at, {}, owner));
}

TEST_F(TcpTest, ClaimNoticesAListenerThatWouldShare) {
  ListenOptions shared;
  shared.reuse_port = true;
  auto other = test.network->listen(any_port(), shared, owner);
  ASSERT_TRUE(other);
  Address at = (*other)->local_address();
  auto claimed = claim_port(at);
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().code, Code::address_in_use);
}

TEST_F(TcpTest, StopsAcceptingBeforeDescriptorsRunOut) {
  const int lowest = ::dup(0);
  ::close(lowest);
  DescriptorLimit limit;
  limit.set(static_cast<rlim_t>(lowest) + 120);
  listen();
  ListenOptions privileged;
  privileged.privileged = true;
  auto admin = test.network->listen(any_port(), privileged, owner);
  ASSERT_TRUE(admin);

  std::vector<std::unique_ptr<ByteStream>> clients, servers;
  for (int i = 0; i < 55; ++i) clients.push_back(test.network->connect(acceptor->local_address()));
  auto accept_all = [&] {
    while (auto stream = acceptor->accept()) servers.push_back(std::move(stream));
  };
  run_until([&] { accept_all(); return servers.size() >= 20; });
  test.settle();
  accept_all();
  const size_t accepted = servers.size();
  EXPECT_LT(accepted, 50u);

  clients.push_back(test.network->connect((*admin)->local_address()));
  EXPECT_TRUE(run_until([&] { return (server = (*admin)->accept()) != nullptr; }));

  clients.resize(30);  // room again: the rest is accepted without anybody asking
  servers.resize(10);
  EXPECT_TRUE(run_until([&] { accept_all(); return servers.size() >= 30; }));
}

TEST_F(TcpTest, SurvivesWithoutAnyDescriptor) {
  connect();  // the undefined-behaviour sanitizer needs descriptors when it meets a type first
  start();
  ASSERT_TRUE(run_until([&] { return client_reader.opens == 1; }));
  client = test.network->connect(*Address::parse("255.255.255.255", 80));
  TestReader warm, late;
  client->start(warm);
  ASSERT_TRUE(run_until([&] { return warm.ends == 1; }));
  server = nullptr;
  client_reader = {};
  client = test.network->connect(acceptor->local_address());
  DescriptorLimit limit;
  limit.set(3);
  client->start(client_reader);
  run_until([&] { return client_reader.opens == 1; });
  server = test.network->connect(acceptor->local_address());  // no descriptor for this one either
  server->start(late);
  EXPECT_TRUE(run_until([&] { return late.ends == 1; }));
  EXPECT_EQ(late.error->code, Code::connect_failed);
  limit.restore();
  EXPECT_TRUE(run_until([&] { return (server = acceptor->accept()) != nullptr; }));
}

}  // namespace
}  // namespace tulle
