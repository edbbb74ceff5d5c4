#include "sidecar/config/last_good.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/config/resource_json.hpp"

namespace tulle::config {
namespace {

constexpr std::string_view kOwner = "spiffe://mesh.local/ns/shop/sa/orders";

LastGood example_state() {
  const BootstrapRead read = read_bootstrap(testing::example_text());
  LastGood state;
  for (const xds::ResourceType type : xds::kResourceTypes) {
    for (const auto& [name, resource] : read.bootstrap->resources.all(type)) {
      xds::Resource pushed = *resource;
      pushed.origin.clear();
      pushed.version = "v7";
      state.resources.put(std::move(pushed));
    }
  }
  state.destinations = {"kitchen:8080", "example.com:80"};
  state.unknown = {"example.com:80"};
  state.addresses["outbound"] = *Address::parse("127.0.0.1", 40001);
  return state;
}

void expect_equal(const LastGood& a, const LastGood& b) {
  for (const xds::ResourceType type : xds::kResourceTypes) {
    ASSERT_EQ(a.resources.all(type).size(), b.resources.all(type).size());
    for (const auto& [name, resource] : a.resources.all(type)) {
      const xds::Resource* other = b.resources.find(type, name);
      ASSERT_NE(other, nullptr);
      EXPECT_EQ(other->bytes, resource->bytes);
      EXPECT_EQ(other->version, resource->version);
      EXPECT_EQ(other->hash, resource->hash);
    }
  }
  EXPECT_EQ(a.destinations, b.destinations);
  EXPECT_EQ(a.unknown, b.unknown);
  EXPECT_EQ(a.addresses, b.addresses);
}

TEST(LastGood, ComesBackAsItWas) {
  const LastGood state = example_state();
  const auto read = decode_last_good(encode(state, kOwner), kOwner);
  ASSERT_TRUE(read) << read.error().detail;
  expect_equal(*read, state);
}

TEST(LastGood, AnotherWorkloadsStateIsNotOurs) {
  const auto read = decode_last_good(encode(example_state(), kOwner), "somebody else");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().detail, "belongs to another workload");
}

TEST(LastGood, EveryDamageIsNoticed) {
  const std::string good = encode(example_state(), kOwner);
  for (size_t i = 0; i < good.size(); i += 7) {
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    EXPECT_FALSE(decode_last_good(flipped, kOwner)) << i;
    EXPECT_FALSE(decode_last_good(std::string_view(good).substr(0, i), kOwner)) << i;
  }
  EXPECT_FALSE(decode_last_good(good + "x", kOwner));
  EXPECT_FALSE(decode_last_good("", kOwner));
}

// A checksum is not a signature: whoever writes it may also write nonsense behind it.
TEST(LastGood, RecordsThatMakeNoSenseAreDamage) {
  const auto sealed = [](const std::string& records) {
    return "tulle-last-good 1\n" + xds::hash_of(records).hex() + records;
  };
  using namespace std::string_literals;
  const std::string owner = "O\x01\0\0\0x"s;
  EXPECT_TRUE(decode_last_good(sealed(owner), "x"));
  for (const std::string& records :
       {""s, "O"s, "O\xff\xff\xff\xff"s, owner + "Z"s, owner + "R\0\0\0\0"s,
        owner + "R\x01\0\0\0x\x01\0\0\0y\0\0\0\0\0\0\0\0"s, owner + "A\0\0\0\0\0\0\0\0"s}) {
    EXPECT_FALSE(decode_last_good(sealed(records), "x"));
  }
}

TEST(LastGood, OnDisk) {
  const auto directory = std::filesystem::temp_directory_path() /
                         ("tulle-last-good-" + std::to_string(::getpid()));
  std::filesystem::remove_all(directory);
  auto read = load_last_good(directory, kOwner);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_FALSE(*read);
  const LastGood state = example_state();
  const auto saved = save_last_good(directory, state, kOwner);
  ASSERT_TRUE(saved) << saved.error().detail;
  read = load_last_good(directory, kOwner);
  ASSERT_TRUE(read && *read);
  expect_equal(**read, state);
  const auto path = directory / kLastGoodFile;
  struct stat facts {};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  std::ofstream(path) << "no such thing";
  read = load_last_good(directory, kOwner);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().detail, path.string() + " is not of this version, or damaged");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tulle::config
