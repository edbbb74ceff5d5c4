#include "core/http/authority.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace tulle {
namespace {

std::string canonical(std::string authority) {
  canonicalise_authority(authority);
  return authority;
}

TEST(Authority, IsCanonicalInLowerCaseWithoutATrailingDot) {
  const std::pair<const char*, const char*> cases[] = {
      {"a", "a"},
      {"A.Example", "a.example"},
      {"A.Example.", "a.example"},
      {"A.Example.:8080", "a.example:8080"},
      {"a:80", "a:80"},
      {".", "."},
      {"a..", "a.."},
      {"", ""},
      {"[FE80::1]:80", "[fe80::1]:80"},
      {"[fe80::1]", "[fe80::1]"},
      {"1.2.3.4.", "1.2.3.4"},
  };
  for (const auto& [given, expected] : cases) {
    EXPECT_EQ(canonical(given), expected) << given;
    EXPECT_EQ(canonical(expected), expected) << given;
    EXPECT_TRUE(same_authority(given, expected, "http")) << given;
  }
}

TEST(Authority, NamesTheSameWithOrWithoutTheDefaultPort) {
  EXPECT_TRUE(same_authority("a:80", "A.", "http"));
  EXPECT_TRUE(same_authority("a:443", "a", "https"));
  EXPECT_FALSE(same_authority("a:443", "a", "http"));
  EXPECT_FALSE(same_authority("a:8080", "a", "http"));
  EXPECT_FALSE(same_authority("a", "b", "http"));
}

}  // namespace
}  // namespace tulle
