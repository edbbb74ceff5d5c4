// Opaque TCP through a worker, on the simulated network: what the two ends see of each other.
#include <gtest/gtest.h>

#include <deque>

#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/worker.hpp"
#include "tests/support/client_hello.hpp"
#include "tests/support/recorder.hpp"

namespace tulle::tcp {
namespace {

using nlohmann::json;
using tulle::testing::Recorder;

const std::string kType = "type.googleapis.com/envoy.";

// Takes connections and keeps them; says `greeting` to each.
class Application final : public Task {
 public:
  Application(Loop& loop, Network& network, const Address& at) : Task(loop) {
    auto listening = network.listen(at, {}, *this);
    EXPECT_TRUE(listening.has_value());
    acceptor_ = std::move(*listening);
  }
  Recorder& last() { return *taken.back(); }

  std::string greeting;
  bool leaves = false;  // at once
  std::deque<std::unique_ptr<Recorder>> taken;
  std::deque<Address> destinations;

 private:
  void run() override {
    while (auto stream = acceptor_->accept()) {
      destinations.push_back(stream->peer_address());
      taken.push_back(std::make_unique<Recorder>(std::move(stream)));
      if (!greeting.empty()) taken.back()->send(greeting);
      if (leaves) taken.back()->stream->shutdown();
    }
  }
  std::unique_ptr<Acceptor> acceptor_;
};

class RelayTest : public ::testing::Test {
 protected:
  ~RelayTest() override {
    clients_.clear();
    worker_.reset();
  }

  static json filter(const std::string& type, json fields) {
    fields["@type"] = kType + type;
    return {{"name", "x"}, {"typed_config", fields}};
  }
  static json proxy(const std::string& cluster = "redis") {
    json fields = {{"stat_prefix", "tcp"}, {"cluster", cluster}, {"idle_timeout", "600s"},
                   {"max_connect_attempts", 2}};
    return filter("extensions.filters.network.tcp_proxy.v3.TcpProxy", fields);
  }
  static json manager() {
    const json says = {{"name", "all"},
                       {"domains", {"*"}},
                       {"routes",
                        {{{"match", {{"prefix", "/"}}},
                          {"direct_response",
                           {{"status", 200}, {"body", {{"inline_string", "routed"}}}}}}}}};
    return filter("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                  {{"stat_prefix", "http"},
                   {"route_config", {{"name", "r"}, {"virtual_hosts", {says}}}},
                   {"http_filters", {filter("extensions.filters.http.router.v3.Router", {})}}});
  }
  static json listener(const json& chains) {
    return {{"@type", kType + "config.listener.v3.Listener"},
            {"name", "outbound"},
            {"traffic_direction", "OUTBOUND"},
            {"address", {{"socket_address", {{"address", "10.0.0.2"}, {"port_value", 15001}}}}},
            {"filter_chains", chains}};
  }
  // HTTP is routed, all else goes to redis.
  static json sniffing(bool goes_on = true) {
    json made = listener({{{"filters", {manager()}},
                           {"filter_chain_match",
                            {{"application_protocols", {"http/1.0", "http/1.1", "h2c"}}}}}});
    made["listener_filters"] = {
        filter("extensions.filters.listener.tls_inspector.v3.TlsInspector", {}),
        filter("extensions.filters.listener.http_inspector.v3.HttpInspector", {})};
    made["listener_filters_timeout"] = "0.05s";
    made["continue_on_listener_filters_timeout"] = goes_on;
    if (goes_on) made["default_filter_chain"] = {{"filters", {proxy()}}};
    return made;
  }
  static json cluster(std::vector<std::string> ips) {
    json endpoints = json::array();
    for (const std::string& ip : ips) {
      endpoints.push_back({{"endpoint", {{"address", {{"socket_address", {{"address", ip},
                                                       {"port_value", 6379}}}}}}}});
    }
    return {{"@type", kType + "config.cluster.v3.Cluster"},
            {"name", "redis"},
            {"type", "STATIC"},
            {"lb_policy", "ROUND_ROBIN"},
            {"circuit_breakers", {{"thresholds", {{{"max_connections", 2}}}}}},
            {"load_assignment",
             {{"cluster_name", "redis"}, {"endpoints", {{{"lb_endpoints", endpoints}}}}}}};
  }

