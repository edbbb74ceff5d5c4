#include "control-plane/push/registrar.hpp"

#include "control-plane/push/push_fixture_test.hpp"

namespace tulle::push {
namespace {

using testing::metadata_of;
using testing::PushBench;
using testing::TestSidecar;

TEST(Registrar, AConnectedNodeIsAWorkload) {
  PushBench bench;
  TestSidecar::Options options;
  options.metadata = metadata_of("default", "orders", 9001, R"({"version": "v2"})");
  bench.sidecar(options);
  ASSERT_TRUE(bench.until([&] { return bench.has_workload("orders-1"); }));
  const model::WorkloadSpec& workload =
      bench.store->view().find(model::Kind::workload, "default", "orders-1")->workload();
  EXPECT_EQ(workload.source, model::WorkloadSpec::Source::registration);
  EXPECT_EQ(workload.service, "orders");
  EXPECT_EQ(workload.node, "orders-1");
  EXPECT_EQ(workload.labels.at("version"), "v2");
  EXPECT_EQ(workload.ports.at(0).inbound, "127.0.0.1:9001");
  const uint64_t revision = bench.store->view().revision();
  bench.clock.run_for(60s);
  EXPECT_EQ(bench.store->view().revision(), revision);  // nothing is renewed in the store
}

TEST(Registrar, WhoLeavesForGoodIsGoneAtOnce) {
  PushBench bench;
  TestSidecar& sidecar = bench.sidecar({});
  ASSERT_TRUE(bench.until([&] { return bench.has_workload("orders-1"); }));
  sidecar.leave();
  bench.settle();
  EXPECT_FALSE(bench.has_workload("orders-1"));
  ASSERT_TRUE(sidecar.end.has_value());
  EXPECT_TRUE(sidecar.end->ok());
}

TEST(Registrar, WhoIsLostHasAGraceToComeBack) {
  PushBench bench;
  TestSidecar& sidecar = bench.sidecar({});
  ASSERT_TRUE(bench.until([&] { return bench.has_workload("orders-1"); }));
  sidecar.break_off();
  bench.clock.run_for(1900ms);
  EXPECT_TRUE(bench.has_workload("orders-1"));
  const uint64_t revision = bench.store->view().revision();
  sidecar.connect();
  bench.clock.run_for(10s);
  EXPECT_TRUE(bench.has_workload("orders-1"));
  EXPECT_EQ(bench.store->view().revision(), revision);  // the same again is not written
  sidecar.break_off();
  bench.clock.run_for(2100ms);
  EXPECT_FALSE(bench.has_workload("orders-1"));
}

TEST(Registrar, ARestartLeavesTimeToReturn) {
  PushBench bench;
  TestSidecar& stays = bench.sidecar({});
  TestSidecar::Options options;
  options.id = "orders-2";
  options.metadata = metadata_of("default", "orders", 9002);
  bench.sidecar(options);
  ASSERT_TRUE(bench.until([&] {
    return bench.has_workload("orders-1") && bench.has_workload("orders-2");
  }));
  bench.restart();
  bench.clock.run_for(20s);
  stays.connect();
  bench.clock.run_for(9s);
  EXPECT_TRUE(bench.has_workload("orders-2"));
  bench.clock.run_for(2s);
  EXPECT_TRUE(bench.has_workload("orders-1"));
  EXPECT_FALSE(bench.has_workload("orders-2"));
}

TEST(Registrar, TheNewestStreamOfANodeWins) {
  PushBench bench;
  TestSidecar& first = bench.sidecar({});
  ASSERT_TRUE(bench.until([&] { return bench.has_workload("orders-1"); }));
  TestSidecar::Options options;
  options.metadata = metadata_of("default", "orders", 9005);
  TestSidecar& second = bench.sidecar(options);
  ASSERT_TRUE(bench.until([&] { return first.end.has_value(); }));
  EXPECT_EQ(first.end->code, GrpcCode::aborted);
  first.break_off();
  bench.clock.run_for(10s);
  EXPECT_TRUE(second.connected());
  EXPECT_EQ(bench.hub->sessions(), 1u);
  const auto stored = bench.store->view().find(model::Kind::workload, "default", "orders-1");
  ASSERT_NE(stored, nullptr);
  EXPECT_EQ(stored->workload().ports.at(0).inbound, "127.0.0.1:9005");
}

TEST(Registrar, ANameIsNotTakenOver) {
  PushBench bench;
  bench.apply(R"(
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: by-hand}
spec:
  service: orders
  address: 127.0.0.1
  ports: [{name: http, port: 1, inbound: "127.0.0.1:1"}]
)");
  TestSidecar::Options options;
  options.id = "by-hand";
  TestSidecar& clash = bench.sidecar(options);
  ASSERT_TRUE(bench.until([&] { return clash.end.has_value(); }));
  EXPECT_EQ(clash.end->code, GrpcCode::permission_denied);

  bench.sidecar({});
  ASSERT_TRUE(bench.until([&] { return bench.has_workload("orders-1"); }));
  TestSidecar::Options thief;
  thief.identity = "spiffe://mesh.local/ns/default/sa/thief";
  thief.metadata = metadata_of("default", "thief", 9009);
  TestSidecar& refused = bench.sidecar(thief);
  ASSERT_TRUE(bench.until([&] { return refused.end.has_value(); }));
  EXPECT_EQ(refused.end->code, GrpcCode::permission_denied);
  EXPECT_EQ(bench.hub->sessions(), 1u);
}

TEST(Registrar, ANodeWithoutPortsOnlyCalls) {
  PushBench bench;
  TestSidecar::Options options;
  options.metadata =
      R"({"tulle": {"namespace": "default", "service": "orders", "outbound": "127.0.0.1:15001"}})";
  TestSidecar& sidecar = bench.sidecar(options);
  ASSERT_TRUE(
      bench.until([&] { return sidecar.has(xds::ResourceType::listener, "outbound"); }));
  bench.clock.run_for(1s);
  EXPECT_TRUE(bench.store->view().all(model::Kind::workload).empty());
}

}  // namespace
}  // namespace tulle::push
