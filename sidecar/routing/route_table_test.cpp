#include "sidecar/routing/route_table.hpp"

#include <gtest/gtest.h>

#include "sidecar/routing/authority.hpp"

namespace tulle::routing {
namespace {

Route direct(const std::string& name, const std::string& prefix = "/") {
  Route route;
  route.name = name;
  route.match.path.text.kind = StringMatch::Kind::prefix;
  route.match.path.text.text = prefix;
  route.action = DirectResponse{};
  return route;
}

VirtualHost host(const std::string& name, std::vector<std::string> domains,
                 std::vector<Route> routes = {}) {
  if (routes.empty()) routes.push_back(direct(name));
  return {name, std::move(domains), std::move(routes)};
}

std::string match_name(const RouteTable& table, std::string_view authority,
                       std::string_view path = "/", std::string_view scheme = "http",
                       uint64_t random = 0) {
  static const Fields kNone;
  const Route* route =
      table.match(RequestView{"GET", scheme, authority, path, &kNone}, random);
  return route == nullptr ? "-" : route->name;
}

TEST(RouteTable, ChoosesTheHostByTheMostSpecificDomain) {
  std::vector<VirtualHost> hosts;
  hosts.push_back(host("any", {"*"}));
  hosts.push_back(host("suffix", {"*.example.org"}));
  hosts.push_back(host("long-suffix", {"*.a.example.org"}));
  hosts.push_back(host("dash-suffix", {"*-b.example.org"}));
  hosts.push_back(host("prefix", {"shop.*"}));
  hosts.push_back(host("long-prefix", {"shop.eu.*"}));
  hosts.push_back(host("exact", {"WWW.example.org", "web", "web:8080", "[2001:db8::1]:80"}));
  const RouteTable table("t", std::move(hosts), false);

  struct {
    std::string_view authority, host;
  } const cases[] = {
      {"www.example.org", "exact"},
      {"WWW.Example.ORG", "exact"},
      {"www.example.org.", "exact"},
      {"www.example.org:80", "exact"},
      {"www.example.org.:80", "exact"},
      {"www.example.org:81", "any"},
      {"web", "exact"},
      {"web:80", "exact"},
      {"web:8080", "exact"},
      {"web:8081", "any"},
      {"[2001:db8::1]:80", "exact"},
      {"[2001:db8::1]", "any"},
      {"x.example.org", "suffix"},
      {"x.y.example.org", "suffix"},
      {"x.example.org:80", "suffix"},
      {"x.a.example.org", "long-suffix"},
      {".a.example.org", "suffix"},  // '*' stands for something
      {".example.org", "any"},
      {"example.org", "any"},
      {"x-b.example.org", "dash-suffix"},
      {"shop.com", "prefix"},
      {"shop.eu.com", "long-prefix"},
      {"shop.", "any"},
      {"shop.example.org", "suffix"},  // suffix before prefix
      {"", "any"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(match_name(table, each.authority), each.host) << each.authority;
  }
  EXPECT_EQ(match_name(table, "web:443", "/", "https"), "exact");
  EXPECT_EQ(match_name(table, "web:80", "/", "https"), "any");
  EXPECT_EQ(match_name(table, std::string(4096, 'a') + ".example.org"), "any");
}

TEST(RouteTable, IgnoresThePortWhenAsked) {
  std::vector<VirtualHost> hosts;
  hosts.push_back(host("web", {"web"}));
  const RouteTable table("t", std::move(hosts), true);
  EXPECT_EQ(match_name(table, "web:1234"), "web");
  EXPECT_EQ(match_name(table, "web"), "web");
  EXPECT_EQ(match_name(table, "web:80a"), "-");
}

TEST(RouteTable, TakesTheFirstRouteThatMatches) {
  std::vector<VirtualHost> hosts;
  hosts.push_back(host("h", {"*"}, {direct("a", "/a"), direct("ab", "/a/b"), direct("rest", "/")}));
  const RouteTable table("t", std::move(hosts), false);
  EXPECT_EQ(match_name(table, "x", "/a/b"), "a");
  EXPECT_EQ(match_name(table, "x", "/A"), "rest");
  EXPECT_EQ(match_name(table, "x", "/b?/a"), "rest");
  EXPECT_EQ(match_name(table, "x", ""), "-");  // plain CONNECT
}

TEST(RouteTable, OnlyARouteForConnectTakesConnect) {
  Route tunnel = direct("tunnel", "");
  tunnel.match.path = {};
  tunnel.match.connect_only = true;
  Route anything = direct("anything", "");
  anything.match.path.text.kind = StringMatch::Kind::prefix;
  std::vector<VirtualHost> hosts;
  hosts.push_back(host("h", {"db:5432"}, {anything, tunnel}));
  const RouteTable table("t", std::move(hosts), false);
  EXPECT_EQ(match_name(table, "db:5432", ""), "tunnel");
  EXPECT_EQ(match_name(table, "db:5432", "/"), "anything");
  EXPECT_EQ(match_name(table, "db:5433", ""), "-");
}

TEST(RouteTable, NoHostIsNoRoute) {
  std::vector<VirtualHost> hosts;
  hosts.push_back(host("web", {"web"}));
  const RouteTable table("t", std::move(hosts), false);
  EXPECT_EQ(match_name(table, "other"), "-");
  EXPECT_EQ(match_name(RouteTable("empty", {}, false), "web"), "-");
}

// Known to AddressSanitizer builds only, which is what the tests run as.
extern "C" __attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void*, size_t), void (*on_free)(const volatile void*));
thread_local size_t allocations = 0;

TEST(RouteTable, MatchingAllocatesNothing) {
  if (__sanitizer_install_malloc_and_free_hooks == nullptr) GTEST_SKIP() << "needs ASan";
  __sanitizer_install_malloc_and_free_hooks([](const volatile void*, size_t) { ++allocations; },
                                            [](const volatile void*) {});
  std::vector<VirtualHost> hosts;
  hosts.push_back(host("exact", {"web.example.org"}, {direct("a", "/other"), direct("b", "/")}));
  hosts.push_back(host("suffix", {"*.example.org"}));
  Route& route = hosts[0].routes[1];
  FieldMatch field;
  field.name = "x-a";
  field.kind = FieldMatch::Kind::text;
  field.text.text = "1,2";
  route.match.fields.push_back(field);
  QueryMatch parameter;
  parameter.name = "q";
  route.match.query.push_back(parameter);
  const RouteTable table("t", std::move(hosts), false);
  Fields fields;
  fields.add("x-a", "1");
  fields.add("x-a", "2");
  const std::string authority = "WEB.example.org:80";
  const RequestView request{"GET", "http", authority, "/p?q=1", &fields};

  const size_t before = allocations;
  const Route* found = table.match(request, 0);
  const Route* other = table.match({"GET", "http", "x.example.org", "/", &fields}, 0);
  EXPECT_EQ(allocations, before);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->name, "b");
  EXPECT_NE(other, nullptr);
  EXPECT_NE(std::make_unique<int>(1), nullptr);
  EXPECT_GT(allocations, before);  // the hook works
}