  void start(const json& listens, const json& to = cluster({"10.0.0.3"})) {
    const json bootstrap = {{"node", {{"id", "n"}, {"cluster", "n"}}},
                            {"admin", {{"address", "127.0.0.1"}, {"port", 0}}},
                            {"static_resources", {listens, to}}};
    const auto outcome = config::testing::compile_json(bootstrap);
    ASSERT_EQ(outcome.problems, "");
    worker_ = std::make_unique<Worker>(loop_, *sidecar_network_, environment_, 1);
    ASSERT_TRUE(worker_->adopt(outcome.snapshot).has_value());
  }
  Recorder& connect() {
    clients_.push_back(std::make_unique<Recorder>(
        client_network_->connect(*Address::parse("10.0.0.2", 15001))));
    return *clients_.back();
  }
  template <class Done>
  bool until(Done done, Duration limit = 30s) {
    return clock_.run_while_not(done, limit);
  }
  int64_t metric(const std::string& family, Labels labels) {
    return stats_.read(stats_.counter(family, "", std::move(labels)));
  }
  int64_t ended(const std::string& outcome) {
    return metric("tulle_tcp_connections_total",
                  {{"listener", "outbound"}, {"direction", "outbound"}, {"outcome", outcome}});
  }
  int64_t bytes(const std::string& flow) {
    return metric("tulle_tcp_bytes_total",
                  {{"listener", "outbound"}, {"direction", "outbound"}, {"flow", flow}});
  }
  bool quiet() { return worker_->gateways()[0]->drained(); }

  SimulatedClock clock_{11};
  SimulatedNetwork network_{clock_};
  SimulatedLoop loop_{clock_};
  std::unique_ptr<Network> client_network_ = network_.host(loop_, "10.0.0.1");
  std::unique_ptr<Network> sidecar_network_ = network_.host(loop_, "10.0.0.2");
  std::unique_ptr<Network> application_network_ = network_.host(loop_, "10.0.0.3");
  Application application_{loop_, *application_network_, *Address::parse("10.0.0.3", 6379)};
  StatRegistry stats_;
  routing::Admissions admissions_;
  WorkerEnvironment environment_{
      .node_id = "n", .stats = stats_, .admissions = admissions_, .reuse_port = false};
  std::unique_ptr<Worker> worker_;
  std::deque<std::unique_ptr<Recorder>> clients_;
};

TEST_F(RelayTest, CarriesBytesBothWays) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  client.send("PING\r\n");
  ASSERT_TRUE(until([&] { return !application_.taken.empty() &&
                                 application_.last().text == "PING\r\n"; }));
  application_.last().send("+PONG\r\n");
  ASSERT_TRUE(until([&] { return client.text == "+PONG\r\n"; }));
  EXPECT_EQ(bytes("received"), 6);
  EXPECT_EQ(bytes("sent"), 7);
}

TEST_F(RelayTest, AServerThatSpeaksFirstDoesNotWait) {
  application_.greeting = "220 ready\r\n";
  start(listener({{{"filters", {proxy()}}}}));
  const Instant begun = clock_.now();
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return client.text == "220 ready\r\n"; }));
  EXPECT_LT(clock_.now() - begun, 10ms);
}

TEST_F(RelayTest, AServerThatLeavesAtOnceIsHeard) {
  start(listener({{{"filters", {proxy()}}}}));
  application_.greeting = "the time is 12:00";
  application_.leaves = true;
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_EQ(client.text, "the time is 12:00");
  EXPECT_TRUE(client.ended_orderly());
}

TEST_F(RelayTest, HalfCloseIsPassedOnEachWay) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  client.send("question");
  client.stream->shutdown();
  ASSERT_TRUE(until([&] { return !application_.taken.empty() && application_.last().ended; }));
  EXPECT_TRUE(application_.last().ended_orderly());
  EXPECT_EQ(application_.last().text, "question");
  EXPECT_FALSE(client.ended);
  application_.last().send("answer");
  application_.last().stream->shutdown();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_TRUE(client.ended_orderly());
  EXPECT_EQ(client.text, "answer");
  ASSERT_TRUE(until([&] { return quiet(); }));
  EXPECT_EQ(ended("ok"), 1);
}

