// The exporter against collectors of every kind, on virtual time.
#include "sidecar/tracing/exporter.hpp"

#include <gtest/gtest.h>

#include "sidecar/policies/policy_bench_test.hpp"
#include "sidecar/tracing/otlp.hpp"

namespace tulle::tracing {
namespace {

using policies::testing::Answer;
using policies::testing::Instance;

class Waiter final : public Task {
 public:
  using Task::Task;
  int wakes = 0;

 private:
  void run() override { ++wakes; }
};

class Exporting : public ::testing::Test {
 protected:
  Exporting() {
    stats.attach(shard);
    exporter.emplace(loop, *host, stats, shard, Exporter::Identity{"orders", "orders-1"}, 1);
    auto cluster = std::make_shared<config::ClusterConfig>();
    cluster->endpoints.push_back({.address = collector.address()});
    auto snapshot = std::make_shared<config::Snapshot>();
    snapshot->clusters.push_back(std::move(cluster));
    exporter->adopt(std::move(snapshot));
    tracing->collector = {.authority = "collector:4318", .path = "/v1/traces"};
  }
  ~Exporting() override {
    exporter.reset();
    collector.stop();
    clock.run_for(1min);
    stats.detach(shard);
  }
  // `count` spans that are `bytes` long altogether. What they say does not matter here.
  void submit(size_t count, size_t bytes = 100) {
    exporter->submit({tracing, std::string(bytes, 'x'), count});
  }
  int64_t exported() { return stats.read(stats.counter("tulle_trace_spans_exported_total", "", {})); }
  int64_t failures() { return stats.read(stats.counter("tulle_trace_export_failures_total", "", {})); }
  int64_t dropped(const char* reason) {
    return stats.read(stats.counter("tulle_trace_spans_dropped_total", "", {{"reason", reason}}));
  }
  void all(const Answer& answer) {
    collector.behaviour = [=](const Head&) { return answer; };
  }

