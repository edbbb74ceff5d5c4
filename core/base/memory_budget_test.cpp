#include "core/base/memory_budget.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "core/base/bytes.hpp"

namespace tulle {
namespace {

constexpr int64_t kMiB = 1 << 20;

// The budget is the process's: each case leaves it as it was found.
class Budget : public ::testing::Test {
 protected:
  void SetUp() override {
    trim_chunk_pool();
    MemoryMeter::of_thread().publish();
    base_ = budget_.used();
  }
  void TearDown() override {
    budget_.set_limit(0);
    trim_chunk_pool();
    MemoryMeter::of_thread().publish();
    EXPECT_EQ(budget_.used(), base_);
  }
  MemoryBudget& budget_ = MemoryBudget::of_process();
  int64_t base_ = 0;
};

struct Watcher final : MemoryBudget::Watcher {
  void memory_is_short() override { ++told; }
  int told = 0;
};

TEST_F(Budget, CountsChunksUntilTheyAreFreed) {
  const int64_t before = budget_.used(MemoryUse::buffers);
  {
    Bytes queue{std::string(kMiB, 'x')};
    MemoryMeter::of_thread().publish();
    EXPECT_GE(budget_.used(MemoryUse::buffers), before + kMiB);
    EXPECT_LT(budget_.used(MemoryUse::buffers), before + kMiB + kMiB / 10);
  }
  MemoryMeter::of_thread().publish();
  EXPECT_GE(budget_.used(MemoryUse::buffers), before + kMiB) << "pooled memory is memory";
  trim_chunk_pool();
  MemoryMeter::of_thread().publish();
  EXPECT_EQ(budget_.used(MemoryUse::buffers), before);
}

TEST_F(Budget, IsBehindByABatchAtMost) {
  for (int i = 0; i < 100; ++i) {
    charge_memory(MemoryUse::tls, 10'000);
    EXPECT_GT(budget_.used(), base_ + 10'000 * (i + 1) - MemoryMeter::kBatch);
  }
  give_back_memory(MemoryUse::tls, 1'000'000);
}

TEST_F(Budget, LevelsFollowOneAnotherAndGoBack) {
  budget_.set_limit(base_ + 100 * kMiB);
  EXPECT_FALSE(budget_.tight());
  charge_memory(MemoryUse::tls, 65 * kMiB);
  EXPECT_TRUE(budget_.tight() && !budget_.shedding());
  charge_memory(MemoryUse::tls, 20 * kMiB);
  EXPECT_TRUE(budget_.shedding() && !budget_.full());
  charge_memory(MemoryUse::tls, 10 * kMiB);
  EXPECT_TRUE(budget_.full());
  EXPECT_GT(budget_.excess_share(), 19 * kMiB);
  give_back_memory(MemoryUse::tls, 95 * kMiB);
  EXPECT_FALSE(budget_.tight());
  EXPECT_EQ(budget_.excess_share(), 0);
}

TEST_F(Budget, WithoutALimitNothingIsEverFull) {
  charge_memory(MemoryUse::tls, int64_t{1} << 40);
  EXPECT_FALSE(budget_.tight() || budget_.shedding() || budget_.full());
  EXPECT_TRUE(budget_.promise(kMiB));
  budget_.release_promise(kMiB);
  give_back_memory(MemoryUse::tls, int64_t{1} << 40);
}

TEST_F(Budget, WatchersHearWhenItBecomesShortAndWhenItIsFull) {
  budget_.set_limit(base_ + 100 * kMiB);
  Watcher watcher;
  budget_.watch(watcher);
  for (int round = 1; round <= 2; ++round) {
    charge_memory(MemoryUse::tls, 85 * kMiB);
    EXPECT_EQ(watcher.told, 2 * round - 1);
    charge_memory(MemoryUse::tls, 2 * kMiB);
    charge_memory(MemoryUse::tls, 9 * kMiB);
    EXPECT_EQ(watcher.told, 2 * round);
    give_back_memory(MemoryUse::tls, 96 * kMiB);
  }
  budget_.forget(watcher);
  charge_memory(MemoryUse::tls, 95 * kMiB);
  EXPECT_EQ(watcher.told, 4);
  give_back_memory(MemoryUse::tls, 95 * kMiB);
}

TEST_F(Budget, PromisesEndWhereMemoryIsTight) {
  budget_.set_limit(base_ + 100 * kMiB);
  int promises = 0;
  while (budget_.promise(kMiB)) ++promises;
  // Sixty per cent, less one where the charges of other threads' last batches are published by now.
  EXPECT_GE(promises, 59);
  EXPECT_LE(promises, 60);
  EXPECT_FALSE(budget_.tight()) << "a promise is not memory";
  budget_.release_promise(promises * kMiB);
  EXPECT_EQ(budget_.promised(), 0);
}

TEST_F(Budget, AThreadsPoolsAreTrimmedWithIt) {
  static thread_local int trimmed = 0;
  std::thread([] {
    trim_with_thread([] { ++trimmed; });
    trim_thread_pools();
    trim_thread_pools();
    EXPECT_EQ(trimmed, 2);
  }).join();
}

}  // namespace
}  // namespace tulle
