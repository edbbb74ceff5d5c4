#include "control-plane/ca/signing_policy.hpp"

#include <gtest/gtest.h>

namespace tulle::ca {
namespace {

constexpr int64_t kSecond = 1'000'000;

TEST(SigningPolicy, OneThatAsksTooOftenDoesNotHurtTheOthers) {
  SigningPolicy policy;
  int64_t now = 1'800'000'000 * kSecond;
  int served = 0;
  for (int i = 0; i < 10'000; ++i) served += policy.admit("mad", now).has_value();
  EXPECT_EQ(served, 200);
  const auto refused = policy.admit("mad", now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::rate_limited);
  EXPECT_TRUE(policy.admit("calm", now));
  served = 0;
  for (int i = 0; i < 100; ++i) served += policy.admit("mad", now + kSecond).has_value();
  EXPECT_EQ(served, 20);
}

TEST(SigningPolicy, TheTableOfIdentitiesIsBoundedAndForgetsTheQuiet) {
  SigningPolicy policy({.identities = 10});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(policy.admit("id" + std::to_string(i), kSecond));
  EXPECT_FALSE(policy.admit("one more", kSecond));
  EXPECT_TRUE(policy.admit("id3", kSecond));
  EXPECT_TRUE(policy.admit("one more", 2 * kSecond));
}

TEST(SigningPolicy, AKeyBelongsToOneIdentity) {
  SigningPolicy policy;
  ASSERT_TRUE(policy.bind_key("key", "orders", 1000, 0));
  EXPECT_TRUE(policy.bind_key("key", "orders", 2000, 500));
  const auto refused = policy.bind_key("key", "kitchen", 3000, 1999);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::denied);
  EXPECT_TRUE(policy.bind_key("key", "kitchen", 3000, 2000));
}

TEST(SigningPolicy, KeysAreForgottenWhenThereAreTooMany) {
  SigningPolicy policy({.keys = 100});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(policy.bind_key("key" + std::to_string(i), "orders", 1000 + i, 0));
  }
  EXPECT_FALSE(policy.bind_key("key999", "kitchen", 3000, 0));
  EXPECT_TRUE(policy.bind_key("key0", "kitchen", 3000, 0));
}

}  // namespace
}  // namespace tulle::ca
