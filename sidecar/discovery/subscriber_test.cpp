// The subscriber on the simulated network, against a control plane made of server sessions.
#include "sidecar/discovery/subscriber.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/http/server.hpp"
#include "core/net/simulated_network.hpp"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/discovery/ads_service_fixture_test.hpp"
#include "tests/support/certificates.hpp"

namespace tulle::discovery {
namespace {

using xds::ResourceType;
using Names = std::set<std::string, std::less<>>;

std::shared_ptr<const xds::Resource> listener(const std::string& name, const std::string& routes) {
  envoy::config::listener::v3::Listener message;
  message.set_name(name);
  envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager manager;
  manager.mutable_rds()->set_route_config_name(routes);
  message.mutable_api_listener()->mutable_api_listener()->PackFrom(manager);
  return xds::make_resource(ResourceType::listener, name, message.SerializeAsString());
}

std::shared_ptr<const xds::Resource> routes(const std::string& name,
                                            const std::vector<std::string>& clusters) {
  envoy::config::route::v3::RouteConfiguration message;
  message.set_name(name);
  auto& weighted = *message.add_virtual_hosts()->add_routes()->mutable_route();
  for (const std::string& cluster : clusters) {
    weighted.mutable_weighted_clusters()->add_clusters()->set_name(cluster);
  }
  return xds::make_resource(ResourceType::route, name, message.SerializeAsString());
}

std::shared_ptr<const xds::Resource> cluster(const std::string& name) {
  envoy::config::cluster::v3::Cluster message;
  message.set_name(name);
  message.set_type(envoy::config::cluster::v3::Cluster::EDS);
  message.mutable_eds_cluster_config();
  envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext tls;
  auto& common = *tls.mutable_common_tls_context();
  common.add_tls_certificate_sds_secret_configs()->set_name("default");
  common.mutable_validation_context_sds_secret_config()->set_name("ROOTCA");
  message.mutable_transport_socket()->mutable_typed_config()->PackFrom(tls);
  return xds::make_resource(ResourceType::cluster, name, message.SerializeAsString());
}

std::shared_ptr<const xds::Resource> endpoints(const std::string& name, int generation) {
  envoy::config::endpoint::v3::ClusterLoadAssignment message;
  message.set_cluster_name(name);
  message.add_endpoints()->set_priority(static_cast<uint32_t>(generation));
  return xds::make_resource(ResourceType::endpoints, name, message.SerializeAsString());
}

class ControlPlane final : public testing::AdsService {
 public:
  using AdsService::AdsService;
  void put(const std::shared_ptr<const xds::Resource>& resource) { content.put(resource); }
  // A service as the control plane translates it.
  void add_service(const std::string& name) {
    put(listener(name + ":80", name + "-routes"));
    put(routes(name + "-routes", {name + "-cluster"}));
    put(cluster(name + "-cluster"));
    put(endpoints(name + "-cluster", 1));
  }
};

// Decides at once, as the sidecar does.
class Owner final : public Task {
 public:
  using Task::Task;
  std::unique_ptr<Subscriber> subscriber;
  std::vector<xds::Refusal> refusals;
  std::set<xds::ResourceKey> in_use;
  bool deciding = true;
  int runs = 0;

