#include "sidecar/exchange/exhausted_requests.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace tulle::exchange {
namespace {

Head request(const std::string& id, const std::string& trace = "4bf92f3577b34da6a3ce929d0e0e4736") {
  Head head;
  head.fields.add("x-request-id", id);
  head.fields.add("traceparent", "00-" + trace + "-00f067aa0ba902b7-01");
  return head;
}

TEST(ExhaustedRequests, KnowsTheRequestByBothIdsForAWhile) {
  const auto exhausted = std::make_unique<ExhaustedRequests>();
  const Instant now{};
  EXPECT_FALSE(exhausted->knows(request("1"), now));
  exhausted->note(request("1"), now);
  EXPECT_TRUE(exhausted->knows(request("1"), now + 1s));
  EXPECT_FALSE(exhausted->knows(request("2"), now));
  EXPECT_FALSE(exhausted->knows(request("1", "5bf92f3577b34da6a3ce929d0e0e4736"), now));
  EXPECT_FALSE(exhausted->knows(request("1"), now + 31s));
}

TEST(ExhaustedRequests, WithoutBothIdsNothingIsKept) {
  const auto exhausted = std::make_unique<ExhaustedRequests>();
  Head bare;
  bare.fields.add("x-request-id", "1");
  exhausted->note(bare, {});
  EXPECT_FALSE(exhausted->knows(bare, {}));
}

TEST(ExhaustedRequests, ForgetsTheOldestFirst) {
  const auto exhausted = std::make_unique<ExhaustedRequests>();
  for (int i = 0; i < 1025; ++i) exhausted->note(request(std::to_string(i)), {});
  EXPECT_FALSE(exhausted->knows(request("0"), {}));
  EXPECT_TRUE(exhausted->knows(request("1"), {}));
  EXPECT_TRUE(exhausted->knows(request("1024"), {}));
}

}  // namespace
}  // namespace tulle::exchange
