#include "sidecar/config/hold_back.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "core/net/tls.hpp"
#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/routing/route_clusters.hpp"

namespace tulle::config {
namespace {

using nlohmann::json;
using xds::ResourceKey;
using xds::ResourceType;

xds::Resource resource(const json& value, const std::string& origin = "") {
  Problems problems;
  auto read = resource_from_json(value.dump(), origin, problems);
  EXPECT_TRUE(read) << to_text(problems);
  return *read;
}

std::string type(const std::string& name) { return "type.googleapis.com/" + name; }

json manager(json routes, bool on_demand = false) {
  json filters = json::array();
  const std::string http = "envoy.extensions.filters.http.";
  if (on_demand) {
    filters.push_back({{"name", "on_demand"},
                       {"typed_config", {{"@type", type(http + "on_demand.v3.OnDemand")}}}});
  }
  filters.push_back(
      {{"name", "router"}, {"typed_config", {{"@type", type(http + "router.v3.Router")}}}});
  routes["@type"] = type(
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
  routes["http_filters"] = filters;
  return routes;
}

json virtual_hosts(const std::vector<std::string>& clusters) {
  json routes = json::array();
  for (size_t i = 0; i < clusters.size(); ++i) {
    routes.push_back({{"match", {{"prefix", i + 1 == clusters.size() ? "/" : "/" + clusters[i]}}},
                      {"route", {{"cluster", clusters[i]}}}});
  }
  return json::array({{{"name", "all"}, {"domains", {"*"}}, {"routes", routes}}});
}

json socket(const std::string& ip, int port) {
  return {{"socket_address", {{"address", ip}, {"port_value", port}}}};
}

json outbound() {
  return {{"@type", type("envoy.config.listener.v3.Listener")},
          {"name", "outbound"},
          {"traffic_direction", "OUTBOUND"},
          {"address", socket("127.0.0.1", 15001)},
          {"filter_chains",
           {{{"filters",
              {{{"name", "http"}, {"typed_config", manager({{"route_config", json::object()}}, true)}}}}}}}};
}

json inbound(int port = 15006) {
  json listener = outbound();
  listener["name"] = "inbound";
  listener["traffic_direction"] = "INBOUND";
  listener["address"] = socket("127.0.0.1", port);
  listener["filter_chains"][0]["filters"][0]["typed_config"] =
      manager({{"route_config", {{"virtual_hosts", virtual_hosts({"application"})}}}});
  listener["filter_chains"][0]["transport_socket"] = json::parse(R"({
      "name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
          "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": {"ads": {}}}],
          "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": {"ads": {}}}}}})");
  return listener;
}

json application() {
  return {{"@type", type("envoy.config.cluster.v3.Cluster")},
          {"name", "application"},
          {"load_assignment",
           {{"cluster_name", "application"},
            {"endpoints",
             {{{"lb_endpoints", {{{"endpoint", {{"address", socket("127.0.0.1", 8080)}}}}}}}}}}}};
}

json destination(const std::string& name) {
  return {{"@type", type("envoy.config.listener.v3.Listener")},
          {"name", name},
          {"api_listener",
           {{"api_listener",
             manager({{"rds", {{"route_config_name", "to " + name},
                               {"config_source", {{"ads", json::object()}}}}}})}}}};
}

json table(const std::string& name, const std::vector<std::string>& clusters) {
  return {{"@type", type("envoy.config.route.v3.RouteConfiguration")},
          {"name", "to " + name},
          {"virtual_hosts", virtual_hosts(clusters)}};
}

json cluster(const std::string& name) {
  return {{"@type", type("envoy.config.cluster.v3.Cluster")},
          {"name", name},
          {"type", "EDS"},
          {"eds_cluster_config", {{"eds_config", {{"ads", json::object()}}}}}};
}

json endpoints(const std::string& name, int port) {
  return {{"@type", type("envoy.config.endpoint.v3.ClusterLoadAssignment")},
          {"cluster_name", name},
          {"endpoints",
           {{{"lb_endpoints", {{{"endpoint", {{"address", socket("10.0.0.7", port)}}}}}}}}}};
}

// What can be reached, by names: the same whatever indexes clusters have.
std::string shape(const Snapshot& snapshot) {
  std::string text;
  const auto add_routes = [&](const routing::RouteTable& routes) {
    std::set<std::string> names;
    for (const ClusterIndex index : routing::clusters_of(routes)) {
      EXPECT_LT(index, snapshot.clusters.size());
      EXPECT_NE(snapshot.clusters[index], nullptr) << "a route to a cluster that is not there";
      if (snapshot.clusters[index] != nullptr) names.insert(snapshot.clusters[index]->name);
    }
    for (const std::string& name : names) text += " " + name;
    text += "\n";
  };
  for (const auto& listener : snapshot.listeners) {
    text += "listener " + listener->name + " " + listener->address.to_string();
    add_routes(*listener->routes);
  }
  for (const Destination& each : snapshot.destinations->all()) {
    text += "destination " + each.name + " " + each.version;
    if (each.routes != nullptr) add_routes(*each.routes);
  }
  for (const auto& [name, index] : snapshot.cluster_names) {
    EXPECT_EQ(snapshot.clusters[index]->name, name);
    EXPECT_EQ(snapshot.clusters[index]->index, index);
    text += "cluster " + name;
    for (const EndpointConfig& endpoint : snapshot.clusters[index]->endpoints) {
      text += " " + endpoint.address.to_string();
    }
    text += "\n";
  }
  return text + snapshot.version + "\n";
}

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

