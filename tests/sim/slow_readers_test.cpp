// Back-pressure through the whole mesh: what slow callers do not take stays where it comes from.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/mesh.hpp"

namespace tulle::sim {
namespace {

constexpr size_t kBody = 12 * 1024 * 1024;

struct Case {
  Protocol caller;
  bool mesh_is_h2;
  bool app_is_h2;
  Behaviour behaviour;
};

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  const Case& one = info.param;
  return std::string(one.caller == Protocol::http2 ? "h2" : "h1") + (one.mesh_is_h2 ? "h2" : "h1") +
         (one.app_is_h2 ? "h2" : "h1") + (one.behaviour == Behaviour::echo ? "Echo" : "Download");
}

// Four large bodies, and callers that take 64 KiB every two milliseconds. An echo goes both ways.
Plan slow_plan(const Case& one) {
  Plan plan;
  plan.seed = 1;
  plan.mesh_is_h2 = one.mesh_is_h2;
  plan.app_is_h2 = one.app_is_h2;
  plan.wires.slicing = LinkOptions::Slicing::whole;
  plan.clients.push_back({one.caller});
  for (uint32_t id = 0; id < 4; ++id) {
    RequestPlan request;
    request.id = id;
    request.behaviour = one.behaviour;
    request.request_size = one.behaviour == Behaviour::echo ? kBody : 0;
    request.answer_size = kBody;
    request.reads_at_once = 64 * 1024;
    plan.requests.push_back(request);
  }
  return plan;
}

class SlowReaders : public ::testing::TestWithParam<Case> {};

// SimMesh itself compares the peak with the bound, which is far below what is carried.
TEST_P(SlowReaders, DoNotFillTheMesh) {
  const Plan plan = slow_plan(GetParam());
  const Report report = SimMesh(plan).run();
  EXPECT_EQ(report.findings, "") << plan.text();
  EXPECT_EQ(report.outcomes[static_cast<size_t>(Outcome::Kind::complete)], 4u);
  std::printf("peak %zu KiB, carried %zu KiB\n", report.peak_bytes / 1024, 4 * kBody / 1024);
}

INSTANTIATE_TEST_SUITE_P(Mesh, SlowReaders,
                         ::testing::Values(Case{Protocol::http1, false, false, Behaviour::reply},
                                           Case{Protocol::http1, true, true, Behaviour::echo},
                                           Case{Protocol::http2, true, false, Behaviour::reply},
                                           Case{Protocol::http2, false, true, Behaviour::echo},
                                           Case{Protocol::http2, true, true, Behaviour::echo}),
                         name_of);

}  // namespace
}  // namespace tulle::sim