 private:
  void run() override {
    ++runs;
    if (deciding && subscriber->undecided()) subscriber->decide({refusals, in_use});
  }
};

class SubscriberTest : public ::testing::Test {
 protected:
  SubscriberTest()
      : sidecar(network.host(loop, "10.0.0.1")),
        far(network.host(loop, "10.0.0.2")),
        plane(loop),
        owner(loop) {
    stats.attach(shard);
    options.control_plane = *Address::parse("10.0.0.2", 15012);
    options.plaintext = true;
    options.node.id = "orders-1";
    plane.put(listener("own", "own-routes"));
    plane.put(routes("own-routes", {"own-cluster"}));
    plane.put(cluster("own-cluster"));
    plane.put(endpoints("own-cluster", 1));
    plane.put(xds::make_resource(ResourceType::secret, "ROOTCA", "\n\x06ROOTCA"));
    plane.add_service("orders");
    plane.add_service("kitchen");
  }
  ~SubscriberTest() override {
    owner.subscriber.reset();
    EXPECT_EQ(stats.read(stats.gauge("tulle_xds_connected", "", {})), 0);
    server.reset();
    clock.run_until_quiet();
    EXPECT_TRUE(clock.lost_wakes().empty());
    stats.detach(shard);
  }
  void start_server(Server::Options server_options = {}) {
    server_options.limits.max_concurrent_streams = 10;
    server = std::make_unique<Server>(loop, plane, server_options);
    const auto listening = server->listen(*far, options.control_plane, {});
    ASSERT_TRUE(listening.has_value());
  }
  void start() {
    Task& self = owner;
    owner.subscriber =
        std::make_unique<Subscriber>(loop, *sidecar, options, stats, shard, 7, self);
  }
  Subscriber& subscriber() { return *owner.subscriber; }
  Names held(ResourceType type) {
    Names names;
    for (const auto& [name, resource] : subscriber().resources().all(type)) names.insert(name);
    return names;
  }
  template <class Condition>
  bool wait(Condition condition, Duration limit = 60s) {
    return clock.run_while_not(condition, limit);
  }
  bool wait_synced() {
    return wait([&] {
      return subscriber().connected() && !subscriber().undecided() && plane.streams.size() == 1 &&
             plane.streams[0]->session.synced() &&
             plane.streams[0]->session.subscription(ResourceType::endpoints).begun();
    });
  }
  int64_t count(const char* family, Labels labels = {}) {
    return stats.read(stats.counter(family, "", std::move(labels)));
  }

  SimulatedClock clock{11};
  SimulatedNetwork network{clock};
  SimulatedLoop loop{clock};
  std::unique_ptr<Network> sidecar, far;
  ControlPlane plane;
  std::unique_ptr<Server> server;
  StatRegistry stats;
  StatShard shard;
  Subscriber::Options options;
  Owner owner;
};

TEST_F(SubscriberTest, FollowsWhatTheListenersLeadTo) {
  start_server();
  start();
  ASSERT_TRUE(wait_synced());
  EXPECT_EQ(held(ResourceType::listener), Names{"own"});
  EXPECT_EQ(held(ResourceType::route), Names{"own-routes"});
  EXPECT_EQ(held(ResourceType::cluster), Names{"own-cluster"});
  EXPECT_EQ(held(ResourceType::endpoints), Names{"own-cluster"});
  EXPECT_EQ(held(ResourceType::secret), Names{"ROOTCA"});  // "default" is made here
  EXPECT_TRUE(subscriber().initialized());
  ASSERT_TRUE(plane.streams[0]->session.node());
  EXPECT_EQ(plane.streams[0]->session.node()->id, "orders-1");

  subscriber().want_listeners({"orders:80", "nobody:80"});
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints).contains("orders-cluster"); }));
  EXPECT_EQ(subscriber().unknown(), Names{"nobody:80"});
  EXPECT_EQ(held(ResourceType::listener), (Names{"orders:80", "own"}));
  subscriber().want_listeners({});
  ASSERT_TRUE(wait_synced());
  EXPECT_EQ(held(ResourceType::listener), Names{"own"});
  EXPECT_EQ(held(ResourceType::endpoints), Names{"own-cluster"});
  EXPECT_TRUE(subscriber().unknown().empty());
  EXPECT_EQ(stats.read(stats.gauge("tulle_xds_connected", "", {})), 1);
}

TEST_F(SubscriberTest, SaysLittle) {
  start_server();
  start();
  subscriber().want_listeners({"orders:80", "kitchen:80"});
  ASSERT_TRUE(wait_synced());
  clock.run_for(10s);
  EXPECT_LT(plane.requests, 30);
  const int requests = plane.requests;
  const int runs = owner.runs;
  clock.run_for(1h);
  EXPECT_EQ(plane.requests, requests);
  EXPECT_EQ(owner.runs, runs);
  plane.put(endpoints("orders-cluster", 2));
  plane.push();
  ASSERT_TRUE(wait_synced());
  clock.run_for(10s);
  EXPECT_EQ(plane.requests, requests + 1);  // its acknowledgement
}

