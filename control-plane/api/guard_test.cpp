#include "control-plane/api/guard.hpp"

#include <gtest/gtest.h>

#include "control-plane/api/endpoints.hpp"

namespace tulle::api {
namespace {

constexpr const char* kToken = "0123456789abcdef0123456789abcdef";

Head request(std::string_view authorization, std::string_view authority = "127.0.0.1:15080") {
  Head head;
  head.method_text = "GET";
  head.scheme = "https";
  head.authority = authority;
  head.path = "/v1/services";
  if (!authorization.empty()) head.fields.add(FieldId::authorization, authorization);
  return head;
}

int status_of(Guard& guard, const Head& head, Instant now = {}) {
  const std::optional<Answer> refusal = guard.check(head, now);
  return refusal ? refusal->status : 200;
}

TEST(Guard, OnlyTheTokenPasses) {
  const std::string right = std::string("Bearer ") + kToken;
  const auto status = [&](std::string_view authorization) {
    Guard guard(kToken);
    return status_of(guard, request(authorization));
  };
  EXPECT_EQ(status(right), 200);
  EXPECT_EQ(status(std::string("bearer ") + kToken), 200);
  for (const std::string& wrong : {std::string(), right + "0", right.substr(0, right.size() - 1),
                                   std::string("Bearer "), std::string("Basic ") + kToken,
                                   std::string(kToken), std::string("Bearer  ") + kToken,
                                   "Bearer " + std::string(kToken) + kToken}) {
    EXPECT_EQ(status(wrong), 401) << wrong;
  }
  Head twice = request(right);
  twice.fields.add(FieldId::authorization, right);
  Guard guard(kToken);
  EXPECT_EQ(status_of(guard, twice), 401);
  Guard none("");
  EXPECT_EQ(status_of(none, request("Bearer ")), 401) << "no token never means everybody";
}

TEST(Guard, WrongTokensHaveABudgetAndRightOnesDoNot) {
  Guard guard(kToken);
  const Head wrong = request("Bearer wrong");
  int told = 0;
  for (int i = 0; i < 100; ++i) told += status_of(guard, wrong) == 401 ? 1 : 0;
  EXPECT_EQ(told, 10);
  EXPECT_EQ(status_of(guard, wrong), 429);
  EXPECT_EQ(status_of(guard, request(std::string("Bearer ") + kToken)), 200);
  EXPECT_EQ(status_of(guard, wrong, Instant{} + 1s), 401);
  EXPECT_EQ(status_of(guard, wrong, Instant{} + 1s), 429);
}

TEST(Guard, HostsThatANameServerCouldForge) {
  Guard guard(kToken);
  const std::string right = std::string("Bearer ") + kToken;
  for (const char* host : {"localhost", "LOCALHOST:1", "127.0.0.1", "10.0.0.1:15080", "[::1]:15080"}) {
    EXPECT_EQ(status_of(guard, request(right, host)), 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:1", ""}) {
    EXPECT_EQ(status_of(guard, request(right, host)), 403) << host;
  }
}

TEST(Guard, EqualTextsOnly) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  for (const char* other : {"", "ab", "abcd", "abd", "abcabc"}) {
    EXPECT_FALSE(equal_in_constant_time("abc", other)) << other;
  }
  EXPECT_FALSE(equal_in_constant_time("", ""));
}

TEST(Endpoints, EveryEndpointIsFoundUnderItsOwnPath) {
  for (const Endpoint& endpoint : endpoints()) {
    std::string path(endpoint.path);
    for (const auto& [mark, value] : {std::pair{"{plural}", "services"}, std::pair{"{namespace}", "default"},
                                      std::pair{"{name}", "x"}}) {
      const size_t at = path.find(mark);
      if (at != std::string::npos) path.replace(at, std::string_view(mark).size(), value);
    }
    const Found found = find_endpoint(endpoint.method, path);
    ASSERT_TRUE(found.target.has_value()) << path;
    EXPECT_EQ(found.target->endpoint, &endpoint);
    EXPECT_TRUE(found.fault.empty()) << found.fault;
  }
}

}  // namespace
}  // namespace tulle::api