struct PathCase {
  StringMatch::Kind kind;
  bool segments;
  bool ignore_case;
  std::string_view pattern;
  std::string_view path;
  bool matches;
};

TEST(PathMatch, Table) {
  using Kind = StringMatch::Kind;
  const PathCase cases[] = {
      {Kind::prefix, false, false, "", "/anything", true},
      {Kind::prefix, false, false, "/", "/", true},
      {Kind::prefix, false, false, "/", "*", true},
      {Kind::prefix, true, false, "/", "*", true},
      {Kind::prefix, false, false, "/api", "*", false},
      {Kind::exact, false, false, "/", "*", false},
      {Kind::prefix, false, false, "/api", "/apis", true},
      {Kind::prefix, false, false, "/api/", "/api", false},
      {Kind::exact, false, false, "/api", "/api", true},
      {Kind::exact, false, false, "/api", "/api/", false},
      {Kind::exact, false, true, "/api", "/API", true},
      {Kind::prefix, false, true, "/api", "/API/x", true},
      {Kind::prefix, true, false, "/api", "/api", true},
      {Kind::prefix, true, false, "/api", "/api/x", true},
      {Kind::prefix, true, false, "/api", "/apis", false},
      {Kind::prefix, true, false, "/api", "/ap", false},
      {Kind::regex, false, false, "/v[0-9]+/.*", "/v12/x", true},
      {Kind::regex, false, false, "/v[0-9]+", "/v12/x", false},  // the whole path
  };
  for (const PathCase& each : cases) {
    PathMatch match;
    match.text.kind = each.kind;
    match.text.ignore_case = each.ignore_case;
    match.text.text = each.pattern;
    match.whole_segments = each.segments;
    if (each.kind == Kind::regex) match.text.pattern = *Pattern::compile(each.pattern);
    EXPECT_EQ(match.matches(each.path), each.matches) << each.pattern << " " << each.path;
  }
}

TEST(Forward, PicksByWeight) {
  Forward forward;
  forward.targets.resize(3);
  const uint32_t weights[] = {1, 7, 2};
  for (size_t i = 0; i < 3; ++i) {
    forward.targets[i].cluster = static_cast<ClusterIndex>(i);
    forward.targets[i].weight = weights[i];
  }
  forward.total_weight = 10;
  int counts[3] = {};
  for (uint64_t random = 0; random < 1000; ++random) ++counts[forward.pick(random).cluster];
  EXPECT_EQ(counts[0], 100);
  EXPECT_EQ(counts[1], 700);
  EXPECT_EQ(counts[2], 200);
}

TEST(RouteMatch, FractionUsesTheUpperHalf) {
  RouteMatch match;
  match.path.text.kind = StringMatch::Kind::prefix;
  match.fraction = Fraction{25, 100};
  const Fields none;
  const RequestView request{"GET", "http", "x", "/", &none};
  int hits = 0;
  for (uint64_t i = 0; i < 100; ++i) hits += match.matches(request, split_path("/"), i << 32);
  EXPECT_EQ(hits, 25);
}

