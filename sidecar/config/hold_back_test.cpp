#include "sidecar/config/hold_back.hpp"

#include <gtest/gtest.h>

#include "core/net/tls.hpp"
#include "sidecar/config/hold_back_fixture_test.hpp"

namespace tulle::config {
namespace {

using nlohmann::json;
using testing::application;
using testing::cluster;
using testing::destination;
using testing::endpoints;
using testing::inbound;
using testing::manager;
using testing::outbound;
using testing::resource;
using testing::shape;
using testing::socket;
using testing::table;
using testing::type;
using testing::virtual_hosts;
using xds::ResourceKey;
using xds::ResourceType;

class HoldBack : public ::testing::Test {
 protected:
  // Every step looks at the invariants.
  const Merged& push() {
    merged_ = compile_holding_back(fixed_, pushed_, materials_, snapshot_.get());
    snapshot_ = merged_.snapshot;
    shape(*snapshot_);
    return merged_;
  }
  void put(const json& value) { pushed_.resources.put(resource(value)); }
  void put_service(const std::string& name, int port = 1) {
    put(destination(name));
    put(table(name, {name}));
    put(cluster(name));
    put(endpoints(name, port));
  }
  const Destination* find(const std::string& name) { return snapshot_->find_destination(name); }
  std::string first_port(const std::string& cluster) {
    const ClusterConfig* found = snapshot_->find_cluster(cluster);
    return found == nullptr || found->endpoints.empty()
               ? "none"
               : std::to_string(found->endpoints[0].address.port());
  }
  std::string refusals() {
    std::string text;
    for (const xds::Refusal& each : merged_.refusals) {
      text += std::string(xds::short_name(each.resource.first)) + " " + each.resource.second +
              ": " + each.text + "\n";
    }
    return text;
  }
  std::string held() {
    std::string text;
    for (const HeldBack& each : merged_.held) {
      text += std::string(xds::short_name(each.resource.first)) + " " + each.resource.second +
              (each.has_former ? " (former): " : ": ") + each.why + "\n";
    }
    return text;
  }