TEST_F(SubscriberTest, AControlPlaneThatComesLater) {
  start();
  clock.run_for(5min);
  EXPECT_FALSE(subscriber().connected());
  EXPECT_FALSE(subscriber().last_failure().empty());
  const int64_t attempts = count("tulle_xds_disconnects_total");
  EXPECT_GT(attempts, 15);
  EXPECT_LT(attempts, 120);
  start_server();
  EXPECT_TRUE(wait([&] { return subscriber().initialized(); }, 20s));
  EXPECT_TRUE(subscriber().last_failure().empty());
}

TEST_F(SubscriberTest, EverythingStaysWhileTheControlPlaneIsAway) {
  start_server();
  start();
  subscriber().want_listeners({"orders:80", "nobody:80"});
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints).contains("orders-cluster"); }));
  ASSERT_TRUE(wait_synced());
  server.reset();
  network.cut_all(Cut::reset);
  ASSERT_TRUE(wait([&] { return !subscriber().connected(); }));
  clock.run_for(10min);
  EXPECT_TRUE(held(ResourceType::endpoints).contains("orders-cluster"));
  EXPECT_EQ(subscriber().unknown(), Names{"nobody:80"});
  plane.put(endpoints("orders-cluster", 2));
  plane.add_service("nobody");
  start_server();
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints).contains("nobody-cluster"); }));
  EXPECT_TRUE(subscriber().unknown().empty());
  EXPECT_EQ(subscriber().resources().find(ResourceType::endpoints, "orders-cluster")->bytes,
            endpoints("orders-cluster", 2)->bytes);
  EXPECT_EQ(plane.opened, 2);
}

TEST_F(SubscriberTest, AStreamThatIsEndedComesBackSoon) {
  start_server();
  start();
  ASSERT_TRUE(wait_synced());
  for (int i = 0; i < 5; ++i) {
    plane.streams[0]->end({GrpcCode::unavailable, "rebalancing"});
    ASSERT_TRUE(wait([&] { return !subscriber().connected(); }));
    EXPECT_EQ(subscriber().last_failure(), "UNAVAILABLE: rebalancing");
    EXPECT_TRUE(wait([&] { return subscriber().connected(); }, 1s));
    ASSERT_TRUE(wait_synced());
  }
}

TEST_F(SubscriberTest, SilenceFromTheBeginningIsAFailure) {
  start_server();
  plane.mute = true;
  start();
  clock.run_for(60s);
  EXPECT_FALSE(subscriber().connected());
  EXPECT_GT(plane.opened, 1);
  plane.mute = false;
  EXPECT_TRUE(wait([&] { return subscriber().connected(); }, 60s));
}

TEST_F(SubscriberTest, ARefusedResourceIsRejectedAndItsOldFormStays) {
  start_server();
  start();
  subscriber().want_listeners({"orders:80", "kitchen:80"});
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints).size() == 3; }));
  ASSERT_TRUE(wait_synced());
  owner.refusals = {{{ResourceType::route, "orders-routes"}, "not like this"}};
  plane.put(routes("orders-routes", {"own-cluster"}));
  plane.put(routes("kitchen-routes", {"orders-cluster", "kitchen-cluster"}));
  plane.push();
  ASSERT_TRUE(wait([&] {
    return plane.streams[0]->session.state(ResourceType::route).rejection.has_value();
  }));
  EXPECT_EQ(plane.streams[0]->session.state(ResourceType::route).rejection->text,
            "RouteConfiguration \"orders-routes\": not like this");
  EXPECT_EQ(subscriber().resources().find(ResourceType::route, "orders-routes")->bytes,
            routes("orders-routes", {"orders-cluster"})->bytes);
  EXPECT_EQ(subscriber().resources().find(ResourceType::route, "kitchen-routes")->bytes,
            routes("kitchen-routes", {"orders-cluster", "kitchen-cluster"})->bytes);
  EXPECT_FALSE(subscriber().rejection(ResourceType::route).empty());
  EXPECT_EQ(count("tulle_xds_responses_total", {{"outcome", "rejected"}}), 1);
  owner.refusals.clear();
  plane.put(routes("orders-routes", {"kitchen-cluster"}));
  plane.push();
  ASSERT_TRUE(wait_synced());
  EXPECT_TRUE(subscriber().rejection(ResourceType::route).empty());
}