TEST(RouteMatch, GrpcOnly) {
  RouteMatch match;
  match.path.text.kind = StringMatch::Kind::prefix;
  match.grpc_only = true;
  const auto matches = [&](std::string_view type) {
    Fields fields;
    if (!type.empty()) fields.add("content-type", type);
    return match.matches({"POST", "http", "x", "/s/m", &fields}, split_path("/s/m"), 0);
  };
  EXPECT_TRUE(matches("application/grpc"));
  EXPECT_TRUE(matches("application/grpc+proto"));
  EXPECT_FALSE(matches("application/grpc-web"));
  EXPECT_FALSE(matches("application/json"));
  EXPECT_FALSE(matches(""));
}

TEST(Rewrite, ReplacesWhatWasMatched) {
  struct {
    StringMatch::Kind kind;
    bool segments;
    std::string_view pattern, rewrite, path, result;
  } const cases[] = {
      {StringMatch::Kind::prefix, false, "/api", "/v1", "/api/x?q=1", "/v1/x?q=1"},
      {StringMatch::Kind::prefix, false, "/api/", "/", "/api/x", "/x"},
      {StringMatch::Kind::prefix, true, "/api", "/", "/api/x", "/x"},
      {StringMatch::Kind::prefix, true, "/api", "/", "/api", "/"},
      {StringMatch::Kind::prefix, true, "/api", "", "/api?q", "/?q"},
      {StringMatch::Kind::exact, false, "/api", "/new", "/api?q", "/new?q"},
  };
  for (const auto& each : cases) {
    Route route;
    route.match.path.text.kind = each.kind;
    route.match.path.text.text = each.pattern;
    route.match.path.whole_segments = each.segments;
    Forward forward;
    forward.prefix_rewrite = each.rewrite;
    EXPECT_EQ(rewritten_path(route, forward, each.path), each.result);
  }
  EXPECT_EQ(rewritten_path(Route{}, Forward{}, "/a?b"), "/a?b");
}

TEST(Rewrite, ReplacesTheWholePathAndKeepsTheQuery) {
  Forward forward;
  forward.path_rewrite = "/new";
  EXPECT_EQ(rewritten_path(Route{}, forward, "/a/b?c=d"), "/new?c=d");
  EXPECT_EQ(rewritten_path(Route{}, forward, "/a"), "/new");
}

TEST(Redirect, BuildsTheLocation) {
  const auto location = [](Redirect redirect, std::string_view authority, std::string_view path) {
    Route route = direct("r", "/old");
    const Fields none;
    return redirect_location(route, redirect, {"GET", "http", authority, path, &none});
  };
  Redirect https;
  https.scheme = "https";
  EXPECT_EQ(location(https, "web:80", "/old?q=1"), "https://web/old?q=1");
  EXPECT_EQ(location(https, "web:8080", "/old"), "https://web:8080/old");
  EXPECT_EQ(location(https, "[::1]:80", "/old"), "https://[::1]/old");
  https.port = 443;
  EXPECT_EQ(location(https, "web:8080", "/old"), "https://web/old");
  https.port = 8443;
  EXPECT_EQ(location(https, "web", "/old"), "https://web:8443/old");
  Redirect other;
  other.host = "new.example.org";
  other.path = "/there";
  EXPECT_EQ(location(other, "web:8080", "/old?q=1"), "http://new.example.org/there?q=1");
  other.path = "/there?x=2";
  EXPECT_EQ(location(other, "web", "/old?q=1"), "http://new.example.org/there?x=2");
  Redirect prefix;
  prefix.prefix = "/new";
  prefix.strip_query = true;
  EXPECT_EQ(location(prefix, "web:8080", "/old/x?q=1"), "http://web:8080/new/x");
}

TEST(Authority, SplitsHostAndPort) {
  struct {
    std::string_view authority, host, port;
  } const cases[] = {{"web", "web", ""},         {"web:80", "web", "80"},
                     {"[::1]", "[::1]", ""},     {"[::1]:80", "[::1]", "80"},
                     {"::1", "::1", ""},         {"web:x", "web:x", ""},
                     {"web:", "web", ""},        {"", "", ""}};
  for (const auto& each : cases) {
    const SplitAuthority split = split_authority(each.authority);
    EXPECT_EQ(split.host, each.host) << each.authority;
    EXPECT_EQ(split.port, each.port) << each.authority;
  }
}

TEST(Authority, DomainProblems) {
  EXPECT_EQ(domain_problem("*"), "");
  EXPECT_EQ(domain_problem("*.example.org"), "");
  EXPECT_EQ(domain_problem("web.*"), "");
  EXPECT_EQ(domain_problem("[::1]:80"), "");
  EXPECT_EQ(domain_problem(""), "must not be empty");
  EXPECT_EQ(domain_problem("a*b"), "may hold '*' only at its beginning or end");
  EXPECT_EQ(domain_problem("*.a.*"), "holds more than one '*'");
  EXPECT_EQ(domain_problem("a b"), "holds a character no authority can hold");
  EXPECT_EQ(domain_problem("a/b"), "holds a character no authority can hold");
}

}  // namespace
}  // namespace tulle::routing
