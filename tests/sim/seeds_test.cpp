// One case per seed. A failing one prints its plan, what was wrong and the line that replays it.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/sim/mesh.hpp"

namespace tulle::sim {
namespace {

constexpr uint64_t kSeeds = 200;
constexpr uint64_t kSoakSeeds = 5000;

uint64_t number_in(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

// TULLE_SIM_SEED=N: that one only. TULLE_SIM_SEEDS=N: the first N. TULLE_SOAK=1: many.
std::vector<uint64_t> seeds() {
  const uint64_t one = number_in("TULLE_SIM_SEED", 0);
  if (one != 0) return {one};
  const uint64_t otherwise = number_in("TULLE_SOAK", 0) != 0 ? kSoakSeeds : kSeeds;
  std::vector<uint64_t> all(number_in("TULLE_SIM_SEEDS", otherwise));
  for (uint64_t i = 0; i < all.size(); ++i)
    all[i] = i + 1;
  return all;
}

std::string replay_line(uint64_t seed) {
  return "replay: TULLE_SIM_SEED=" + std::to_string(seed) + " ./tests/run --only sim";
}

std::string summary(const Report& report) {
  std::string out = std::to_string(report.steps) + " steps, " +
                    std::to_string(report.virtual_time.count() / 1'000'000) + " ms, slowest " +
                    std::to_string(report.slowest.count() / 1'000'000) + " ms, peak " +
                    std::to_string(report.peak_bytes / 1024) + " KiB;";
  for (size_t i = 0; i < report.outcomes.size(); ++i) {
    if (report.outcomes[i] == 0) continue;
    out += " " + std::to_string(report.outcomes[i]) + " " +
           std::string(to_string(static_cast<Outcome::Kind>(i)));
  }
  return out;
}

class Seeds : public ::testing::TestWithParam<uint64_t> {};

TEST_P(Seeds, HoldEveryInvariant) {
  const Plan plan = make_plan(GetParam());
  // Printed first: a seed that ends the process must be replayable as well.
  std::printf("%s\n%s\n", plan.text().c_str(), replay_line(plan.seed).c_str());
  std::fflush(stdout);
  const Report report = SimMesh(plan).run();
  std::printf("%s\n", summary(report).c_str());
  EXPECT_EQ(report.findings, "") << plan.text() << "\n" << replay_line(plan.seed);
}

INSTANTIATE_TEST_SUITE_P(Mesh, Seeds, ::testing::ValuesIn(seeds()),
                         [](const auto& seed) { return std::to_string(seed.param); });

}  // namespace
}  // namespace tulle::sim
