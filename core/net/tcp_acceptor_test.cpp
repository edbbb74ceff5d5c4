// TcpAcceptor over real sockets of this machine, and claims of ports.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/net/listen_socket.hpp"
#include "core/net/tcp_fixture_test.hpp"

namespace tulle {
namespace {

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
