// The simulated network: order, back-pressure, faults, and that a seed replays.
#include "core/net/simulated_network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>

#include "tests/support/recorder.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;
using ::testing::HasSubstr;

// Accepts everything and keeps it.
class Listener final : public Task {
 public:
  Listener(Loop& loop, Network& network, std::string_view at) : Task(loop) {
    auto made = network.listen(*Address::parse(at), {}, *this);
    EXPECT_TRUE(made.has_value()) << made.error().detail;
    if (made)
      acceptor = std::move(*made);
  }
  std::unique_ptr<Acceptor> acceptor;
  std::list<Recorder> accepted;

 private:
  void run() override {
    while (auto stream = acceptor->accept())
      accepted.emplace_back(std::move(stream));
  }
};

class SimulatedNetworkTest : public ::testing::Test {
 protected:
  void settle() { EXPECT_TRUE(clock.run_until_quiet()); }
  Address at(std::string_view text) { return *Address::parse(text); }
  void TearDown() override { EXPECT_THAT(clock.lost_wakes(), ::testing::IsEmpty()); }

  SimulatedClock clock{7};
  SimulatedLoop loop{clock};
  SimulatedNetwork network{clock};
  std::unique_ptr<Network> here = network.host(loop, "10.0.0.1");
  std::unique_ptr<Network> there = network.host(loop, "10.0.0.2");
};

// As after a real wait. Otherwise a deadline that begins with the first bytes after a long silence
// has passed already.
TEST_F(SimulatedNetworkTest, EventsSeeTheLoopsTimeAsItIs) {
  settle();
  Instant seen{};
  clock.after(5s, [&] { seen = loop.now(); });
  settle();
  EXPECT_EQ(seen, Instant{} + 5s);
}

TEST_F(SimulatedNetworkTest, ConnectsAndCarriesBytesInOrder) {
  Listener listener(loop, *there, "10.0.0.2:80");
  Recorder client(here->connect(at("10.0.0.2:80")));
  client.send("before it is open, ");
  settle();
  ASSERT_EQ(listener.accepted.size(), 1u);
  Recorder& server = listener.accepted.front();
  EXPECT_TRUE(client.opened && server.opened);
  EXPECT_EQ(server.stream->peer_address().ip(), "10.0.0.1");
  EXPECT_EQ(server.stream->peer_address(), client.stream->local_address());
  EXPECT_EQ(server.stream->local_address(), at("10.0.0.2:80"));
  const std::string body = pattern(1'000'000);
  client.send(body);
  server.send(body);
  settle();
  EXPECT_TRUE(server.text == "before it is open, " + body);
  EXPECT_TRUE(client.text == body);
  EXPECT_GT(client.pieces.size(), 20u) << "deliveries are sliced";
}

TEST_F(SimulatedNetworkTest, LatencyIsVirtualTime) {
  LinkOptions slow;
  slow.latency = 50ms;
  slow.jitter = 0ms;
  network.set_link("10.0.0.1", "10.0.0.2", slow);
  Listener listener(loop, *there, "10.0.0.2:80");
  Recorder client(here->connect(at("10.0.0.2:80")));
  ASSERT_TRUE(clock.run_while_not([&] { return client.opened; }));
  EXPECT_EQ(clock.now().ns, Duration(100ms).count());
  client.send("x");
  ASSERT_TRUE(clock.run_while_not([&] { return !listener.accepted.front().text.empty(); }));
  EXPECT_EQ(clock.now().ns, Duration(150ms).count());
}

TEST_F(SimulatedNetworkTest, NobodyListensMeansRefused) {
  Recorder client(here->connect(at("10.0.0.2:81")));
  settle();
  EXPECT_FALSE(client.opened);
  EXPECT_EQ(client.why->code, Code::connect_failed);
  EXPECT_EQ(client.why->origin, Origin::upstream);
  EXPECT_EQ(client.detail(), "connect 10.0.0.2:81: connection refused");
  Listener listener(loop, *there, "10.0.0.2:81");
  network.refuse(at("10.0.0.2:81"));
  Recorder again(here->connect(at("10.0.0.2:81")));
  settle();
  EXPECT_TRUE(again.ended);
  EXPECT_TRUE(listener.accepted.empty());
}

