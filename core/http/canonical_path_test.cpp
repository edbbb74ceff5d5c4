#include "core/http/canonical_path.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace tulle {
namespace {

constexpr PathRules kExact{};
constexpr PathRules kStrict{.merge_slashes = true, .refuse_escaped_slashes = true};

std::optional<std::string> canonical(std::string path, const PathRules& rules) {
  if (canonicalise_path(path, rules) != nullptr) return std::nullopt;
  return path;
}

struct Case {
  const char* path;
  const char* exact;   // null: refused
  const char* strict;
};

const Case kCases[] = {
    {"/", "/", "/"},
    {"", "", ""},
    {"*", "*", "*"},
    {"/a/b", "/a/b", "/a/b"},
    {"/a?", "/a?", "/a?"},
    // The query is nobody's business.
    {"/a?x=/../b&y=%zz&z=//%00", "/a?x=/../b&y=%zz&z=//%00", "/a?x=/../b&y=%zz&z=//%00"},
    {"/./a?/./", "/a?/./", "/a?/./"},
    // Escapes.
    {"/%61dmin", "/admin", "/admin"},
    {"/%41%2d%2E%5f%7e%39", "/A-._~9", "/A-._~9"},
    {"/a%20b%3Fc%3a", "/a%20b%3Fc%3a", "/a%20b%3Fc%3a"},
    {"/%25%32%65", "/%252e", "/%252e"},
    {"/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a"},
    {"/%c3%a9", "/%c3%a9", "/%c3%a9"},
    {"/%c0%af", "/%c0%af", "/%c0%af"},
    {"/%", nullptr, nullptr},
    {"/%a", nullptr, nullptr},
    {"/%a?b", nullptr, nullptr},
    {"/%g0", nullptr, nullptr},
    {"/%0g", nullptr, nullptr},
    {"/a%00b", nullptr, nullptr},
    {"/a%5cb", nullptr, nullptr},
    {"/a%5Cb", nullptr, nullptr},
    {"/a%2fb", "/a%2fb", nullptr},
    {"/a%2Fb", "/a%2Fb", nullptr},
    {"/a%2f..%2fb", "/a%2f..%2fb", nullptr},
    {"/a%2f%2e%2e", "/a%2f..", nullptr},
    // Dots.
    {"/.", "/", "/"},
    {"/./", "/", "/"},
    {"/a/.", "/a/", "/a/"},
    {"/a/..", "/", "/"},
    {"/a/../", "/", "/"},
    {"/a/b/..", "/a/", "/a/"},
    {"/a/b/../c", "/a/c", "/a/c"},
    {"/x/../admin/x", "/admin/x", "/admin/x"},
    {"/x/%2e%2E/admin", "/admin", "/admin"},
    {"/x/.%2e/admin", "/admin", "/admin"},
    {"/%2e/admin/x", "/admin/x", "/admin/x"},
    {"/a/./b/./c/.", "/a/b/c/", "/a/b/c/"},
    {"/a/b/c/../../d", "/a/d", "/a/d"},
    {"/...", "/...", "/..."},
    {"/.a/..b/c../.", "/.a/..b/c../", "/.a/..b/c../"},
    {"/..", nullptr, nullptr},
    {"/../", nullptr, nullptr},
    {"/a/../../b", nullptr, nullptr},
    {"/a/../..", nullptr, nullptr},
    {"/%2e%2e/a", nullptr, nullptr},
    {"/a/..?x", "/?x", "/?x"},
    {"/..?x", nullptr, nullptr},
    {"/x/..;/admin", "/x/..;/admin", nullptr},
    {"/x/.;a=1/admin", "/x/.;a=1/admin", nullptr},
    {"/x/%2e%2e;/admin", "/x/..;/admin", nullptr},
    {"/x;v=1/..", "/", "/"},
    {"/admin;v=1/x", "/admin;v=1/x", "/admin;v=1/x"},
    // Slashes.
    {"//", "//", "/"},
    {"//a", "//a", "/a"},
    {"/a//b///c", "/a//b///c", "/a/b/c"},
    {"/a//../b", "/a/b", "/a/b"},
    {"//..", "/", "/"},
    {"//../..", nullptr, nullptr},
    {"/.//a", "//a", "/a"},
    {"/a//?b//c", "/a//?b//c", "/a/?b//c"},
    // Bytes that no path may hold.
    {"/a\\b", nullptr, nullptr},
    {"/a#b", nullptr, nullptr},
    {"/a b", nullptr, nullptr},
    {"/a\x7f", nullptr, nullptr},
    {"/a\x01", nullptr, nullptr},
    {"/\xc0\xaf", nullptr, nullptr},
    {"admin", nullptr, nullptr},
    {"?x", nullptr, nullptr},
    {"**", nullptr, nullptr},
    {"http://a/b", nullptr, nullptr},
};

TEST(CanonicalPath, IsWhatTheTableSays) {
  for (const Case& c : kCases) {
    const auto text = [](const char* path) {
      return path == nullptr ? std::nullopt : std::optional<std::string>(path);
    };
    EXPECT_EQ(canonical(c.path, kExact), text(c.exact)) << c.path;
    EXPECT_EQ(canonical(c.path, kStrict), text(c.strict)) << c.path << " (strict)";
  }
}

TEST(CanonicalPath, IsCanonicalExactlyWhenNothingHasToBeDone) {
  for (const Case& c : kCases) {
    for (const PathRules& rules : {kExact, kStrict}) {
      const std::optional<std::string> once = canonical(c.path, rules);
      EXPECT_EQ(is_canonical_path(c.path, rules), once == c.path) << c.path;
      if (!once) continue;
      EXPECT_TRUE(is_canonical_path(*once, rules)) << c.path;
      EXPECT_EQ(canonical(*once, rules), once) << c.path;
    }
  }
}

TEST(CanonicalPath, ACleanPathStaysWhereItIs) {
  std::string path = "/pkg.Service/Method/that/needs/the/heap?and=a%20query";
  const char* const where = path.data();
  EXPECT_EQ(canonicalise_path(path, kStrict), nullptr);
  EXPECT_EQ(path.data(), where);
}

}  // namespace
}  // namespace tulle
