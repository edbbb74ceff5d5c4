#include "core/http/pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/base/bytes.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http_bench.hpp"

namespace tulle {
namespace {

using testing::Heard;
using testing::HttpBench;
using testing::PairNetwork;
using testing::Script;
using testing::Talk;

// A request that stays open until it is let go: the service answers after the end of a body whose
// second half never comes.
Script never_ending(const HttpBench& bench) {
  Script script = bench.post("wait");
  script.start = Script::Start::after_continue;  // the 100 that nobody sends
  return script;
}

class BothProtocols : public ::testing::TestWithParam<Protocol> {
 protected:
  BothProtocols() : bench(GetParam()) { bench.service.script.start = Script::Start::after_end; }
  HttpBench bench;
};

INSTANTIATE_TEST_SUITE_P(Pool, BothProtocols, ::testing::Values(Protocol::http1, Protocol::http2),
                         [](const auto& instance) {
                           return instance.param == Protocol::http1 ? "http1" : "http2";
                         });

TEST_P(BothProtocols, RequestAndAnswer) {
  bench.start();
  const Heard& heard = bench.ask_and_settle(bench.post("ping"));
  ASSERT_TRUE(heard.ended) << (heard.failure ? heard.failure->detail : "no answer");
  EXPECT_EQ(heard.head->status, 200);
  EXPECT_EQ(heard.body, "hello");
  EXPECT_EQ(bench.service.heard.at(0).body, "ping");
  EXPECT_EQ(bench.service.heard.at(0).head->path, "/");
}

TEST_P(BothProtocols, ConnectionIsReused) {
  bench.start();
  const Heard& first = bench.ask_and_settle(bench.get());
  const Heard& second = bench.ask_and_settle(bench.get());
  EXPECT_TRUE(first.ended && second.ended);
  EXPECT_FALSE(first.reused_connection);
  EXPECT_TRUE(second.reused_connection);
  EXPECT_EQ(bench.network.connects, 1);
  EXPECT_EQ(bench.pool->connections(), 1u);
}

TEST_P(BothProtocols, ConnectFailureIsTheTicketsOutcome) {
  bench.network.mode = PairNetwork::Mode::refuse;
  bench.start();
  Heard& a = bench.ask(bench.get());
  Heard& b = bench.ask(bench.get());
  bench.settle();
  for (const Heard* heard : {&a, &b}) {
    ASSERT_TRUE(heard->failure);
    EXPECT_EQ(heard->failure->code, Code::connect_failed);
    EXPECT_EQ(heard->failure->origin, Origin::upstream);
    EXPECT_EQ(heard->failure->detail, "connect: connection refused");
  }
  EXPECT_TRUE(bench.pool->idle());
  EXPECT_LE(bench.network.connects, 2);
}

TEST_P(BothProtocols, ConnectTimeout) {
  bench.network.mode = PairNetwork::Mode::silent;
  bench.start();
  const Heard& heard = bench.ask_and_settle(bench.get());
  bench.clock.run_for(900ms);
  EXPECT_FALSE(heard.failure);
  bench.clock.run_for(200ms);
  ASSERT_TRUE(heard.failure);
  EXPECT_EQ(heard.failure->code, Code::connect_timeout);
  EXPECT_EQ(heard.failure->origin, Origin::upstream);
  EXPECT_TRUE(bench.pool->idle());
}

// A server that accepts and closes at once must not be dialled again and again.
TEST_P(BothProtocols, ConnectionThatClosesUnusedCountsAsAFailedConnect) {
  bench.network.mode = PairNetwork::Mode::hold;
  bench.limits.max_connections = 1;
  bench.start();
  Heard& busy = bench.ask(bench.get());  // takes the only connection that h1 may open
  bench.settle();
  Heard& waiting = bench.ask(bench.get());
  bench.settle();
  const int before = bench.network.connects;
  bench.network.held.clear();
  bench.settle();
  EXPECT_TRUE(busy.failure);
  if (GetParam() == Protocol::http1) {
    // Dialled for the ticket that waited; the server closes that one unused as well.
    EXPECT_EQ(bench.network.connects, before + 1);
    EXPECT_FALSE(bench.network.held.empty());
    bench.network.held.clear();
    bench.settle();
  }
  ASSERT_TRUE(waiting.failure);
}

TEST_P(BothProtocols, DroppedTicketLeavesTheQueue) {
  bench.network.mode = PairNetwork::Mode::silent;
  bench.start();
  bench.ask(bench.get());
  bench.ask(bench.get());
  EXPECT_EQ(bench.pool->waiting(), 2u);
  EXPECT_EQ(bench.limits.pending, 2u);
  bench.talks[0]->stop();
  EXPECT_EQ(bench.pool->waiting(), 1u);
  EXPECT_EQ(bench.limits.pending, 1u);
  bench.clock.run_for(2s);
  EXPECT_EQ(bench.limits.pending, 0u);
}

TEST_P(BothProtocols, PendingLimitIsAnOverload) {
  bench.network.mode = PairNetwork::Mode::silent;
  bench.limits.max_pending = 1;
  bench.start();
  bench.ask(bench.get());
  const Heard& refused = bench.ask_and_settle(bench.get());
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->code, Code::overloaded);
  EXPECT_EQ(refused.failure->origin, Origin::local);
  EXPECT_NE(refused.failure->detail.find("pending limit"), std::string::npos);
}

// Other pools may hold every permit; one connection of our own is always allowed.
TEST_P(BothProtocols, FirstConnectionNeedsNoPermit) {
  bench.limits.max_connections = 0;
  bench.start();
  const Heard& heard = bench.ask_and_settle(bench.get());
  EXPECT_TRUE(heard.ended);
  EXPECT_EQ(bench.limits.connections, 0u);
}

TEST_P(BothProtocols, RetireFinishesWhatRunsAndRefusesTheRest) {
  bench.limits.max_connections = 1;
  bench.start();
  const Heard& running = bench.ask_and_settle(never_ending(bench));
  bench.pool->retire();
  bench.settle();
  EXPECT_FALSE(running.over);
  EXPECT_FALSE(bench.pool->idle());
  const Heard& late = bench.ask_and_settle(bench.get());
  ASSERT_TRUE(late.failure);
  EXPECT_EQ(late.failure->code, Code::draining);
  bench.talks[0]->stop();
  bench.settle();
  EXPECT_TRUE(bench.pool->idle());
}

TEST_P(BothProtocols, RetireClosesIdleConnectionsAndFailsThoseWhoWait) {
  bench.start();
  bench.ask_and_settle(bench.get());
  EXPECT_EQ(bench.pool->connections(), 1u);
  bench.pool->retire();
  bench.settle();
  EXPECT_TRUE(bench.pool->idle());
  EXPECT_TRUE(bench.server->drained());
}

TEST_P(BothProtocols, RetireWhileConnecting) {
  bench.network.mode = PairNetwork::Mode::silent;
  bench.start();
  const Heard& waiting = bench.ask_and_settle(bench.get());
  bench.pool->retire();
  bench.settle();
  ASSERT_TRUE(waiting.failure);
  EXPECT_EQ(waiting.failure->code, Code::draining);
  EXPECT_TRUE(bench.pool->idle());
}

TEST_P(BothProtocols, NewCertificatesReplaceConnections) {
  bench.start();
  bench.ask_and_settle(bench.get());
  bench.pool->set_tls(nullptr);
  bench.settle();
  EXPECT_EQ(bench.pool->connections(), 0u);
  const Heard& heard = bench.ask_and_settle(bench.get());
  EXPECT_TRUE(heard.ended);
  EXPECT_EQ(bench.network.connects, 2);
}

TEST_P(BothProtocols, IdleConnectionClosedByThePeerIsDropped) {
  bench.start();
  bench.ask_and_settle(bench.get());
  bench.server->close_all(Code::draining);
  bench.settle();
  EXPECT_EQ(bench.pool->connections(), 0u);
}

TEST_P(BothProtocols, IdleConnectionEndsAfterItsTime) {
  bench.pool_options.limits.idle_timeout = 10s;
  bench.start();
  bench.ask_and_settle(bench.get());
  bench.clock.run_for(9s);
  EXPECT_EQ(bench.pool->connections(), 1u);
  bench.clock.run_for(2s);
  EXPECT_EQ(bench.pool->connections(), 0u);
  EXPECT_EQ(bench.server->connections(), 0u);
}

TEST_P(BothProtocols, UseMovesTheIdleDeadline) {
  bench.pool_options.limits.idle_timeout = 10s;
  bench.start();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(bench.ask_and_settle(bench.get()).ended);
    bench.clock.run_for(8s);
  }
  EXPECT_EQ(bench.network.connects, 1);
  bench.clock.run_for(3s);
  EXPECT_EQ(bench.pool->connections(), 0u);
}

