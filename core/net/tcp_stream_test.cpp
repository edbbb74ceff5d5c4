// TcpStream over real sockets of this machine: bytes, turns, back-pressure and ends.
#include "core/net/tcp_stream.hpp"

#include <gtest/gtest.h>

#include "core/base/rng.hpp"
#include "core/net/tcp_fixture_test.hpp"

namespace tulle {
namespace {

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

}  // namespace
}  // namespace tulle
