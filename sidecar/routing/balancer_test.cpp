#include "sidecar/routing/balancer.hpp"

#include <gtest/gtest.h>

#include <map>

namespace tulle::routing {
namespace {

// Endpoints that are never connected to.
class NoPools final : public PoolSource {
 public:
  std::unique_ptr<Pool> make_pool(const Endpoint&, bool) override { UNREACHABLE(); }
};

class BalancerTest : public testing::Test {
 protected:
  Endpoint* add(uint32_t weight = 1) {
    const auto port = static_cast<uint16_t>(1000 + endpoints_.size());
    endpoints_.push_back(std::make_unique<Endpoint>(
        pools_, *Address::parse("127.0.0.1", port), weight, ""));
    usable_.push_back(endpoints_.back().get());
    return usable_.back();
  }
  std::map<Endpoint*, int> picks(LoadBalancer& balancer, int count, PickHint hint = {}) {
    std::map<Endpoint*, int> result;
    for (int i = 0; i < count; ++i) ++result[balancer.pick(usable_, hint, rng_)];
    return result;
  }

  NoPools pools_;
  Rng rng_{7};
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<Endpoint*> usable_;
};

TEST_F(BalancerTest, NobodyToPick) {
  for (auto kind : {config::Balancing::peak_ewma, config::Balancing::round_robin}) {
    EXPECT_EQ(make_balancer(kind)->pick(usable_, {}, rng_), nullptr);
  }
}

TEST_F(BalancerTest, EqualEndpointsShareEqually) {
  for (int i = 0; i < 3; ++i) add();
  auto balancer = make_balancer(config::Balancing::peak_ewma);
  for (const auto& [endpoint, count] : picks(*balancer, 3000)) {
    EXPECT_GT(count, 850) << endpoint->address().to_string();
    EXPECT_LT(count, 1150) << endpoint->address().to_string();
  }
}

TEST_F(BalancerTest, TheSlowOneIsAvoidedAndReturnsWhenTimeHasPassed) {
  Endpoint* slow = add();
  add();
  const Instant start{};
  slow->observe_latency(500ms, start);
  auto balancer = make_balancer(config::Balancing::peak_ewma);
  EXPECT_EQ(picks(*balancer, 1000, {.now = start})[slow], 0);
  EXPECT_GT(picks(*balancer, 1000, {.now = start + 60s})[slow], 400);
}

TEST_F(BalancerTest, TheBusyOneIsAvoided) {
  Endpoint* busy = add();
  add();
  Unanswered waiting[10];
  for (Unanswered& one : waiting) busy->attempt_started(one, {});
  auto balancer = make_balancer(config::Balancing::peak_ewma);
  EXPECT_EQ(picks(*balancer, 1000)[busy], 0);
}

TEST_F(BalancerTest, AnEndpointThatWasTriedIsTakenOnlyWhenThereIsNoOther) {
  for (auto kind : {config::Balancing::peak_ewma, config::Balancing::round_robin}) {
    usable_.clear();
    const Endpoint* const tried[] = {add(), add()};
    auto balancer = make_balancer(kind);
    const Endpoint* chosen = balancer->pick(usable_, {.avoid = tried}, rng_);
    EXPECT_TRUE(chosen == tried[0] || chosen == tried[1]);
    Endpoint* other = add();
    EXPECT_EQ(picks(*balancer, 100, {.avoid = tried})[other], 100);
  }
}

TEST_F(BalancerTest, TheOneThatHangsIsAvoidedBeforeItsFirstAnswer) {
  Endpoint* hangs = add();
  Endpoint* works = add();
  const Instant start{};
  works->observe_latency(3ms, start);  // worse than what is assumed of the unknown one
  Unanswered waiting;
  hangs->attempt_started(waiting, start);
  auto balancer = make_balancer(config::Balancing::peak_ewma);
  EXPECT_EQ(picks(*balancer, 1000, {.now = start + 50ms})[hangs], 0);
  // As soon as anybody is answered there, it is judged by its answers again.
  hangs->observe_latency(1ms, start + 50ms);
  EXPECT_EQ(picks(*balancer, 1000, {.now = start + 50ms})[works], 0);
}

TEST_F(BalancerTest, RoundRobinTakesTurnsByWeight) {
  Endpoint* one = add(1);
  Endpoint* three = add(3);
  auto balancer = make_balancer(config::Balancing::round_robin);
  const auto result = picks(*balancer, 400);
  EXPECT_EQ(result.at(one), 100);
  EXPECT_EQ(result.at(three), 300);
}

TEST(PeakEwma, JumpsUpAtOnceAndComesDownSlowly) {
  PeakEwma average;
  Instant now{};
  average.observe(10ms, now);
  EXPECT_DOUBLE_EQ(average.value(now), 10e6);
  average.observe(200ms, now);
  EXPECT_DOUBLE_EQ(average.value(now), 200e6);
  now = now + 1s;
  average.observe(10ms, now);
  EXPECT_GT(average.value(now), 150e6);
  for (int i = 0; i < 60; ++i) {
    now = now + 1s;
    average.observe(10ms, now);
  }
  EXPECT_LT(average.value(now), 15e6);
}

}  // namespace
}  // namespace tulle::routing
