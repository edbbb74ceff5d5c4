#include "sidecar/routing/destination_name.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tulle::routing {
namespace {

std::string named(std::string_view authority, std::string_view scheme = "http") {
  return std::string(DestinationName(authority, scheme).text());
}

TEST(DestinationName, OneSpellingForEveryAuthority) {
  EXPECT_EQ(named("kitchen:8080"), "kitchen:8080");
  EXPECT_EQ(named("Kitchen.Default.:8080"), "kitchen.default:8080");
  EXPECT_EQ(named("kitchen"), "kitchen:80");
  EXPECT_EQ(named("kitchen", "https"), "kitchen:443");
  EXPECT_EQ(named("[2001:DB8::1]"), "[2001:db8::1]:80");
  EXPECT_EQ(named("[2001:DB8::1]:8080"), "[2001:db8::1]:8080");
}

TEST(DestinationName, WhatCannotBeOneIsEmpty) {
  EXPECT_EQ(named(""), "");
  EXPECT_EQ(named(":80"), "");
  EXPECT_EQ(named("kitchen:123456"), "");
  EXPECT_EQ(named(std::string(256, 'a')), "");
  EXPECT_EQ(named(std::string(255, 'a')), std::string(255, 'a') + ":80");
}

TEST(DestinationName, PartsOfANameThatIsSpelledAsAsked) {
  const HostAndPort parts = parse_destination("kitchen.default:8080");
  EXPECT_EQ(parts.host, "kitchen.default");
  EXPECT_EQ(parts.port, 8080);
  EXPECT_EQ(parse_destination("[2001:db8::1]:80").host, "2001:db8::1");
  for (const char* wrong : {"", "kitchen", "kitchen:", "kitchen:0", "kitchen:080", "kitchen:65536",
                            ":80", "Kitchen:80", "kitchen.:80", ".kitchen:80", "kit chen:80",
                            "kit*:80", "a:b:80", "[::1:80", "inbound|80"}) {
    EXPECT_EQ(parse_destination(wrong).port, 0) << wrong;
  }
}

}  // namespace
}  // namespace tulle::routing
