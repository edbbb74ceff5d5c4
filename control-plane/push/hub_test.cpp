#include "control-plane/push/hub.hpp"

#include "control-plane/push/push_fixture_test.hpp"

namespace tulle::push {
namespace {

using testing::metadata_of;
using testing::PushBench;
using testing::TestSidecar;
using xds::ResourceType;

constexpr const char* kMesh = R"(
apiVersion: v1
kind: Service
metadata: {name: kitchen}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: kitchen-1}
spec:
  service: kitchen
  address: 127.0.0.1
  ports: [{name: http, port: 3001, inbound: "127.0.0.1:9101"}]
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: kitchen-2}
spec:
  service: kitchen
  address: 127.0.0.1
  ports: [{name: http, port: 3002, inbound: "127.0.0.1:9102"}]
)";
constexpr const char* kKitchen = "outbound|80||kitchen.default.svc.cluster.local";
constexpr const char* kOrders = "outbound|80||orders.default.svc.cluster.local";
constexpr const char* kSplit = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: kitchen}
spec:
  parentRefs: [{kind: Service, group: "", name: kitchen}]
  rules: [{backendRefs: [{name: kitchen, port: 80, weight: 1}, {name: orders, port: 80, weight: 1}]}]
)";

TestSidecar::Options caller(std::set<std::string> destinations = {"kitchen:80"}) {
  TestSidecar::Options options;
  options.destinations = std::move(destinations);
  return options;
}

TEST(Hub, ASidecarGetsItsListenersAndWhatItAsksFor) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& sidecar = bench.sidecar(caller({"kitchen:80", "example.org:80"}));
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kKitchen) != "nothing"; }));
  bench.settle();
  EXPECT_TRUE(sidecar.has(ResourceType::listener, "outbound"));
  EXPECT_TRUE(sidecar.has(ResourceType::listener, "inbound|8080"));
  EXPECT_TRUE(sidecar.has(ResourceType::cluster, "inbound|8080||"));
  EXPECT_TRUE(sidecar.has(ResourceType::listener, "kitchen:80"));
  EXPECT_TRUE(sidecar.has(ResourceType::secret, "ROOTCA"));
  EXPECT_EQ(sidecar.endpoints(kKitchen), "127.0.0.1:9101 weight=1\n127.0.0.1:9102 weight=1\n");
  // Answered to be unknown, which is not the same as silence.
  EXPECT_TRUE(sidecar.session.unknown(ResourceType::listener).contains("example.org:80"));
  const std::vector<SidecarStatus> status = bench.hub->sidecars();
  ASSERT_EQ(status.size(), 1u);
  EXPECT_EQ(status[0].node, "orders-1");
  EXPECT_EQ(status[0].identity, "spiffe://mesh.local/ns/default/sa/orders");
  EXPECT_STREQ(to_string(status[0].state), "synced");
  EXPECT_EQ(status[0].types.at("Listener").accepted_version,
            status[0].types.at("Listener").sent_version);
}

TEST(Hub, AnUnknownDestinationIsToldWhenItComesIntoBeing) {
  PushBench bench;
  TestSidecar& sidecar = bench.sidecar(caller());
  ASSERT_TRUE(bench.until(
      [&] { return sidecar.session.unknown(ResourceType::listener).contains("kitchen:80"); }));
  bench.apply(kMesh);
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kKitchen) != "nothing"; }));
  EXPECT_FALSE(sidecar.session.unknown(ResourceType::listener).contains("kitchen:80"));
  bench.remove(model::Kind::service, "kitchen");
  ASSERT_TRUE(bench.until(
      [&] { return sidecar.session.unknown(ResourceType::listener).contains("kitchen:80"); }));
}

TEST(Hub, ChangesThatComeTogetherGoTogether) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& sidecar = bench.sidecar(caller());
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kKitchen) != "nothing"; }));
  bench.settle();
  const size_t before = sidecar.responses;
  for (int i = 3; i < 8; ++i) {
    const std::string n = std::to_string(i);
    bench.apply("apiVersion: tulle.dev/v1alpha1\nkind: Workload\nmetadata: {name: kitchen-" + n +
                "}\nspec: {service: kitchen, address: 127.0.0.1, ports: [{name: http, port: 3000, "
                "inbound: \"127.0.0.1:910" + n + "\"}]}");
    bench.clock.run_for(5ms);
  }
  EXPECT_EQ(sidecar.responses, before);  // each change has opened the window anew
  bench.clock.run_for(20ms);
  EXPECT_EQ(sidecar.responses, before + 1);
  EXPECT_NE(sidecar.endpoints(kKitchen).find("9107"), std::string::npos);
}

