// The same seed is the same run: times, sizes, outcomes. Else a failing seed is an anecdote.
#include <gtest/gtest.h>

#include "tests/sim/mesh.hpp"

namespace tulle::sim {
namespace {

class Replay : public ::testing::TestWithParam<uint64_t> {};

TEST_P(Replay, GivesTheSameTrace) {
  const Plan plan = make_plan(GetParam());
  const Report first = SimMesh(plan).run();
  const Report second = SimMesh(plan).run();
  EXPECT_EQ(first.trace_hash, second.trace_hash) << plan.text();
  EXPECT_EQ(first.steps, second.steps);
  EXPECT_EQ(first.virtual_time, second.virtual_time);
  EXPECT_EQ(first.outcomes, second.outcomes);
}

INSTANTIATE_TEST_SUITE_P(Mesh, Replay, ::testing::Range<uint64_t>(1, 9));

// Else two hundred seeds would be one.
TEST(ReplayTest, OtherSeedsAreOtherRuns) {
  const Plan one = make_plan(4);
  const Plan other = make_plan(8);
  EXPECT_NE(SimMesh(one).run().trace_hash, SimMesh(other).run().trace_hash);
}

}  // namespace
}  // namespace tulle::sim
