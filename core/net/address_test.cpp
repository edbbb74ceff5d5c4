#include "core/net/address.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>

namespace tulle {
namespace {

TEST(Address, ParsesAndPrints) {
  for (const char* text : {"127.0.0.1:80", "0.0.0.0:0", "[::1]:443", "[2001:db8::5]:65535"}) {
    auto address = Address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
    EXPECT_TRUE(address->is_set());
  }
  EXPECT_EQ(Address::parse("::1", 80)->to_string(), "[::1]:80");
  EXPECT_EQ(Address().to_string(), "unset");
  EXPECT_FALSE(Address().is_set());
}

TEST(Address, RefusesWhatIsNone) {
  for (const char* text : {"", ":", ":80", "localhost:80", "127.0.0.1", "127.0.0.1:",
                           "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:8 ",
                           "1.2.3:80", "::1:80",
                           "[::1]", "[::1:80", "[127.0.0.1]:80", "[::1]80", "256.0.0.1:80",
                           "01.2.3.4:80", "[::1%nosuchinterface]:80", "127.0.0.1:000080"}) {
    auto address = Address::parse(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, Code::invalid_config);
    EXPECT_NE(address.error().detail.find(text), std::string::npos);
  }
}

TEST(Address, RoundTripsThroughTheSocketForm) {
  for (const char* text : {"10.1.2.3:4567", "[2001:db8::5]:1"}) {
    const Address address = *Address::parse(text);
    sockaddr_storage raw;
    address.to(raw);
    EXPECT_EQ(Address::from(reinterpret_cast<const sockaddr&>(raw)), address);
  }
}

TEST(Address, MappedIpv4IsIpv4) {
  const Address plain = *Address::parse("10.0.0.1:80");
  EXPECT_EQ(*Address::parse("[::ffff:10.0.0.1]:80"), plain);
  sockaddr_storage raw{};
  auto& in = reinterpret_cast<sockaddr_in6&>(raw);
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(80);
  const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  std::copy_n(mapped, 16, in.sin6_addr.s6_addr);
  EXPECT_EQ(Address::from(reinterpret_cast<const sockaddr&>(raw)), plain);
}

TEST(Address, Loopback) {
  EXPECT_TRUE(Address::parse("127.3.2.1:80")->is_loopback());
  EXPECT_TRUE(Address::parse("[::1]:80")->is_loopback());
  EXPECT_FALSE(Address::parse("10.0.0.1:80")->is_loopback());
  EXPECT_FALSE(Address::parse("[::2]:80")->is_loopback());
  EXPECT_FALSE(Address::parse("[fe00::1]:80")->is_loopback());
}

TEST(Address, NeighboursHashDifferently) {
  std::set<size_t> low_bits;
  for (int host = 0; host < 16; ++host) {
    for (uint16_t port = 8000; port < 8016; ++port) {
      low_bits.insert(Address::parse("10.0.0." + std::to_string(host), port)->hash() % 4096);
    }
  }
  EXPECT_GT(low_bits.size(), 225u);  // of 256; a good hash leaves about 248
  EXPECT_EQ(Address::parse("10.0.0.1:80")->hash(), Address::parse("10.0.0.1:80")->hash());
}

TEST(Address, WithPort) {
  EXPECT_EQ(Address::parse("10.0.0.1:80")->with_port(81), *Address::parse("10.0.0.1:81"));
}

}  // namespace
}  // namespace tulle