TEST(Hub, ChangesThatNeverEndGoAfterHalfASecond) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& sidecar = bench.sidecar(caller());
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kKitchen) != "nothing"; }));
  bench.settle();
  const size_t before = sidecar.responses;
  const Instant begin = bench.clock.now();
  for (int i = 0; sidecar.responses == before && i < 200; ++i) {
    bench.apply("apiVersion: tulle.dev/v1alpha1\nkind: Workload\nmetadata: {name: more-" +
                std::to_string(i) + "}\nspec: {service: kitchen, address: 127.0.0.1, ports: [{name: "
                "http, port: 3000, inbound: \"127.0.0.1:" + std::to_string(10000 + i) + "\"}]}");
    bench.clock.run_for(10ms);
  }
  EXPECT_GE(bench.clock.now() - begin, 490ms);
  EXPECT_LE(bench.clock.now() - begin, 530ms);
}

TEST(Hub, ARemovedEndpointDoesNotWait) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& sidecar = bench.sidecar(caller());
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kKitchen) != "nothing"; }));
  bench.settle();
  const store::WriteRef write =
      bench.store->remove({model::Kind::workload, "default", "kitchen-1"}, {}, nullptr);
  const Instant begin = bench.clock.now();
  ASSERT_TRUE(bench.until(
      [&] { return sidecar.endpoints(kKitchen) == "127.0.0.1:9102 weight=1\n"; }));
  EXPECT_LT(bench.clock.now() - begin, 1ms);  // turns, no waiting
}

TEST(Hub, ARouteBringsTheClustersItNames) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& sidecar = bench.sidecar(caller());
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kKitchen) != "nothing"; }));
  EXPECT_FALSE(sidecar.has(ResourceType::cluster, kOrders));
  bench.apply(kSplit);
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kOrders) != "nothing"; }));
  EXPECT_EQ(sidecar.endpoints(kOrders), "127.0.0.1:9001 weight=1\n");  // itself
}

TEST(Hub, ARejectionIsShownAndWhatSharesItIsCounted) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& good = bench.sidecar(caller());
  TestSidecar::Options options = caller();
  options.id = "orders-2";
  options.metadata = metadata_of("default", "orders", 9002);
  TestSidecar& bad = bench.sidecar(options);
  ASSERT_TRUE(bench.until([&] {
    return good.endpoints(kKitchen) != "nothing" && bad.endpoints(kKitchen) != "nothing";
  }));
  bad.refuses = {{ResourceType::route, "80|kitchen.default"}};
  bench.apply(kSplit);
  ASSERT_TRUE(bench.until([&] { return good.endpoints(kOrders) != "nothing"; }));
  bench.settle();
  const DocumentAcceptance acceptance = bench.hub->acceptance(
      *bench.store->view().find(model::Kind::http_route, "default", "kitchen"));
  EXPECT_EQ(acceptance.sidecars, 2u);
  EXPECT_EQ(acceptance.accepted, 1u);
  EXPECT_EQ(acceptance.rejected, 1u);
  EXPECT_NE(acceptance.last_error.find("not to my taste"), std::string::npos);
  const std::vector<SidecarStatus> status = bench.hub->sidecars();
  EXPECT_STREQ(to_string(status[0].state), "synced");
  EXPECT_STREQ(to_string(status[1].state), "rejected");
  EXPECT_EQ(status[1].node, "orders-2");
  // It is not sent again before something changes.
  const size_t responses = bad.responses;
  bench.clock.run_for(5s);
  EXPECT_EQ(bad.responses, responses);
}

TEST(Hub, TheBundleGoesToEverybody) {
  PushBench bench;
  TestSidecar& sidecar = bench.sidecar(caller({}));
  ASSERT_TRUE(bench.until([&] { return sidecar.has(ResourceType::secret, "ROOTCA"); }));
  const std::string before = sidecar.resources().find(ResourceType::secret, "ROOTCA")->bytes;
  bench.hub->set_trust_bundle("another bundle");
  ASSERT_TRUE(bench.until([&] {
    return sidecar.resources().find(ResourceType::secret, "ROOTCA")->bytes != before;
  }));
}

TEST(Hub, WhatIsNoLongerWantedIsForgotten) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& sidecar = bench.sidecar(caller({"kitchen:80", "orders:80"}));
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kOrders) != "nothing"; }));
  bench.settle();
  const size_t before = bench.hub->cache().size();
  sidecar.want({"kitchen:80"});
  bench.settle();
  EXPECT_EQ(bench.hub->cache().size(), before - 4);  // listener, table, cluster, endpoints
  EXPECT_FALSE(sidecar.has(ResourceType::listener, "orders:80"));
  sidecar.break_off();
  bench.settle();
  EXPECT_EQ(bench.hub->cache().size(), 0u);
}

TEST(Hub, ShutsDownWithWords) {
  PushBench bench;
  TestSidecar& sidecar = bench.sidecar(caller({}));
  ASSERT_TRUE(bench.until([&] { return sidecar.has(ResourceType::listener, "outbound"); }));
  bench.hub->shut_down();
  ASSERT_TRUE(bench.until([&] { return sidecar.end.has_value(); }));
  EXPECT_EQ(sidecar.end->code, GrpcCode::unavailable);
  EXPECT_EQ(bench.hub->sessions(), 0u);
}