TEST_P(BothProtocols, PoolDiesBeforeItsTicketsAndStreams) {
  bench.clients_first = false;
  bench.start();
  Heard& open = bench.ask_and_settle(never_ending(bench));
  bench.network.mode = PairNetwork::Mode::silent;
  bench.limits.max_connections = bench.limits.connections;
  Heard& other = bench.ask(never_ending(bench));
  bench.pool.reset();
  bench.settle();
  EXPECT_TRUE(open.failure);
  EXPECT_TRUE(other.failure);
}

TEST(Http1PoolTest, NewestIdleConnectionFirst) {
  HttpBench bench(Protocol::http1);
  bench.service.script.start = Script::Start::after_end;
  bench.start();
  Heard& a = bench.ask(bench.get());
  Heard& b = bench.ask(bench.get());
  bench.settle();
  EXPECT_TRUE(a.ended && b.ended);
  EXPECT_EQ(bench.pool->connections(), 2u);
  bench.pool_options.limits.idle_timeout = 10s;
  // One request at a time always finds the same connection, so the other one goes idle.
  for (int i = 0; i < 40; ++i) {
    EXPECT_TRUE(bench.ask_and_settle(bench.get()).ended);
    bench.clock.run_for(10s);
  }
  EXPECT_EQ(bench.pool->connections(), 1u);
  EXPECT_EQ(bench.network.connects, 2);
}