  xds::ResourceSet fixed_;
  Pushed pushed_;
  Materials materials_ = testing::test_materials();
  std::shared_ptr<const Snapshot> snapshot_;
  Merged merged_;
};

TEST_F(HoldBack, NothingIsASnapshotToo) {
  push();
  EXPECT_TRUE(snapshot_->listeners.empty());
  EXPECT_EQ(find("kitchen:80"), nullptr);
  EXPECT_EQ(snapshot_->generation, 1u);
}

TEST_F(HoldBack, ADestinationEntersWhenAllItRefersToIsThere) {
  put(destination("kitchen:80"));
  push();
  EXPECT_EQ(find("kitchen:80"), nullptr);
  EXPECT_EQ(refusals(), "");
  EXPECT_EQ(held(),
            "Listener kitchen:80: api_listener.api_listener.rds.route_config_name: "
            "RouteConfiguration \"to kitchen:80\" does not exist\n");
  put(table("kitchen:80", {"kitchen:80"}));
  put(cluster("kitchen:80"));
  push();
  EXPECT_EQ(find("kitchen:80"), nullptr);
  EXPECT_EQ(snapshot_->find_cluster("kitchen:80"), nullptr);
  EXPECT_EQ(refusals(), "");
  put(endpoints("kitchen:80", 1));
  push();
  ASSERT_NE(find("kitchen:80"), nullptr);
  EXPECT_EQ(find("kitchen:80")->kind, Destination::Kind::mesh);
  EXPECT_EQ(held(), "");
  EXPECT_TRUE(merged_.in_use.empty());
}

TEST_F(HoldBack, ARouteToAClusterThatHasNotArrivedKeepsTheFormerForm) {
  put_service("kitchen:80");
  put_service("other:80");
  push();
  const auto former = find("kitchen:80")->routes;
  put(table("kitchen:80", {"v2", "kitchen:80"}));
  put(endpoints("other:80", 2));
  push();
  EXPECT_EQ(find("kitchen:80")->routes, former);
  EXPECT_EQ(first_port("other:80"), "2") << "the rest goes on";
  EXPECT_EQ(refusals(), "");
  put(cluster("v2"));
  put(endpoints("v2", 3));
  push();
  EXPECT_NE(find("kitchen:80")->routes, former);
  EXPECT_EQ(held(), "");
}

TEST_F(HoldBack, ARemovedClusterStaysWhileAFormerFormNeedsIt) {
  put_service("kitchen:80");
  push();
  const ClusterIndex index = snapshot_->cluster_names.at("kitchen:80");
  pushed_.resources.remove(ResourceType::cluster, "kitchen:80");
  push();
  ASSERT_NE(find("kitchen:80"), nullptr);
  EXPECT_EQ(first_port("kitchen:80"), "1");
  EXPECT_TRUE(merged_.in_use.contains(ResourceKey(ResourceType::cluster, "kitchen:80")));
  EXPECT_TRUE(merged_.in_use.contains(ResourceKey(ResourceType::endpoints, "kitchen:80")));
  push();  // and goes on staying
  EXPECT_EQ(snapshot_->cluster_names.at("kitchen:80"), index);
  put(table("kitchen:80", {"new"}));
  put(cluster("new"));
  put(endpoints("new", 2));
  push();
  EXPECT_EQ(snapshot_->find_cluster("kitchen:80"), nullptr);
  EXPECT_NE(snapshot_->cluster_names.at("new"), index);
}

TEST_F(HoldBack, AFaultIsRefusedAndHoldsBackItsOwnOnly) {
  put_service("kitchen:80");
  put_service("other:80");
  push();
  json bad = endpoints("kitchen:80", 0);
  put(bad);
  put(endpoints("other:80", 2));
  push();
  EXPECT_EQ(first_port("kitchen:80"), "1");
  EXPECT_EQ(first_port("other:80"), "2");
  EXPECT_EQ(refusals(),
            "ClusterLoadAssignment kitchen:80: endpoints[0].lb_endpoints[0].endpoint.address."
            "socket_address.port_value: must be from 1 to 65535\n");
  json unsupported = cluster("kitchen:80");
  unsupported["dns_lookup_family"] = "V4_ONLY";
  put(unsupported);
  put(endpoints("kitchen:80", 5));
  push();
  EXPECT_EQ(first_port("kitchen:80"), "1") << "a cluster is held back whole";
  EXPECT_EQ(refusals(), "Cluster kitchen:80: dns_lookup_family: not supported yet\n");
  put(cluster("kitchen:80"));
  push();
  EXPECT_EQ(first_port("kitchen:80"), "5");
}

TEST_F(HoldBack, ADestinationThatIsNoLongerPushedIsGone) {
  put_service("kitchen:80");
  push();
  pushed_.resources.remove(ResourceType::listener, "kitchen:80");
  push();
  EXPECT_EQ(find("kitchen:80"), nullptr);
}

TEST_F(HoldBack, WithoutAnIdentityMutualTlsWaits) {
  materials_.identity.reset();
  put(outbound());
  put(inbound());
  put(application());
  push();
  ASSERT_EQ(snapshot_->listeners.size(), 1u);
  EXPECT_EQ(snapshot_->listeners[0]->name, "outbound");
  EXPECT_TRUE(snapshot_->listeners[0]->on_demand);
  EXPECT_EQ(refusals(), "");
  materials_ = testing::test_materials();
  push();
  ASSERT_EQ(snapshot_->listeners.size(), 2u);
  EXPECT_NE(snapshot_->listeners[0]->tls, nullptr);
}

TEST_F(HoldBack, ARenewedIdentityMakesNewContexts) {
  put(inbound());
  put(application());
  push();
  const auto before = snapshot_->listeners[0]->tls;
  push();
  EXPECT_EQ(snapshot_->listeners[0]->tls, before);
  static const tulle::testing::TestCa ca;
  const auto leaf = ca.issue_spiffe("spiffe://example.org/ns/default/sa/web");
  materials_.identity = Identity{leaf.certificate_pem, leaf.key_pem, ca.pem(), "example.org", ""};
  push();
  EXPECT_NE(snapshot_->listeners[0]->tls, before);
}

TEST_F(HoldBack, TheFileWinsAndTheClashIsReported) {
  const std::string origin = "static_resources[0]";
  fixed_.put(resource(outbound(), origin));
  json other = outbound();
  other["address"] = socket("127.0.0.1", 16001);
  put(other);
  push();
  ASSERT_EQ(snapshot_->listeners.size(), 1u);
  EXPECT_EQ(snapshot_->listeners[0]->address.port(), 15001);
  EXPECT_EQ(refusals(),
            "Listener outbound: static_resources[0] of the file has the same name, and wins\n");
}

TEST_F(HoldBack, TwoListenersOfOneAddress) {
  fixed_.put(resource(outbound(), "static_resources[0]"));
  put(inbound(15001));
  put(application());
  push();
  ASSERT_EQ(snapshot_->listeners.size(), 1u);
  EXPECT_EQ(snapshot_->listeners[0]->name, "outbound");
  EXPECT_EQ(refusals(),
            "Listener inbound: address: 127.0.0.1:15001 is also the address of listener "
            "\"outbound\"\n");
}

TEST_F(HoldBack, AnAddressThatCannotBeHadKeepsTheFormerOne) {
  put(inbound());
  put(application());
  put(outbound());
  push();
  put(inbound(16006));
  pushed_.unusable = {{"inbound", "127.0.0.1:16006 is in use"}};
  push();
  ASSERT_EQ(snapshot_->listeners.size(), 2u);
  EXPECT_EQ(snapshot_->listeners[0]->address.port(), 15006);
  EXPECT_EQ(refusals(), "Listener inbound: address: 127.0.0.1:16006 is in use\n");
}

TEST_F(HoldBack, PushedResourcesNameNoFiles) {
  json listener = inbound();
  listener["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"] =
      json::parse(R"({"tls_certificates": [{"certificate_chain": {"filename": "/etc/passwd"},
                                           "private_key": {"filename": "/etc/shadow"}}]})");
  put(listener);
  put(application());
  push();
  EXPECT_TRUE(snapshot_->listeners.empty());
  EXPECT_NE(refusals().find("/etc/shadow: has not been read"), std::string::npos) << refusals();
}

