// Resources that arrive in any order, and a faulty one among many.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sidecar/config/hold_back.hpp"
#include "sidecar/config/hold_back_fixture_test.hpp"

namespace tulle::config {
namespace {

using nlohmann::json;
using testing::application;
using testing::cluster;
using testing::destination;
using testing::endpoints;
using testing::inbound;
using testing::outbound;
using testing::resource;
using testing::shape;
using testing::table;
using xds::ResourceKey;
using xds::ResourceType;

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