TEST_F(RelayTest, AResetIsPassedOnAsAReset) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  client.send("x");
  ASSERT_TRUE(until([&] { return !application_.taken.empty() && application_.last().text == "x"; }));
  ByteStream::abort(std::move(application_.last().stream));
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_FALSE(client.ended_orderly());
  ASSERT_TRUE(until([&] { return quiet(); }));
  EXPECT_EQ(ended("upstream_reset"), 1);

  Recorder& second = connect();
  second.send("y");
  ASSERT_TRUE(until([&] { return application_.taken.size() == 2 && application_.last().text == "y"; }));
  ByteStream::abort(std::move(second.stream));
  ASSERT_TRUE(until([&] { return application_.last().ended; }));
  EXPECT_FALSE(application_.last().ended_orderly());
  ASSERT_TRUE(until([&] { return quiet(); }));
  EXPECT_EQ(ended("closed"), 1);
}

// Half closed is not yet over: a reset after it is still one.
TEST_F(RelayTest, AResetAfterAHalfCloseIsPassedOn) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  client.stream->shutdown();
  ASSERT_TRUE(until([&] { return !application_.taken.empty() && application_.last().ended; }));
  application_.last().send(std::string(100'000, 'x'));
  ASSERT_TRUE(until([&] { return client.text.size() > 0; }));
  ByteStream::abort(std::move(client.stream));
  ASSERT_TRUE(until([&] { return application_.last().lost.has_value(); }));
  ASSERT_TRUE(until([&] { return quiet(); }));
}

TEST_F(RelayTest, ASlowReaderHoldsTheSenderBack) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return !application_.taken.empty(); }));
  client.stream->want_read(false);
  const std::string much(8 * 1024 * 1024, 'm');
  application_.last().send(much);
  clock_.run_for(1s);
  const size_t left = application_.last().stream->backlog();
  EXPECT_GT(left, much.size() - 1024 * 1024) << "no more than a bounded part is on the way";
  // The other direction goes on.
  client.send("still here");
  ASSERT_TRUE(until([&] { return application_.last().text == "still here"; }));
  client.stream->want_read(true);
  ASSERT_TRUE(until([&] { return client.text.size() == much.size(); }));
  EXPECT_EQ(client.text, much);
}

TEST_F(RelayTest, BothDirectionsFullDoNotBlockEachOther) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return !application_.taken.empty(); }));
  const std::string much(3 * 1024 * 1024, 'm');
  client.send(much);
  client.stream->shutdown();
  application_.last().send(much);
  application_.last().stream->shutdown();
  ASSERT_TRUE(until([&] { return client.ended && application_.last().ended; }, 300s));
  EXPECT_EQ(client.text.size(), much.size());
  EXPECT_EQ(application_.last().text.size(), much.size());
  ASSERT_TRUE(until([&] { return quiet(); }));
  EXPECT_EQ(ended("ok"), 1);
}

TEST_F(RelayTest, IdleConnectionsEndAsAReset) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  client.send("x");
  ASSERT_TRUE(until([&] { return !application_.taken.empty(); }));
  clock_.run_for(590s);
  client.send("y");
  clock_.run_for(590s);
  EXPECT_FALSE(client.ended) << "a byte begins the limit anew";
  clock_.run_for(20s);
  EXPECT_TRUE(client.ended);
  EXPECT_FALSE(client.ended_orderly());
  EXPECT_EQ(ended("idle_timeout"), 1);
}

TEST_F(RelayTest, AnotherEndpointIsTriedWhenOneRefuses) {
  start(listener({{{"filters", {proxy()}}}}), cluster({"10.0.0.9", "10.0.0.3"}));
  for (int i = 0; i < 2; ++i) {
    Recorder& client = connect();
    client.send("x");
    const size_t count = static_cast<size_t>(i) + 1;
    ASSERT_TRUE(until([&] { return application_.taken.size() == count; }));
  }
}

TEST_F(RelayTest, NobodyThereIsAReset) {
  start(listener({{{"filters", {proxy()}}}}), cluster({"10.0.0.9"}));
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_FALSE(client.ended_orderly());
  EXPECT_EQ(ended("connect_failed"), 1);
}

TEST_F(RelayTest, ConnectingHasALimit) {
  start(listener({{{"filters", {proxy()}}}}));
  network_.partition("10.0.0.2", "10.0.0.3");
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_LT(clock_.now() - Instant{}, 3s);
  EXPECT_EQ(ended("connect_timeout"), 1);
}