TEST_F(HoldBack, FaultyDestinations) {
  json named = destination("Kitchen");
  json with_socket = destination("a:80");
  with_socket["address"] = socket("127.0.0.1", 80);
  put(named);
  put(with_socket);
  put(table("Kitchen", {"kitchen:80"}));
  put(table("a:80", {"kitchen:80"}));
  put_service("kitchen:80");
  push();
  EXPECT_EQ(snapshot_->destinations->size(), 1u);
  EXPECT_EQ(refusals(),
            "Listener Kitchen: name: \"Kitchen\" is not <host>:<port>, the host in lower case\n"
            "Listener a:80: address: does not go with api_listener, which has no socket\n");
}

TEST_F(HoldBack, UnknownNamesAreRefusedOrExternal) {
  put_service("kitchen:80");
  pushed_.refused = {"evil.example:80", "kitchen:80"};
  push();
  EXPECT_EQ(find("evil.example:80")->kind, Destination::Kind::refused);
  EXPECT_EQ(find("kitchen:80")->kind, Destination::Kind::mesh);
  pushed_.refused.clear();
  const json inline_destination = {
      {"@type", type("envoy.config.listener.v3.Listener")},
      {"name", "out.example:80"},
      {"api_listener",
       {{"api_listener",
         manager({{"route_config", {{"virtual_hosts", virtual_hosts({"application"})}}}})}}}};
  pushed_.egress.put(resource(inline_destination, std::string(kEgressOrigin)));
  pushed_.egress.put(resource(application(), std::string(kEgressOrigin)));
  push();
  EXPECT_EQ(find("evil.example:80"), nullptr);
  EXPECT_EQ(find("out.example:80")->kind, Destination::Kind::external);
}

TEST_F(HoldBack, UnchangedNodesAreShared) {
  put_service("kitchen:80");
  put_service("other:80");
  push();
  const auto before = snapshot_;
  put(endpoints("other:80", 2));
  push();
  EXPECT_EQ(snapshot_->destinations, before->destinations) << "endpoints change no destination";
  EXPECT_EQ(snapshot_->version, before->version);
  json faster = cluster("other:80");
  faster["connect_timeout"] = "0.5s";
  put(faster);
  push();
  EXPECT_EQ(find("kitchen:80")->version, before->find_destination("kitchen:80")->version);
  EXPECT_NE(find("other:80")->version, before->find_destination("other:80")->version);
}

}  // namespace
}  // namespace tulle::config