TEST_F(SimulatedNetworkTest, AddressesAndHosts) {
  Listener mine(loop, *here, "127.0.0.1:8080");
  Listener theirs(loop, *there, "127.0.0.1:8080");
  Listener any(loop, *there, "0.0.0.0:0");
  EXPECT_NE(any.acceptor->local_address().port(), 0);
  auto taken = there->listen(at("127.0.0.1:8080"), {}, mine);
  ASSERT_FALSE(taken.has_value());
  EXPECT_EQ(taken.error().code, Code::address_in_use);
  Recorder local(here->connect(at("127.0.0.1:8080")));
  Recorder remote(here->connect(at("10.0.0.2:0").with_port(any.acceptor->local_address().port())));
  settle();
  EXPECT_EQ(mine.accepted.size(), 1u);
  EXPECT_EQ(theirs.accepted.size(), 0u);
  EXPECT_EQ(any.accepted.size(), 1u);
}

TEST_F(SimulatedNetworkTest, RedirectedConnectionsRememberWhereTheyWantedToGo) {
  Listener capture(loop, *here, "127.0.0.1:15001");
  SimulatedHostOptions captured;
  captured.redirect_to = at("127.0.0.1:15001");
  auto application = network.host(loop, "10.0.0.1", captured);
  Recorder client(application->connect(at("10.9.9.9:443")));
  settle();
  ASSERT_EQ(capture.accepted.size(), 1u);
  EXPECT_EQ(capture.accepted.front().stream->original_destination(), at("10.9.9.9:443"));
  EXPECT_EQ(client.stream->peer_address(), at("10.9.9.9:443"));
}