TEST(Http1PoolTest, IdleConnectionsBeyondTheMaximumAreClosed) {
  HttpBench bench(Protocol::http1);
  bench.pool_options.max_idle = 2;
  bench.start();
  for (int i = 0; i < 5; ++i) bench.ask(bench.get());
  bench.settle();
  EXPECT_EQ(bench.network.connects, 5);
  EXPECT_EQ(bench.pool->connections(), 2u);
  EXPECT_EQ(bench.server->connections(), 2u);
}

TEST(Http1PoolTest, TicketsWaitInOrderForAConnection) {
  HttpBench bench(Protocol::http1);
  bench.limits.max_connections = 1;
  bench.service.script.start = Script::Start::after_end;
  bench.start();
  const Heard& first = bench.ask_and_settle(never_ending(bench));
  Heard& second = bench.ask(bench.get("/second"));
  Heard& third = bench.ask(bench.get("/third"));
  bench.settle();
  EXPECT_FALSE(first.over || second.over || third.over);
  EXPECT_EQ(bench.pool->waiting(), 2u);
  bench.talks[0]->stop();  // cancels: this connection ends, another one is opened
  bench.settle();
  EXPECT_TRUE(second.ended && third.ended);
  EXPECT_EQ(bench.service.heard.at(1).head->path, "/second");
  EXPECT_EQ(bench.service.heard.at(2).head->path, "/third");
  EXPECT_TRUE(third.reused_connection);
  EXPECT_EQ(bench.network.connects, 2);
}

// Ports have run out, say: some connects open in the very turn in which others fail.
TEST(Http1PoolTest, ConnectionsThatOpenedServeBeforeFailuresAreHandedOut) {
  HttpBench bench(Protocol::http1);
  bench.service.script.start = Script::Start::after_end;
  bench.start();
  std::vector<const Heard*> heard;
  for (int i = 0; i < 5; ++i) {
    bench.network.mode = i < 2 ? PairNetwork::Mode::refuse : PairNetwork::Mode::serve;
    heard.push_back(&bench.ask(never_ending(bench)));
  }
  bench.settle();
  EXPECT_EQ(bench.service.heard.size(), 3u);
  EXPECT_EQ(std::ranges::count_if(heard, [](const Heard* one) { return one->failure.has_value(); }),
            2);
  EXPECT_TRUE(bench.pool->waiting() == 0 && bench.pool->connections() == 3u);
}

TEST(Http1PoolTest, AFailedConnectIsNobodysWhoHasAnotherUnderWay) {
  HttpBench bench(Protocol::http1);
  bench.network.mode = PairNetwork::Mode::silent;
  bench.start();
  bench.ask(bench.get());
  bench.clock.run_for(500ms);
  const Heard& second = bench.ask(bench.get());
  bench.talks[0]->stop();  // its connect is still under way, and times out first
  bench.clock.run_for(700ms);
  EXPECT_FALSE(second.failure);
  EXPECT_EQ(bench.pool->connections(), 1u);
  bench.clock.run_for(500ms);
  EXPECT_TRUE(second.failure);
  EXPECT_EQ(bench.network.connects, 2);
}

TEST(Http2PoolTest, OneConnectionCarriesMany) {
  HttpBench bench(Protocol::http2);
  bench.start();
  for (int i = 0; i < 50; ++i) bench.ask(bench.get());
  bench.settle();
  EXPECT_EQ(bench.service.heard.size(), 50u);
  EXPECT_EQ(bench.network.connects, 1);
}