TEST(Hub, WhoDoesNotReadIsLetGo) {
  PushBench bench;
  bench.apply(kMesh);
  TestSidecar& sidecar = bench.sidecar(caller());
  ASSERT_TRUE(bench.until([&] { return sidecar.endpoints(kKitchen) != "nothing"; }));
  bench.settle();
  sidecar.pause(true);
  // More than the stream's window and what waits behind it.
  std::vector<store::WriteRef> writes;
  for (int i = 0; i < 8000; ++i) {
    model::Document document;
    document.metadata.name = "many-" + std::to_string(i);
    model::WorkloadSpec spec;
    spec.service = "kitchen";
    spec.address = "10.0.0.1";
    spec.ports = {{"http", 80, "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":80"}};
    document.spec = std::move(spec);
    writes.push_back(bench.store->put(std::move(document), {}, nullptr));
  }
  bench.clock.run_for(5s);
  EXPECT_EQ(bench.hub->sessions(), 1u);
  bench.clock.run_for(40s);
  EXPECT_EQ(bench.hub->sessions(), 0u);
}

TEST(Hub, WhoSaysNothingIsLetGo) {
  PushBench bench;
  TestSidecar& sidecar = bench.sidecar(caller());
  sidecar.pause(true);
  bench.clock.run_for(9s);
  EXPECT_FALSE(sidecar.end.has_value());
  bench.clock.run_for(2s);
  sidecar.pause(false);
  ASSERT_TRUE(bench.until([&] { return sidecar.end.has_value(); }));
  EXPECT_EQ(sidecar.end->code, GrpcCode::deadline_exceeded);
}

TEST(Hub, IdentityDecidesWhoANodeIs) {
  struct {
    const char* identity;
    std::string metadata;
    GrpcCode code;
  } const cases[] = {
      {"spiffe://mesh.local/ns/default/sa/kitchen", metadata_of("default", "orders", 9001),
       GrpcCode::permission_denied},
      {"spiffe://mesh.local/ns/other/sa/orders", metadata_of("default", "orders", 9001),
       GrpcCode::permission_denied},
      {"spiffe://other.local/ns/default/sa/orders", metadata_of("default", "orders", 9001),
       GrpcCode::permission_denied},
      {"spiffe://mesh.local/ns/default/sa/orders/x", metadata_of("default", "orders", 9001),
       GrpcCode::permission_denied},
      {"spiffe://mesh.local/ns/default/sa/orders",
       R"({"tulle": {"namespace": "default", "service": "orders", "ports": [{"port": 0}]}})",
       GrpcCode::invalid_argument},
  };
  for (const auto& each : cases) {
    PushBench bench;
    TestSidecar::Options options;
    options.identity = each.identity;
    options.metadata = each.metadata;
    TestSidecar& sidecar = bench.sidecar(options);
    ASSERT_TRUE(bench.until([&] { return sidecar.end.has_value(); })) << each.identity;
    EXPECT_EQ(sidecar.end->code, each.code) << each.identity << ": " << sidecar.end->message;
    EXPECT_TRUE(bench.hub->sidecars().empty());
    EXPECT_TRUE(bench.store->view().all(model::Kind::workload).empty());
  }
}

TEST(Hub, WithoutACertificateThereIsNothing) {
  PushBench bench({}, false);
  TestSidecar::Options options;
  options.identity.clear();
  TestSidecar& sidecar = bench.sidecar(options);
  ASSERT_TRUE(bench.until([&] { return sidecar.end.has_value(); }));
  EXPECT_EQ(sidecar.end->code, GrpcCode::unauthenticated);
}

TEST(Hub, AnIdentityHasBounds) {
  Hub::Options options;
  options.sessions_per_identity = 1;
  options.names_per_identity = 10;
  PushBench bench(options);
  bench.apply(kMesh);
  TestSidecar& first = bench.sidecar(caller());
  ASSERT_TRUE(bench.until([&] { return first.endpoints(kKitchen) != "nothing"; }));
  TestSidecar::Options other;
  other.id = "orders-2";
  TestSidecar& second = bench.sidecar(other);
  ASSERT_TRUE(bench.until([&] { return second.end.has_value(); }));
  EXPECT_EQ(second.end->code, GrpcCode::resource_exhausted);
  first.want({"a:80", "b:80", "c:80", "d:80", "e:80", "f:80"});
  ASSERT_TRUE(bench.until([&] { return first.end.has_value(); }));
  EXPECT_EQ(first.end->code, GrpcCode::resource_exhausted);
}

TEST(Hub, AMethodThatIsNotThereIsUnimplemented) {
  PushBench bench;
  bench.methods = std::make_unique<GrpcMethods>(bench.loop);
  Server::Options options;
  options.protocol = Protocol::http2;
  Server server(bench.loop, *bench.methods, std::move(options));
  bench.network.server = &server;
  TestSidecar::Options plain;
  plain.identity.clear();
  TestSidecar& sidecar = bench.sidecar(plain);
  ASSERT_TRUE(bench.until([&] { return sidecar.end.has_value(); }));
  EXPECT_EQ(sidecar.end->code, GrpcCode::unimplemented);
  bench.sidecars.clear();
  bench.settle();
}

}  // namespace
}  // namespace tulle::push