TEST_F(SimulatedNetworkTest, AReaderThatPausesHoldsTheWriterBack) {
  Listener listener(loop, *there, "10.0.0.2:80");
  Recorder client(here->connect(at("10.0.0.2:80")));
  settle();
  Recorder& server = listener.accepted.front();
  server.stream->want_read(false);
  client.send(pattern(500'000));
  settle();
  EXPECT_EQ(server.text, "");
  EXPECT_EQ(client.stream->backlog(), 500'000 - LinkOptions().capacity);
  server.pause_after = 100'000;
  server.stream->want_read(true);
  settle();
  EXPECT_LT(server.text.size(), 100'000u + 65536u);
  EXPECT_EQ(client.drains, 0);
  server.stream->want_read(true);
  settle();
  EXPECT_TRUE(server.text == pattern(500'000));
  EXPECT_EQ(client.drains, 1);
}

TEST_F(SimulatedNetworkTest, HalfClose) {
  Listener listener(loop, *there, "10.0.0.2:80");
  Recorder client(here->connect(at("10.0.0.2:80")));
  client.send("question");
  client.stream->shutdown();
  settle();
  Recorder& server = listener.accepted.front();
  EXPECT_EQ(server.text, "question");
  EXPECT_TRUE(server.ended_orderly());
  server.send("answer");
  server.stream->shutdown();
  settle();
  EXPECT_EQ(client.text, "answer");
  EXPECT_TRUE(client.ended_orderly());
}

TEST_F(SimulatedNetworkTest, FinishDeliversAfterTheOwnerHasGone) {
  Listener listener(loop, *there, "10.0.0.2:80");
  Recorder client(here->connect(at("10.0.0.2:80")));
  client.send(pattern(300'000));
  ByteStream::finish(std::move(client.stream), 10s);
  settle();
  Recorder& server = listener.accepted.front();
  EXPECT_TRUE(server.text == pattern(300'000));
  EXPECT_TRUE(server.ended_orderly());
  server.stream.reset();
  settle();
  EXPECT_TRUE(network.connections().empty());
}

TEST_F(SimulatedNetworkTest, FinishGivesUpAfterItsLinger) {
  Listener listener(loop, *there, "10.0.0.2:80");
  Recorder client(here->connect(at("10.0.0.2:80")));
  settle();
  Recorder& server = listener.accepted.front();
  server.stream->want_read(false);
  client.send(pattern(300'000));
  ByteStream::finish(std::move(client.stream), 10s);
  clock.run_for(9s);
  EXPECT_FALSE(server.ended);
  clock.run_for(2s);
  EXPECT_EQ(server.why->code, Code::io_error);
}

TEST_F(SimulatedNetworkTest, DestroyingWithUnreadBytesIsAReset) {
  Listener listener(loop, *there, "10.0.0.2:80");
  for (const bool unread : {false, true}) {
    Recorder client(here->connect(at("10.0.0.2:80")));
    settle();
    Recorder& server = listener.accepted.back();
    server.stream->want_read(false);
    if (unread)
      client.send("never read");
    settle();
    server.stream.reset();
    settle();
    EXPECT_TRUE(client.ended);
    EXPECT_EQ(client.why.has_value(), unread);
  }
}

TEST_F(SimulatedNetworkTest, Cuts) {
  Listener listener(loop, *there, "10.0.0.2:80");
  for (const Cut how : {Cut::reset, Cut::close, Cut::black_hole}) {
    listener.accepted.clear();
    Recorder client(here->connect(at("10.0.0.2:80")));
    settle();
    Recorder& server = listener.accepted.back();
    network.cut_all(how);
    settle();
    client.send("lost");
    settle();
    switch (how) {
      case Cut::reset:
        EXPECT_EQ(client.why->code, Code::io_error);
        EXPECT_EQ(server.why->code, Code::io_error);
        break;
      case Cut::close:
        EXPECT_TRUE(client.ended_orderly() && server.ended_orderly());
        break;
      case Cut::black_hole:
        EXPECT_FALSE(client.ended || server.ended);
        break;
    }
    EXPECT_EQ(server.text, "");
  }
}

TEST_F(SimulatedNetworkTest, PartitionsHoldEverythingUntilTheyHeal) {
  Listener listener(loop, *there, "10.0.0.2:80");
  Recorder client(here->connect(at("10.0.0.2:80")));
  settle();
  network.partition("10.0.0.1", "10.0.0.2");
  client.send("held");
  Recorder second(here->connect(at("10.0.0.2:80")));
  clock.run_for(60s);
  Recorder& server = listener.accepted.front();
  EXPECT_EQ(server.text, "");
  EXPECT_FALSE(second.opened || second.ended);
  network.heal("10.0.0.2", "10.0.0.1");
  settle();
  EXPECT_EQ(server.text, "held");
  EXPECT_TRUE(second.opened);
}

TEST_F(SimulatedNetworkTest, APausedListenerAcceptsLater) {
  Listener listener(loop, *there, "10.0.0.2:80");
  listener.acceptor->pause(true);
  Recorder client(here->connect(at("10.0.0.2:80")));
  client.send("waiting");
  settle();
  EXPECT_TRUE(client.opened);
  EXPECT_TRUE(listener.accepted.empty());
  listener.acceptor->pause(false);
  settle();
  EXPECT_EQ(listener.accepted.front().text, "waiting");
}

TEST_F(SimulatedNetworkTest, ClosingAListenerResetsWhoWasNotAccepted) {
  Listener listener(loop, *there, "10.0.0.2:80");
  listener.acceptor->pause(true);
  Recorder gone(here->connect(at("10.0.0.2:80")));
  Recorder client(here->connect(at("10.0.0.2:80")));
  settle();
  gone.stream.reset();
  settle();
  listener.acceptor.reset();
  settle();
  EXPECT_EQ(client.why->code, Code::io_error);
}

// ---- a mesh in small: client -> relay -> TLS -> server, with chaos -----------------------------

// Copies both ways until either side ends. Stands for a sidecar.
class Relay final : private Task {
 public:
  Relay(Loop& loop, std::unique_ptr<ByteStream> near, std::unique_ptr<ByteStream> far)
      : Task(loop), near_{*this, std::move(near)}, far_{*this, std::move(far)} {
    near_.stream->start(near_);
    far_.stream->start(far_);
  }

 private:
  struct Half final : ByteStream::Reader {
    Half(Relay& in, std::unique_ptr<ByteStream> over) : relay(in), stream(std::move(over)) {}
    void on_bytes(ByteView bytes) override {
      received.append(bytes);
      relay.wake();
    }
    void on_end(std::optional<Error>) override {
      ended = true;
      relay.wake();
    }
    void on_drain() override { relay.wake(); }
    Relay& relay;
    std::unique_ptr<ByteStream> stream;
    Bytes received;
    bool ended = false;
  };
  void run() override {
    pump(near_, far_);
    pump(far_, near_);
  }
  static void pump(Half& from, Half& to) {
    if (to.stream == nullptr || from.stream == nullptr)
      return;
    if (to.stream->backlog() < ByteStream::kBacklogMark)
      to.stream->write(std::move(from.received));
    from.stream->want_read(from.received.empty());
    if (from.ended && from.received.empty())
      ByteStream::finish(std::move(to.stream), 1s);
  }
  Half near_;
  Half far_;
};

class Sidecar final : private Task {
 public:
  Sidecar(Loop& loop, Network& network) : Task(loop), network_(network) {
    acceptor_ = std::move(*network.listen(*Address::parse("127.0.0.1:15001"), {}, *this));
  }

 private:
  void run() override {
    while (auto stream = acceptor_->accept()) {
      relays_.emplace_back(loop_, std::move(stream),
                           network_.connect(*Address::parse("10.0.0.2:80")));
    }
  }
  Network& network_;
  std::unique_ptr<Acceptor> acceptor_;
  std::list<Relay> relays_;
};

// Runs it with one seed and returns the trace. Whatever happens, a server sees a prefix of what its
// client sent; `all` of it when nothing is cut.
uint64_t run_small_mesh(uint64_t seed, const ChaosOptions& chaos, bool all = false) {
  SimulatedClock clock(seed);
  SimulatedLoop loop(clock);
  SimulatedNetwork network(clock);
  auto client_host = network.host(loop, "10.0.0.1");
  auto server_host = network.host(loop, "10.0.0.2");
  Listener server(loop, *server_host, "10.0.0.2:80");
  Sidecar sidecar(loop, *client_host);
  network.set_chaos(chaos);
  const std::string body = pattern(100'000);
  std::list<Recorder> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(client_host->connect(*Address::parse("127.0.0.1:15001")));
    clients.back().send(body);
  }
  clock.run_for(60s);
  EXPECT_THAT(clock.lost_wakes(), ::testing::IsEmpty());
  for (const Recorder& accepted : server.accepted) {
    EXPECT_TRUE(body.starts_with(accepted.text)) << "seed " << seed;
    EXPECT_TRUE(!all || accepted.text.size() == body.size()) << "seed " << seed;
  }
  EXPECT_TRUE(!all || server.accepted.size() == clients.size());
  return clock.trace_hash();
}

TEST(SimulatedMesh, TheSameSeedIsTheSameRun) {
  ChaosOptions chaos;
  chaos.reset = 0.01;
  chaos.close = 0.01;
  chaos.black_hole = 0.01;
  chaos.stall = 0.05;
  chaos.refuse = 0.05;
  std::set<uint64_t> traces;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const uint64_t trace = run_small_mesh(seed, chaos);
    EXPECT_EQ(trace, run_small_mesh(seed, chaos)) << "seed " << seed;
    traces.insert(trace);
  }
  EXPECT_EQ(traces.size(), 10u);
}

TEST(SimulatedMesh, NothingIsLostWithoutCuts) {
  ChaosOptions stalls;
  stalls.stall = 0.1;
  for (uint64_t seed = 1; seed <= 10; ++seed)
    run_small_mesh(seed, stalls, true);
}

TEST(SimulatedTls, OverTheNetworkWithEverySlicing) {
  auto client_context = *TlsContext::client(client_options(), "");
  auto server_context = *TlsContext::server(server_options(), true);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedClock clock(seed);
    SimulatedLoop loop(clock);
    SimulatedNetwork network(clock);
    auto here = network.host(loop, "10.0.0.1");
    auto there = network.host(loop, "10.0.0.2");
    Listener listener(loop, *there, "10.0.0.2:80");
    Recorder client(
        make_tls_stream(loop, here->connect(*Address::parse("10.0.0.2:80")), client_context));
    client.send(pattern(200'000));
    ASSERT_TRUE(clock.run_while_not([&] { return !listener.accepted.empty(); }));
    Recorder server(
        make_tls_stream(loop, std::move(listener.accepted.front().stream), server_context));
    server.send(pattern(100'000));
    ASSERT_TRUE(clock.run_while_not([&] { return server.text.size() == 200'000; }));
    ASSERT_TRUE(clock.run_while_not([&] { return client.text.size() == 100'000; }));
    ByteStream::finish(std::move(client.stream), 1s);
    clock.run_for(5s);
    EXPECT_TRUE(server.ended_orderly()) << server.detail();
    EXPECT_TRUE(server.text == pattern(200'000));
    EXPECT_THAT(clock.lost_wakes(), ::testing::IsEmpty());
  }
}

}  // namespace
}  // namespace tulle