TEST(Http2PoolTest, AnotherConnectionAtEightyPercentOfThePeersLimit) {
  HttpBench bench(Protocol::http2);
  bench.server_options.limits.max_concurrent_streams = 10;
  bench.service.script.start = Script::Start::after_end;
  bench.start();
  EXPECT_TRUE(bench.ask_and_settle(bench.get()).ended);  // the peer's limit is known from here on
  for (int i = 0; i < 7; ++i) bench.ask_and_settle(never_ending(bench));
  EXPECT_EQ(bench.network.connects, 1);
  bench.ask_and_settle(never_ending(bench));
  EXPECT_EQ(bench.network.connects, 2);
  for (int i = 0; i < 7; ++i) bench.ask_and_settle(never_ending(bench));
  EXPECT_EQ(bench.network.connects, 2);
  EXPECT_EQ(bench.pool->waiting(), 0u);
  for (const auto& talk : bench.talks) talk->stop();
  bench.settle();
  EXPECT_TRUE(bench.ask_and_settle(bench.get()).ended);
}

TEST(Http2PoolTest, FullConnectionsAreUsedToTheEndWhenNoOtherMayBeOpened) {
  HttpBench bench(Protocol::http2);
  bench.server_options.limits.max_concurrent_streams = 10;
  bench.limits.max_connections = 1;
  bench.service.script.start = Script::Start::after_end;
  bench.start();
  EXPECT_TRUE(bench.ask_and_settle(bench.get()).ended);
  for (int i = 0; i < 12; ++i) bench.ask_and_settle(never_ending(bench));
  EXPECT_EQ(bench.network.connects, 1);
  EXPECT_EQ(bench.pool->waiting(), 2u);
  bench.talks[1]->stop();
  bench.settle();
  EXPECT_EQ(bench.pool->waiting(), 1u);
}

// What an origin says by hand on the connection with this number.
void say(HttpBench& bench, size_t connection, const std::string& frames) {
  bench.network.held.at(connection)->write(Bytes(frames));
  bench.settle();
}

TEST(Http2PoolTest, AConnectionThatIsGoingAwayDoesNotHoldUpTheQueue) {
  HttpBench bench(Protocol::http2);
  bench.network.mode = PairNetwork::Mode::hold;
  bench.limits.max_connections = 2;
  bench.start();
  bench.ask_and_settle(bench.get());
  say(bench, 0, h2::settings());
  say(bench, 0, h2::goaway(1, 0));  // the request goes on
  bench.ask_and_settle(bench.get());
  EXPECT_EQ(bench.network.connects, 2);
  say(bench, 1, h2::settings());
  // Full and not full again: now it would be the first that is asked.
  say(bench, 0, h2::settings({{3, 1}}));
  say(bench, 0, h2::settings({{3, 100}}));
  bench.ask_and_settle(bench.get());
  EXPECT_EQ(bench.pool->waiting(), 0u);
  EXPECT_EQ(bench.network.connects, 2);
}

TEST(Http2PoolTest, AnOriginThatAllowsNothingAnyMoreIsAskedAgainOnceItDoes) {
  HttpBench bench(Protocol::http2);
  bench.network.mode = PairNetwork::Mode::hold;
  bench.limits.max_connections = 2;
  bench.start();
  bench.ask_and_settle(bench.get());
  say(bench, 0, h2::settings({{3, 0}}));
  bench.ask_and_settle(bench.get());  // on another connection
  EXPECT_EQ(bench.network.connects, 2);
  EXPECT_EQ(bench.pool->waiting(), 0u);
  say(bench, 1, h2::settings({{3, 0}}));
  const Heard& third = bench.ask_and_settle(bench.get());
  EXPECT_EQ(bench.pool->waiting(), 1u);
  EXPECT_EQ(bench.network.connects, 2);
  say(bench, 0, h2::settings({{3, 2}}));
  EXPECT_EQ(bench.pool->waiting(), 0u);
  EXPECT_FALSE(third.failure);
  EXPECT_EQ(bench.network.connects, 2);
}

TEST(Http2PoolTest, SteadyStateAllocatesNoChunks) {
  {
    HttpBench bench(Protocol::http2);
    bench.start();
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(bench.ask_and_settle(bench.post("body")).ended);
  }
  EXPECT_EQ(chunk_pool_stats().chunks_in_use, 0u);
}

}  // namespace
}  // namespace tulle