TEST_F(RelayTest, ConnectionsAreLimited) {
  start(listener({{{"filters", {proxy()}}}}));
  connect();
  connect();
  ASSERT_TRUE(until([&] { return application_.taken.size() == 2; }));
  Recorder& third = connect();
  ASSERT_TRUE(until([&] { return third.ended; }));
  EXPECT_EQ(ended("circuit_open"), 1);
  ByteStream::abort(std::move(clients_[0]->stream));
  clock_.run_for(1s);
  connect();
  ASSERT_TRUE(until([&] { return application_.taken.size() == 3; }));
}

TEST_F(RelayTest, WhatRunsIsFinishedWhenTheListenerDrains) {
  start(listener({{{"filters", {proxy()}}}}));
  Recorder& client = connect();
  client.send("x");
  ASSERT_TRUE(until([&] { return !application_.taken.empty(); }));
  worker_->drain();
  clock_.run_for(1s);
  EXPECT_FALSE(worker_->drained());
  application_.last().send("y");
  ASSERT_TRUE(until([&] { return client.text == "y"; }));
  client.stream->shutdown();
  application_.last().stream->shutdown();
  ASSERT_TRUE(until([&] { return worker_->drained(); }));
}

// ---- what a connection is ---------------------------------------------------------------------

TEST_F(RelayTest, HttpIsRouted) {
  start(sniffing());
  Recorder& client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(until([&] { return client.text.find("routed") != std::string::npos; }));
  EXPECT_TRUE(application_.taken.empty());
}

TEST_F(RelayTest, OtherBytesAreRelayedWhole) {
  start(sniffing());
  Recorder& client = connect();
  const std::string first = "*1\r\n$4\r\nPING\r\n";
  client.send(first);
  ASSERT_TRUE(until([&] { return !application_.taken.empty() &&
                                 application_.last().text == first; }));
}

TEST_F(RelayTest, TlsOfTheApplicationPassesThrough) {
  start(sniffing());
  Recorder& client = connect();
  const std::string hello = tulle::testing::client_hello({.server_name = "db.example"});
  client.send(hello);
  ASSERT_TRUE(until([&] { return !application_.taken.empty() &&
                                 application_.last().text == hello; }));
}

TEST_F(RelayTest, ASilentClientGetsTheServersGreeting) {
  application_.greeting = "220 ready\r\n";
  start(sniffing());
  const Instant begun = clock_.now();
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return client.text == "220 ready\r\n"; }));
  EXPECT_GE(clock_.now() - begun, 50ms);
  EXPECT_LT(clock_.now() - begun, 60ms);
  // Opaque for good, whatever it looks like.
  client.send("GET / HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(until([&] { return application_.last().text == "GET / HTTP/1.1\r\n\r\n"; }));
}

TEST_F(RelayTest, HttpAfterASilenceDropsWhatWasDialled) {
  start(sniffing());
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return application_.taken.size() == 1; }));
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(until([&] { return client.text.find("routed") != std::string::npos; }));
  ASSERT_TRUE(until([&] { return application_.last().ended; }));
  EXPECT_EQ(application_.last().text, "");
  EXPECT_EQ(metric("tulle_tcp_early_dials_withdrawn_total",
                   {{"listener", "outbound"}, {"direction", "outbound"}}), 1);
}

TEST_F(RelayTest, OtherBytesAfterASilenceUseWhatWasDialled) {
  start(sniffing());
  Recorder& client = connect();
  ASSERT_TRUE(until([&] { return application_.taken.size() == 1; }));
  client.send("PING\r\n");
  ASSERT_TRUE(until([&] { return application_.last().text == "PING\r\n"; }));
  EXPECT_EQ(application_.taken.size(), 1u);
}

// The first word could still become a request line, and no more comes.
TEST_F(RelayTest, AnUnfinishedWordIsNotKeptForEver) {
  start(sniffing());
  Recorder& client = connect();
  client.send("HELLO");
  ASSERT_TRUE(until([&] { return !application_.taken.empty() &&
                                 application_.last().text == "HELLO"; }));
}

// A port that takes HTTP only never dials and never passes anything on.
TEST_F(RelayTest, WithoutATcpChainNothingIsPassedOn) {
  start(sniffing(false));
  Recorder& client = connect();
  client.send("PING\r\n");
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_FALSE(client.ended_orderly());
  EXPECT_TRUE(application_.taken.empty());
  EXPECT_EQ(ended("no_route"), 1);
}

}  // namespace
}  // namespace tulle::tcp
