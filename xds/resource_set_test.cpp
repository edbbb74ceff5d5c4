#include "xds/resource_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "xds/catalog.hpp"

namespace tulle::xds {
namespace {

Resource cluster(const std::string& name, const std::string& bytes) {
  Resource resource;
  resource.type = ResourceType::cluster;
  resource.name = name;
  resource.bytes = bytes;
  return resource;
}

TEST(ResourceSet, OneResourceOfATypeAndName) {
  ResourceSet set;
  EXPECT_TRUE(set.empty());
  set.put(cluster("b", "1"));
  set.put(cluster("a", "2"));
  set.put(cluster("b", "3"));
  EXPECT_FALSE(set.empty());
  EXPECT_EQ(set.all(ResourceType::cluster).size(), 2u);
  EXPECT_EQ(set.all(ResourceType::cluster).begin()->first, "a");
  ASSERT_NE(set.find(ResourceType::cluster, "b"), nullptr);
  EXPECT_EQ(set.find(ResourceType::cluster, "b")->bytes, "3");
  EXPECT_EQ(set.find(ResourceType::listener, "b"), nullptr);
  set.remove(ResourceType::cluster, "b");
  set.remove(ResourceType::cluster, "b");
  EXPECT_EQ(set.find(ResourceType::cluster, "b"), nullptr);
}

TEST(ResourceSet, ACopyIsIndependent) {
  ResourceSet set;
  set.put(cluster("a", "1"));
  ResourceSet copy = set;
  copy.put(cluster("a", "2"));
  EXPECT_EQ(set.find(ResourceType::cluster, "a")->bytes, "1");
}

TEST(ResourceSet, TheVersionIsTheContentUnlessGiven) {
  ResourceSet set;
  set.put(cluster("a", "1"));
  set.put(cluster("b", "1"));
  Resource named = cluster("c", "1");
  named.version = "v7";
  set.put(named);
  const Resource* a = set.find(ResourceType::cluster, "a");
  EXPECT_EQ(a->version, a->hash.hex());
  EXPECT_EQ(a->version, set.find(ResourceType::cluster, "b")->version);
  EXPECT_EQ(set.find(ResourceType::cluster, "c")->version, "v7");
}

TEST(ResourceType, UrlsBothWays) {
  for (const ResourceType type : kResourceTypes) EXPECT_EQ(type_of_url(type_url(type)), type);
  EXPECT_FALSE(type_of_url("type.googleapis.com/envoy.config.cluster.v3.Clusters"));
  EXPECT_FALSE(type_of_url(""));
}

TEST(Catalog, KnowsTheResourceTypes) {
  for (const ResourceType type : kResourceTypes) {
    EXPECT_TRUE(std::ranges::binary_search(known_messages(), message_of_url(type_url(type))));
  }
  EXPECT_EQ(message_of_url("plain"), "plain");
  EXPECT_EQ(message_of_url("a/b/c.D"), "c.D");
}

TEST(ContentHash, BoundariesCount) {
  const auto hash = [](std::initializer_list<std::string_view> parts) {
    HashBuilder builder;
    for (const std::string_view part : parts) builder.add(part);
    return builder.finish();
  };
  EXPECT_EQ(hash({"ab", "c"}), hash({"ab", "c"}));
  EXPECT_NE(hash({"ab", "c"}), hash({"a", "bc"}));
  EXPECT_NE(hash({}), hash({""}));
  EXPECT_EQ(hash_of("x").hex().size(), 32u);
}

}  // namespace
}  // namespace tulle::xds