TEST_F(SubscriberTest, WhatIsStillUsedStaysUntilItIsNot) {
  start_server();
  start();
  subscriber().want_listeners({"orders:80"});
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints).contains("orders-cluster"); }));
  ASSERT_TRUE(wait_synced());
  // The routes lead to a cluster that does not exist: the owner stays with the form of before.
  owner.in_use = {{ResourceType::cluster, "orders-cluster"}};
  plane.put(routes("orders-routes", {"orders-v2"}));
  plane.push();
  clock.run_for(10s);
  EXPECT_EQ(subscriber().resources().find(ResourceType::route, "orders-routes")->bytes,
            routes("orders-routes", {"orders-v2"})->bytes);
  plane.put(endpoints("orders-cluster", 2));
  plane.push();
  clock.run_for(10s);
  EXPECT_EQ(subscriber().resources().find(ResourceType::endpoints, "orders-cluster")->bytes,
            endpoints("orders-cluster", 2)->bytes);
  owner.in_use.clear();
  plane.put(cluster("orders-v2"));
  plane.put(endpoints("orders-v2", 1));
  plane.push();
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints).contains("orders-v2"); }));
  ASSERT_TRUE(wait_synced());
  EXPECT_FALSE(held(ResourceType::cluster).contains("orders-cluster"));
}

TEST_F(SubscriberTest, NothingIsPrunedBeforeTheOwnerHasLooked) {
  start_server();
  start();
  subscriber().want_listeners({"orders:80"});
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints).contains("orders-cluster"); }));
  ASSERT_TRUE(wait_synced());
  owner.deciding = false;
  plane.put(routes("orders-routes", {"orders-v2"}));
  plane.push();
  ASSERT_TRUE(wait([&] { return subscriber().undecided(); }));
  subscriber().want_listeners({"orders:80", "kitchen:80"});
  clock.run_for(10s);
  EXPECT_TRUE(held(ResourceType::endpoints).contains("orders-cluster"));
  EXPECT_TRUE(held(ResourceType::listener).contains("kitchen:80"));
}

TEST_F(SubscriberTest, APreviousRunsResourcesServeAndAreAskedForAtOnce) {
  xds::ResourceSet stored;
  stored.put(listener("own", "own-routes"));
  stored.put(listener("orders:80", "orders-routes"));
  stored.put(routes("orders-routes", {"orders-cluster"}));
  stored.put(cluster("orders-cluster"));
  stored.put(endpoints("orders-cluster", 0));
  start();
  subscriber().restore(stored);
  subscriber().want_listeners({"orders:80"});
  clock.run_for(1min);
  EXPECT_TRUE(held(ResourceType::endpoints).contains("orders-cluster"));
  EXPECT_FALSE(subscriber().initialized());
  start_server();
  ASSERT_TRUE(wait([&] { return plane.opened == 1 && !plane.streams.empty() &&
                                plane.streams[0]->session.subscription(ResourceType::listener)
                                    .begun(); }));
  // Everything that is held is in the first requests.
  ASSERT_TRUE(wait([&] {
    return subscriber().resources().find(ResourceType::endpoints, "orders-cluster")->bytes ==
           endpoints("orders-cluster", 1)->bytes;
  }));
  ASSERT_TRUE(wait_synced());
}

TEST_F(SubscriberTest, WhoLeavesSaysSo) {
  start_server();
  start();
  ASSERT_TRUE(wait_synced());
  subscriber().leave();
  ASSERT_TRUE(wait([&] { return !plane.ends.empty(); }, 1s));
  EXPECT_EQ(plane.ends, std::vector{GrpcCode::ok});
  EXPECT_EQ(held(ResourceType::endpoints), Names{"own-cluster"});
  clock.run_for(1min);
  EXPECT_EQ(plane.opened, 1);
}

