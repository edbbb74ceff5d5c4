#include "core/http/http2_budget.hpp"

#include <gtest/gtest.h>

namespace tulle {
namespace {

using Budget = MisbehaviourBudget;

TEST(MisbehaviourBudget, AllowsTheBurstAndNotOneMore) {
  Budget budget(3, 1);
  for (int i = 0; i < 3; ++i) budget.charge_waste(Budget::kReset);
  EXPECT_FALSE(budget.exhausted());
  budget.charge_waste(Budget::kReset);
  EXPECT_TRUE(budget.exhausted());
}

TEST(MisbehaviourBudget, RefillsWithTime) {
  Budget budget(10, 5);
  budget.refill(Instant{} + 1s);
  for (int i = 0; i < 10; ++i) budget.charge_waste(Budget::kReset);
  budget.refill(Instant{} + 2s);
  for (int i = 0; i < 5; ++i) budget.charge_waste(Budget::kReset);
  EXPECT_FALSE(budget.exhausted());
  budget.charge_waste(1);
  EXPECT_TRUE(budget.exhausted());
}

TEST(MisbehaviourBudget, ManySmallStepsAddUp) {
  Budget budget(1000, 50);
  budget.charge_waste(1000 * Budget::kToken);
  Instant now{};
  for (int i = 0; i < 10000; ++i) budget.refill(now = now + 100us);  // one second in all
  budget.charge_waste(49 * Budget::kToken);
  EXPECT_FALSE(budget.exhausted());
  budget.charge_waste(2 * Budget::kToken);
  EXPECT_TRUE(budget.exhausted());
}

TEST(MisbehaviourBudget, NeverHoldsMoreThanTheBurst) {
  Budget budget(2, 1000);
  budget.refill(Instant{} + 3600s);
  for (int i = 0; i < 100; ++i) budget.exchange_done();
  budget.charge_waste(2 * Budget::kToken);
  EXPECT_FALSE(budget.exhausted());
  budget.charge_waste(1);
  EXPECT_TRUE(budget.exhausted());
}

TEST(MisbehaviourBudget, PingsThatComeWithWorkAreFree) {
  Budget budget(5, 0);
  for (int i = 0; i < 100000; ++i) {
    budget.charge_noise(Budget::kControl);
    budget.payload();
  }
  EXPECT_FALSE(budget.exhausted());
}

TEST(MisbehaviourBudget, TenDripsOfWindowPerDataFrame) {
  Budget budget(5, 0);
  for (int i = 0; i < 1000; ++i) {
    for (int drip = 0; drip < 10; ++drip) budget.charge_noise(Budget::kWindowUpdate);
    budget.payload();
  }
  EXPECT_FALSE(budget.exhausted());
  for (int i = 0; i < 1000; ++i) {
    for (int drip = 0; drip < 11; ++drip) budget.charge_noise(Budget::kWindowUpdate);
    budget.payload();
  }
  EXPECT_TRUE(budget.exhausted());
}

TEST(MisbehaviourBudget, BytesDoNotPayForResets) {
  Budget budget(5, 0);
  for (int i = 0; i < 6; ++i) {
    for (int frame = 0; frame < 100; ++frame) budget.payload();
    budget.charge_waste(Budget::kReset);
  }
  EXPECT_TRUE(budget.exhausted());
}

TEST(MisbehaviourBudget, GoodExchangesDo) {
  Budget budget(5, 0);
  for (int i = 0; i < 1000; ++i) {
    budget.exchange_done();
    budget.charge_waste(Budget::kReset);
  }
  EXPECT_FALSE(budget.exhausted());
}

TEST(MisbehaviourBudget, TheClockMayStandStill) {
  Budget budget(1, 1000000);
  for (int i = 0; i < 100; ++i) budget.refill(Instant{});
  budget.charge_waste(Budget::kToken);
  budget.charge_waste(1);
  EXPECT_TRUE(budget.exhausted());
}

}  // namespace
}  // namespace tulle