  SimulatedClock clock;
  SimulatedNetwork network{clock};
  SimulatedLoop loop{clock};
  StatRegistry stats;
  StatShard shard;
  Instance collector{loop, network, *Address::parse("10.0.1.1", 4318)};
  std::unique_ptr<Network> host = network.host(loop, "10.0.0.1");
  std::shared_ptr<Tracing> tracing = std::make_shared<Tracing>();
  std::optional<Exporter> exporter;
};

TEST_F(Exporting, BatchesBecomeOneRequest) {
  submit(2, 10);
  submit(3, 20);
  clock.run_for(1s);
  ASSERT_EQ(collector.heads.size(), 1u);
  const Head& head = collector.heads[0];
  EXPECT_EQ(head.method, Method::post);
  EXPECT_EQ(head.path, "/v1/traces");
  EXPECT_EQ(head.authority, "collector:4318");
  EXPECT_EQ(head.fields.get(FieldId::content_type), "application/x-protobuf");
  EXPECT_EQ(collector.bodies[0], otlp_request("orders", "orders-1", {"xxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxx"}));
  EXPECT_EQ(exported(), 5);
}

TEST_F(Exporting, TheConfigurationsServiceCounts) {
  tracing->collector.service = "kitchen";
  submit(1, 10);
  clock.run_for(1s);
  ASSERT_EQ(collector.bodies.size(), 1u);
  EXPECT_EQ(collector.bodies[0], otlp_request("kitchen", "orders-1", {"xxxxxxxxxx"}));
}

TEST_F(Exporting, ACollectorThatIsBusyIsAskedAgain) {
  all(Answer::of(503));
  submit(4);
  clock.run_for(2s);
  EXPECT_GE(failures(), 1);
  EXPECT_EQ(exported(), 0);
  all(Answer{});
  clock.run_for(1min);
  EXPECT_EQ(exported(), 4);
  EXPECT_EQ(dropped("collector_unavailable"), 0);
}

TEST_F(Exporting, WhatIsRefusedIsNotSentAgain) {
  all(Answer::of(400));
  submit(4);
  clock.run_for(5min);
  EXPECT_EQ(collector.hits.size(), 1u);
  EXPECT_EQ(dropped("refused"), 4);
  all(Answer{});
  submit(1);
  clock.run_for(1min);
  EXPECT_EQ(exported(), 1) << "the next one is sent";
}

TEST_F(Exporting, APartialSuccessIsCounted) {
  all({.body = std::string("\x0a\x02\x08\x03", 4)});  // partial_success {rejected_spans: 3}
  submit(5);
  clock.run_for(1s);
  EXPECT_EQ(exported(), 2);
  EXPECT_EQ(dropped("refused"), 3);
}

TEST_F(Exporting, SpansAreGivenUpInTheEnd) {
  collector.stop();
  submit(7);
  clock.run_for(10min);
  EXPECT_EQ(dropped("collector_unavailable"), 7);
  EXPECT_EQ(failures(), 5);
  collector.start();
  submit(1);
  clock.run_for(1min);
  EXPECT_EQ(exported(), 1);
}

TEST_F(Exporting, AHangingCollectorCostsItsTimeoutAndOldSpans) {
  all(Answer::silent());
  for (int i = 0; i < 100; ++i) {
    submit(10, 100 * 1024);
    clock.run_for(100ms);
  }
  // 4 MiB wait and half a MiB is on its way; of 10 MiB the rest is gone.
  EXPECT_GT(dropped("collector_unavailable"), 400);
  EXPECT_LT(dropped("collector_unavailable"), 600);
  EXPECT_EQ(dropped("queue_full"), 0);
  clock.run_for(5s);
  EXPECT_EQ(failures(), 1) << "ten seconds are its timeout";
}

TEST_F(Exporting, TheQueueBetweenTheThreadsIsBounded) {
  for (int i = 0; i < 20; ++i) submit(10, 1024 * 1024);  // no turn in between
  clock.run_for(1ms);
  EXPECT_EQ(dropped("queue_full"), 120);
}

TEST_F(Exporting, ACollectorWithoutAnEndpointIsWaitedFor) {
  exporter->adopt(std::make_shared<config::Snapshot>());
  submit(3);
  clock.run_for(1s);
  EXPECT_EQ(collector.hits.size(), 0u);
  auto cluster = std::make_shared<config::ClusterConfig>();
  cluster->endpoints.push_back({.address = collector.address()});
  auto snapshot = std::make_shared<config::Snapshot>();
  snapshot->clusters.push_back(std::move(cluster));
  exporter->adopt(std::move(snapshot));
  clock.run_for(1min);
  EXPECT_EQ(exported(), 3);
}

TEST_F(Exporting, TheLastSpansAreSentBeforeTheEnd) {
  Waiter waiter(loop);
  submit(3);
  EXPECT_FALSE(exporter->finish(waiter));
  clock.run_for(500ms);
  EXPECT_TRUE(exporter->finish(waiter));
  EXPECT_GE(waiter.wakes, 1);
  EXPECT_EQ(exported(), 3);
}

TEST_F(Exporting, TheEndWaitsASecondAtMost) {
  Waiter waiter(loop);
  all(Answer::silent());
  submit(3);
  EXPECT_FALSE(exporter->finish(waiter));
  clock.run_for(990ms);
  EXPECT_FALSE(exporter->finish(waiter));
  clock.run_for(20ms);
  EXPECT_TRUE(exporter->finish(waiter));
  EXPECT_GE(waiter.wakes, 1);
  EXPECT_EQ(dropped("collector_unavailable"), 3);
}

TEST_F(Exporting, NothingToSayEndsAtOnce) {
  Waiter waiter(loop);
  EXPECT_TRUE(exporter->finish(waiter));
}

TEST_F(Exporting, ACollectorThatRefusesDoesNotDelayTheEnd) {
  Waiter waiter(loop);
  collector.stop();
  submit(3);
  EXPECT_FALSE(exporter->finish(waiter));
  clock.run_for(100ms);
  EXPECT_TRUE(exporter->finish(waiter));
  EXPECT_EQ(dropped("collector_unavailable"), 3);
}

}  // namespace
}  // namespace tulle::tracing