TEST_F(SubscriberTest, MovesToANewIdentityWithoutALoss) {
  const tulle::testing::TestCa ca("ca", tulle::testing::KeyType::ed25519);
  const auto identity = [&](const std::string& id) {
    const tulle::testing::IssuedCertificate issued = ca.issue_spiffe(id);
    TlsOptions tls;
    tls.certificate_pem = issued.certificate_pem;
    tls.key_pem = issued.key_pem;
    tls.trust_pem = ca.pem();
    tls.alpn = {"h2"};
    return tls;
  };
  const auto client = [&](const std::string& id) {
    TlsOptions tls = identity(id);
    tls.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact, "spiffe://m/cp"}};
    return *TlsContext::client(tls, "");
  };
  options.plaintext = false;
  Server::Options server_options;
  server_options.tls = *TlsContext::server(identity("spiffe://m/cp"), true);
  start_server(server_options);
  start();
  clock.run_for(1min);
  EXPECT_EQ(plane.opened, 0);  // not without an identity
  subscriber().set_tls(client("spiffe://m/one"));
  ASSERT_TRUE(wait_synced());
  EXPECT_EQ(plane.streams[0]->peer, "spiffe://m/one");
  subscriber().set_tls(client("spiffe://m/two"));
  ASSERT_TRUE(wait([&] { return plane.opened == 2; }, 5s));
  ASSERT_TRUE(wait_synced());
  EXPECT_EQ(plane.streams[0]->peer, "spiffe://m/two");
  EXPECT_EQ(count("tulle_xds_disconnects_total"), 0);
  // An identity that the control plane does not take: the present stream goes on.
  const tulle::testing::TestCa other("other", tulle::testing::KeyType::ed25519);
  const tulle::testing::IssuedCertificate foreign = other.issue_spiffe("spiffe://m/three");
  TlsOptions tls = identity("spiffe://m/two");
  tls.certificate_pem = foreign.certificate_pem;
  tls.key_pem = foreign.key_pem;
  tls.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact, "spiffe://m/nobody"}};
  subscriber().set_tls(*TlsContext::client(tls, ""));
  clock.run_for(1min);
  EXPECT_EQ(plane.opened, 2);
  EXPECT_TRUE(subscriber().connected());
  plane.put(endpoints("own-cluster", 5));
  plane.push();
  ASSERT_TRUE(wait_synced());
  EXPECT_EQ(subscriber().resources().find(ResourceType::endpoints, "own-cluster")->bytes,
            endpoints("own-cluster", 5)->bytes);
}

TEST_F(SubscriberTest, AgreesInTheEndWhateverTheNetworkDoes) {
  ChaosOptions chaos;
  chaos.reset = 0.02;
  chaos.close = 0.02;
  chaos.stall = 0.05;
  start_server();
  start();
  network.set_chaos(chaos);
  for (int i = 0; i < 200; ++i) {
    const std::string name = "s" + std::to_string(clock.rng().below(6));
    plane.add_service(name);
    plane.put(endpoints(name + "-cluster", i));
    plane.push();
    subscriber().want_listeners({name + ":80", "orders:80"});
    clock.run_for(std::chrono::milliseconds(clock.rng().below(2000)));
  }
  network.set_chaos({});
  subscriber().want_listeners({"s1:80"});
  ASSERT_TRUE(wait([&] { return held(ResourceType::listener) == Names{"own", "s1:80"}; }, 5min));
  const Names expected{"own-cluster", "s1-cluster"};
  ASSERT_TRUE(wait([&] { return held(ResourceType::endpoints) == expected; }, 5min));
  ASSERT_TRUE(wait_synced());
  for (const ResourceType type : xds::kResourceTypes) {
    for (const auto& [name, resource] : subscriber().resources().all(type)) {
      const xds::Resource* there = plane.content.find(type, name);
      ASSERT_NE(there, nullptr);
      EXPECT_EQ(resource->bytes, there->bytes) << name;
    }
  }
}

}  // namespace
}  // namespace tulle::discovery
