#include "cli/up/supervised_process.hpp"

#include <gmock/gmock.h>

#include "cli/up/fake_mesh_test.hpp"

namespace tulle::cli {
namespace {

using ::testing::ElementsAre;
using State = SupervisedProcess::State;

struct Supervised : testing::FakeMesh {
  ProcessSpec spec{"kitchen-1", {{"kitchen"}, {}, {}},
                   {Address::parse("127.0.0.1:8001").value(), "/health"}};
  std::unique_ptr<SupervisedProcess> process;

  void start() {
    process = std::make_unique<SupervisedProcess>(loop, surroundings(), spec, owner);
    process->start();
  }
  testing::FakeChild& child() { return *starter.running.at("kitchen"); }
  bool becomes(State state, Duration limit = 60s) {
    return reach([&] { return process->state() == state; }, limit);
  }
};

TEST_F(Supervised, IsUpWhenItAnswers) {
  start();
  EXPECT_EQ(process->state(), State::starting);
  clock.run_for(1s);
  EXPECT_EQ(process->state(), State::starting);
  EXPECT_NE(process->health_reason(), "");
  api.answers["GET /health"] = {503, ""};
  child().server = listen(8001);
  clock.run_for(1s);
  EXPECT_EQ(process->state(), State::starting);
  EXPECT_EQ(process->health_reason(), "GET /health answered 503");
  api.answers["GET /health"] = {200, "fine"};
  EXPECT_TRUE(becomes(State::up));
  api.answers["GET /health"] = {500, ""};
  EXPECT_TRUE(becomes(State::unhealthy, 10s));
  api.answers["GET /health"] = {200, ""};
  EXPECT_TRUE(becomes(State::up, 10s));
}

TEST_F(Supervised, WithoutAPathAnOpenPortIsEnough) {
  spec.health.path.clear();
  start();
  clock.run_for(1s);
  EXPECT_EQ(process->state(), State::starting);
  child().server = listen(8001);
  EXPECT_TRUE(becomes(State::up));
}

TEST_F(Supervised, DiesWithItsLastLinesAndIsDueAfterABackOff) {
  start();
  for (int i = 0; i < 20; ++i) child().say("line " + std::to_string(i));
  child().end(3);
  ASSERT_TRUE(becomes(State::waiting));
  EXPECT_EQ(process->why(), "status 3");
  EXPECT_EQ(process->last_lines().size(), SupervisedProcess::kLastLines);
  EXPECT_EQ(process->last_lines().back(), "line 19");
  EXPECT_EQ(journal.lines.size(), 20u);
  const Instant died = clock.now();
  ASSERT_TRUE(becomes(State::due));
  EXPECT_GE(clock.now() - died, 400ms);
  EXPECT_THAT(starter.started, ElementsAre("kitchen")) << "starting it is the owner's";
}

TEST_F(Supervised, BacksOffLongerEachTimeUntilItHasHeldForAWhile) {
  start();
  std::vector<Duration> waits;
  for (int i = 0; i < 8; ++i) {
    child().end(1);
    ASSERT_TRUE(becomes(State::waiting));
    waits.push_back(process->next_start_in());
    ASSERT_TRUE(becomes(State::due));
    process->start();
  }
  EXPECT_EQ(waits[0], 500ms);
  EXPECT_EQ(waits[1], 1s);
  EXPECT_EQ(waits[7], 30s);
  child().server = listen(8001);
  ASSERT_TRUE(becomes(State::up));
  clock.run_for(31s);
  child().end(1);
  ASSERT_TRUE(becomes(State::waiting));
  EXPECT_EQ(process->next_start_in(), 500ms);
}

TEST_F(Supervised, WhoIsNotToBeRestartedEndsOrFails) {
  spec.restarts = false;
  start();
  child().end(0);
  EXPECT_TRUE(becomes(State::ended));
  start();
  child().end(1);
  EXPECT_TRUE(becomes(State::failed));
}

TEST_F(Supervised, WhatDoesNotExistFailsForGood) {
  starter.missing.insert("kitchen");
  start();
  EXPECT_EQ(process->state(), State::failed);
  EXPECT_EQ(process->why(), "kitchen: no such program in PATH");
}

TEST_F(Supervised, StopsWithATermAndThenAKill) {
  start();
  process->stop();
  EXPECT_TRUE(becomes(State::stopped));
  EXPECT_THAT(starter.signals, ElementsAre("kitchen 15"));
  starter.signals.clear();
  starter.stubborn.insert("kitchen");
  start();
  const Instant asked = clock.now();
  process->stop();
  EXPECT_TRUE(becomes(State::stopped));
  EXPECT_THAT(starter.signals, ElementsAre("kitchen 15", "kitchen 9"));
  EXPECT_GE(clock.now() - asked, spec.stop_grace);
}

}  // namespace
}  // namespace tulle::cli