// A mesh in which destinations share clusters, as one list of resources.
std::vector<xds::Resource> random_mesh(std::mt19937& random) {
  std::vector<xds::Resource> all{resource(outbound()), resource(inbound()),
                                 resource(application())};
  const size_t count = 2 + random() % 5;
  for (size_t i = 0; i < count; ++i) {
    const std::string name = "s" + std::to_string(i) + ":80";
    std::vector<std::string> clusters{name};
    for (size_t more = random() % 3; more > 0; --more) {
      const std::string other = "s" + std::to_string(random() % count) + ":80";
      if (std::ranges::find(clusters, other) == clusters.end()) clusters.push_back(other);
    }
    all.push_back(resource(destination(name)));
    all.push_back(resource(table(name, clusters)));
    all.push_back(resource(cluster(name)));
    all.push_back(resource(endpoints(name, 1 + static_cast<int>(random() % 9))));
  }
  return all;
}

std::set<std::string> names_of(const Snapshot& snapshot) {
  std::set<std::string> names;
  for (const Destination& each : snapshot.destinations->all()) names.insert(each.name);
  return names;
}

TEST(HoldBackAnyOrder, EndsInTheSnapshotOfAllAtOnce) {
  const Materials materials = testing::test_materials();
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    // An older mesh is in force, or being replaced, while the new one arrives.
    std::vector<xds::Resource> arriving = random_mesh(random);
    std::vector<xds::Resource> former = random_mesh(random);
    std::shuffle(arriving.begin(), arriving.end(), random);
    Pushed pushed;
    std::shared_ptr<const Snapshot> snapshot;
    if (seed % 2 == 0) {
      for (const xds::Resource& each : former) pushed.resources.put(each);
      snapshot = compile_holding_back({}, pushed, materials, nullptr).snapshot;
    }
    std::set<ResourceKey> wanted;
    for (const xds::Resource& each : arriving) wanted.insert({each.type, each.name});
    for (const xds::Resource& each : arriving) {
      pushed.resources.put(each);
      // Something that is not part of the new mesh may go at any time.
      if (!former.empty() && random() % 2 == 0) {
        const xds::Resource& gone = former[random() % former.size()];
        if (!wanted.contains({gone.type, gone.name})) {
          pushed.resources.remove(gone.type, gone.name);
        }
      }
      if (random() % 3 == 0) continue;  // several arrive together
      Merged merged = compile_holding_back({}, pushed, materials, snapshot.get());
      EXPECT_TRUE(merged.refusals.empty()) << "seed " << seed;
      // What was whole before stays reachable while it is pushed.
      for (const std::string& name : snapshot ? names_of(*snapshot) : std::set<std::string>()) {
        if (pushed.resources.find(ResourceType::listener, name) == nullptr) continue;
        EXPECT_NE(merged.snapshot->find_destination(name), nullptr) << "seed " << seed;
      }
      snapshot = merged.snapshot;
      shape(*snapshot);
    }
    for (const xds::Resource& each : former) {
      if (!wanted.contains({each.type, each.name})) pushed.resources.remove(each.type, each.name);
    }
    const Merged last = compile_holding_back({}, pushed, materials, snapshot.get());
    EXPECT_TRUE(last.held.empty()) << "seed " << seed;
    const Merged at_once = compile_holding_back({}, pushed, materials, nullptr);
    EXPECT_EQ(shape(*last.snapshot), shape(*at_once.snapshot)) << "seed " << seed;
  }
}

// Breaks one resource in a way that its own compile step sees.
xds::Resource broken(const xds::Resource& good) {
  json value = json::parse(resource_to_json(good));
  switch (good.type) {
    case ResourceType::listener: value["stat_prefix"] = "x"; value["freebind"] = true; break;
    case ResourceType::route: value["virtual_hosts"][0]["domains"] = {"a*b"}; break;
    case ResourceType::cluster: value["lb_policy"] = "MAGLEV"; break;
    case ResourceType::endpoints: value["endpoints"][0]["priority"] = 1; break;
    case ResourceType::secret: break;
  }
  return resource(value);
}

TEST(HoldBackFaults, ABadResourceTakesDownNothingElse) {
  const Materials materials = testing::test_materials();
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<xds::Resource> all = random_mesh(random);
    Pushed pushed;
    for (const xds::Resource& each : all) pushed.resources.put(each);
    const Merged whole = compile_holding_back({}, pushed, materials, nullptr);
    ASSERT_TRUE(whole.held.empty());
    const xds::Resource bad = broken(all[random() % all.size()]);
    pushed.resources.put(bad);

    // With a former form everything that was there is there still.
    const Merged later = compile_holding_back({}, pushed, materials, whole.snapshot.get());
    EXPECT_EQ(shape(*later.snapshot), shape(*whole.snapshot)) << "seed " << seed << bad.name;
    ASSERT_EQ(later.refusals.size(), 1u) << "seed " << seed;
    EXPECT_EQ(later.refusals[0].resource, ResourceKey(bad.type, bad.name));

    // Without one, whatever does not lead to the bad resource is there.
    const Merged fresh = compile_holding_back({}, pushed, materials, nullptr);
    shape(*fresh.snapshot);
    for (const Destination& each : whole.snapshot->destinations->all()) {
      bool touched = each.name == bad.name || "to " + each.name == bad.name;
      for (const ClusterIndex index : routing::clusters_of(*each.routes)) {
        touched |= bad.type != ResourceType::listener && bad.type != ResourceType::route &&
                   whole.snapshot->cluster(index).name == bad.name;
      }
      EXPECT_EQ(fresh.snapshot->find_destination(each.name) == nullptr, touched)
          << "seed " << seed << " " << each.name << " " << bad.name;
    }
  }
}

}  // namespace
}  // namespace tulle::config
