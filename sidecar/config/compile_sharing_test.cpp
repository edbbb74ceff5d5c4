// What a new generation shares with the former one.
#include <gtest/gtest.h>

#include "sidecar/config/compile_fixture_test.hpp"
#include "tests/support/certificates.hpp"

namespace tulle::config {
namespace {

using testing::changed;
using testing::compile_json;
using testing::compiled;
using testing::kManagerAt;
using testing::Outcome;
using testing::with_eds;
using testing::with_rds;

TEST(Sharing, EqualContentIsTheSameNode) {
  const auto first = compiled(testing::example());
  const auto second = compiled(testing::example(), first.get());
  EXPECT_EQ(second->generation, 2u);
  EXPECT_EQ(second->version, first->version);
  EXPECT_EQ(second->listeners, first->listeners);
  EXPECT_EQ(second->clusters, first->clusters);
}

TEST(Sharing, AnEndpointCostsItsClusterOnly) {
  const nlohmann::json json = with_eds(with_rds());
  const auto first = compiled(json);
  const auto second = compiled(
      changed("/static_resources/5/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/"
              "address", "\"10.0.0.8\"", json),
      first.get());
  EXPECT_EQ(second->version, first->version);  // endpoints are left out
  EXPECT_EQ(second->listeners, first->listeners);
  const ClusterConfig& old_orders = *first->find_cluster("orders");
  const ClusterConfig& new_orders = *second->find_cluster("orders");
  EXPECT_NE(&new_orders, &old_orders);
  EXPECT_EQ(new_orders.index, old_orders.index);
  EXPECT_NE(new_orders.hash, old_orders.hash);
  EXPECT_EQ(new_orders.tls, old_orders.tls);  // the context is reused by content
  EXPECT_EQ(second->find_cluster("application"), first->find_cluster("application"));
}

TEST(Sharing, ARouteTableIsANodeOfItsOwn) {
  const nlohmann::json json = with_rds();
  const auto first = compiled(json);
  // The listener changes, its routes do not.
  const auto second =
      compiled(changed(kManagerAt + "/request_timeout", "\"1s\"", json), first.get());
  EXPECT_NE(second->version, first->version);
  EXPECT_NE(second->listeners[1], first->listeners[1]);
  EXPECT_EQ(second->listeners[1]->routes, first->listeners[1]->routes);
  EXPECT_EQ(second->listeners[0], first->listeners[0]);
  // The routes change, so the listener does.
  const auto third = compiled(
      changed("/static_resources/4/virtual_hosts/0/domains/0", "\"new\"", json), first.get());
  EXPECT_NE(third->listeners[1], first->listeners[1]);
}

TEST(Sharing, ANewIdentityRebuildsWhatUsesIt) {
  const auto first = compiled(testing::example());
  Materials renewed = testing::test_materials();
  const tulle::testing::TestCa ca;
  const auto leaf = ca.issue_spiffe("spiffe://example.org/ns/default/sa/web");
  renewed.identity = Identity{leaf.certificate_pem, leaf.key_pem, ca.pem(), "example.org", "new"};
  const Outcome second = compile_json(testing::example(), first.get(), renewed);
  ASSERT_NE(second.snapshot, nullptr) << second.problems;
  EXPECT_NE(second.snapshot->listeners[0]->tls, first->listeners[0]->tls);
  EXPECT_EQ(second.snapshot->listeners[1], first->listeners[1]);  // plaintext
  EXPECT_NE(second.snapshot->find_cluster("orders"), first->find_cluster("orders"));
  EXPECT_EQ(second.snapshot->find_cluster("application"), first->find_cluster("application"));
}

TEST(Sharing, IndexesAreStableAndNeverReused) {
  const auto first = compiled(testing::example());
  const ClusterIndex orders = first->find_cluster("orders")->index;
  // "application" goes; its route too.
  nlohmann::json json = changed("/static_resources/3", "-");
  json = changed("/static_resources/2", "-", json);
  const auto second = compiled(json, first.get());
  EXPECT_EQ(second->find_cluster("orders")->index, orders);
  EXPECT_EQ(second->find_cluster("application"), nullptr);
  EXPECT_EQ(second->clusters.size(), 2u);
  // It comes back: as somebody new.
  const auto third = compiled(testing::example(), second.get());
  EXPECT_EQ(third->find_cluster("orders"), first->find_cluster("orders"));
  EXPECT_EQ(third->find_cluster("application")->index, 2u);
  EXPECT_EQ(third->clusters.size(), 3u);
}

TEST(Sharing, AReferenceThatAppearsOrVanishesIsNoticed) {
  nlohmann::json without = changed("/static_resources/3", "-");
  const auto first = compiled(testing::example());
  const Outcome second = compile_json(without, first.get());
  EXPECT_EQ(second.problems,
            "static_resources[2] Listener \"inbound\": filter_chains[0].filters[0].typed_config."
            "route_config.virtual_hosts[0].routes[0].route.cluster: cluster \"application\" does "
            "not exist\n");
}

}  // namespace
}  // namespace tulle::config
