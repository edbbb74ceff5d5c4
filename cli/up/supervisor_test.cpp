#include "cli/up/supervisor.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "cli/up/fake_mesh_test.hpp"

namespace tulle::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Phase = Supervisor::Phase;

// Played programs answer where the real ones do, as soon as they are started.
struct Mesh : testing::FakeMesh {
  RunDirectory run{::testing::TempDir() + "tulle-supervisor-" + std::to_string(::getpid())};
  Plan plan;
  std::unique_ptr<Supervisor> supervisor;
  std::vector<ApiStep> policies;

  void SetUp() override {
    FileProblems problems;
    const MeshFile file = *read_mesh_file(
        "name: shop\nservices:\n"
        "  kitchen: {command: [kitchen], port: 8080, replicas: 2}\n"
        "  web: {command: [web], port: 80, restart: never}\n", problems);
    std::vector<uint16_t> ports(ports_needed(file));
    for (size_t i = 0; i < ports.size(); ++i) ports[i] = static_cast<uint16_t>(21000 + i);
    plan = make_plan(file, "/", run, {"cp", "sc"}, {}, ports);
    plan.control_plane.child.command = {"control-plane"};
    for (InstancePlan& instance : plan.instances) {
      instance.sidecar.command = {instance.name + ".sidecar"};
      instance.child.command = {instance.name};
      std::filesystem::create_directories(instance.directory);
    }
    std::filesystem::create_directories(run.control_plane() + "/state");
    api.answers["POST /v1/tokens"] = {200, R"({"token": "secret", "expires": "x"})"};
    starter.on_start = [this](const std::string& name, testing::FakeChild& child) {
      if (silent.contains(name)) return;
      if (name == "control-plane") {
        child.server = listen(plan.control_plane.api_port);
        (void)write_file(run.token(), "admin\n");
        (void)write_file(run.endpoints(), R"({"api": "http://127.0.0.1:)" +
                                              std::to_string(plan.control_plane.api_port) + "\"}");
      }
      for (const InstancePlan& instance : plan.instances) {
        if (name == instance.name) child.server = listen(instance.port);
        if (name == instance.name + ".sidecar") child.server = listen(instance.admin_port);
      }
    };
  }
  void TearDown() override { std::filesystem::remove_all(run.path()); }

  void start() {
    supervisor = std::make_unique<Supervisor>(loop, surroundings(), plan, run, policies, owner);
  }
  bool reaches(Phase phase) {
    return reach([&] { return supervisor->phase() == phase; });
  }
  std::set<std::string> silent;  // start, but never listen
};

TEST_F(Mesh, ComesUpInOrder) {
  policies.push_back({"HTTPRoute default/x", {Method::put, "/v1/route", "{}"}});
  start();
  ASSERT_TRUE(reaches(Phase::up));
  EXPECT_TRUE(supervisor->all_up());
  EXPECT_EQ(starter.started.front(), "control-plane");
  EXPECT_EQ(starter.started.size(), 7u);
  ASSERT_GE(api.requests.size(), 6u);
  std::vector<std::string> asked;
  for (const std::string& request : api.requests) {
    if (request.find("/ready") == std::string::npos) asked.push_back(request);
  }
  EXPECT_THAT(asked, ElementsAre("PUT /v1/namespaces/default/services/kitchen",
                                 "PUT /v1/namespaces/default/services/web", "PUT /v1/route",
                                 "POST /v1/tokens", "POST /v1/tokens", "POST /v1/tokens"));
  EXPECT_EQ(*read_whole_file(plan.instances[0].token_path), "secret\n");
  const RunRecord record = supervisor->record();
  EXPECT_EQ(record.instances[1].state, "up");
  EXPECT_EQ(record.instances[1].detail, "");
}

TEST_F(Mesh, StartsAServiceOnlyWhenItsSidecarServes) {
  silent.insert("web-1.sidecar");
  start();
  ASSERT_TRUE(reach([&] { return supervisor->instances().size() == 3; }));
  clock.run_for(5s);
  EXPECT_THAT(starter.started, Contains("web-1.sidecar"));
  EXPECT_THAT(starter.started, Not(Contains("web-1")));
  EXPECT_FALSE(supervisor->all_up());
  EXPECT_THAT(supervisor->instances()[2]->detail(), HasSubstr("sidecar starting"));
}

TEST_F(Mesh, ARefusedDocumentEndsTheStart) {
  api.answers["PUT /v1/namespaces/default/services/web"] = {
      422, R"({"title": "Invalid", "problems": [{"path": "spec.ports", "message": "is empty"}]})"};
  start();
  ASSERT_TRUE(reaches(Phase::over));
  EXPECT_EQ(supervisor->failure(), "Service web: Invalid\n  spec.ports: is empty");
  EXPECT_TRUE(starter.running.empty());
}

TEST_F(Mesh, AControlPlaneThatEndsEndsTheStartWithItsLastLines) {
  silent.insert("control-plane");
  start();
  starter.running.at("control-plane")->say("the database is damaged");
  starter.running.at("control-plane")->end(1);
  ASSERT_TRUE(reaches(Phase::over));
  EXPECT_THAT(supervisor->failure(), HasSubstr("ended with status 1\n  | the database is damaged"));
}

TEST_F(Mesh, AControlPlaneThatSaysNothingIsNotWaitedForForEver) {
  silent.insert("control-plane");
  start();
  ASSERT_TRUE(reach([&] { return supervisor->over(); }, 2min));
  EXPECT_THAT(supervisor->failure(), HasSubstr("was not up within 30 s"));
}

TEST_F(Mesh, WhatDiesIsToldWithItsLastLinesAndStartsAgain) {
  start();
  ASSERT_TRUE(reaches(Phase::up));
  starter.running.at("kitchen-2")->say("out of gas");
  starter.running.at("kitchen-2")->end(3);
  ASSERT_TRUE(reach([&] { return !supervisor->all_up(); }));
  EXPECT_TRUE(reach([&] { return supervisor->all_up(); }));
  EXPECT_THAT(journal.events,
              Contains("kitchen-2: died: status 3; starts again in 0.5 s; its last lines:\n  | out of gas"));
  EXPECT_EQ(supervisor->record().instances[1].restarts, 1u);
}

TEST_F(Mesh, RestartNeverIsRespected) {
  start();
  ASSERT_TRUE(reaches(Phase::up));
  starter.running.at("web-1")->end(2);
  ASSERT_TRUE(reach([&] { return supervisor->instances()[2]->over(); }));
  clock.run_for(60s);
  EXPECT_EQ(std::ranges::count(starter.started, "web-1"), 1);
  EXPECT_THAT(journal.events.back(), HasSubstr("is not started again (restart: never)"));
  EXPECT_EQ(supervisor->instances()[2]->state(), "failed");
}

TEST_F(Mesh, ARestartedSidecarGetsANewTokenOrGoesOnWithoutTheControlPlane) {
  start();
  ASSERT_TRUE(reaches(Phase::up));
  const auto tokens = [&] { return std::ranges::count(api.requests, "POST /v1/tokens"); };
  EXPECT_EQ(tokens(), 3);
  starter.running.at("kitchen-1.sidecar")->end(0, 9);
  ASSERT_TRUE(reach([&] { return tokens() == 4; }));
  EXPECT_TRUE(reach([&] { return supervisor->all_up(); }));
  api.answers["POST /v1/tokens"] = {503, "{}"};
  starter.running.at("kitchen-1.sidecar")->end(0, 9);
  ASSERT_TRUE(reach([&] { return tokens() == 5; }));
  EXPECT_TRUE(reach([&] { return supervisor->all_up(); }));
}

TEST_F(Mesh, AControlPlaneThatDiesLaterStartsAgainAlone) {
  start();
  ASSERT_TRUE(reaches(Phase::up));
  starter.running.at("control-plane")->end(0, 9);
  ASSERT_TRUE(reach([&] { return std::ranges::count(starter.started, "control-plane") == 2; }));
  EXPECT_TRUE(reach([&] { return journal.events.back() == "control-plane: up again"; }));
  EXPECT_EQ(starter.started.size(), 8u) << "nothing else was touched";
}

TEST_F(Mesh, EndsSidecarsThenServicesThenTheControlPlane) {
  start();
  ASSERT_TRUE(reaches(Phase::up));
  supervisor->stop();
  ASSERT_TRUE(reaches(Phase::over));
  EXPECT_THAT(starter.signals,
              ElementsAre("kitchen-1.sidecar 15", "kitchen-2.sidecar 15", "web-1.sidecar 15",
                          "kitchen-1 15", "kitchen-2 15", "web-1 15", "control-plane 15"));
  EXPECT_TRUE(starter.running.empty());
  EXPECT_EQ(supervisor->failure(), "");
}

TEST_F(Mesh, EndsInBoundedTimeWhateverDoesNotWantTo) {
  start();
  ASSERT_TRUE(reaches(Phase::up));
  for (const auto& [name, child] : starter.running) starter.stubborn.insert(name);
  const Instant asked = clock.now();
  supervisor->stop();
  ASSERT_TRUE(reaches(Phase::over));
  EXPECT_LE(clock.now() - asked, 20s);
  EXPECT_TRUE(starter.running.empty());
}

TEST_F(Mesh, AskedTwiceItEndsAtOnce) {
  start();
  ASSERT_TRUE(reaches(Phase::up));
  for (const auto& [name, child] : starter.running) starter.stubborn.insert(name);
  const Instant asked = clock.now();
  supervisor->stop();
  supervisor->stop();
  ASSERT_TRUE(reaches(Phase::over));
  EXPECT_LE(clock.now() - asked, 1s);
}

TEST_F(Mesh, CanBeEndedWhileItStarts) {
  silent.insert("kitchen-1");
  silent.insert("web-1.sidecar");
  start();
  ASSERT_TRUE(reach([&] { return starter.running.contains("kitchen-1"); }));
  supervisor->stop();
  ASSERT_TRUE(reaches(Phase::over));
  EXPECT_TRUE(starter.running.empty());
  EXPECT_THAT(starter.started, Not(Contains("web-1")));
}

}  // namespace
}  // namespace tulle::cli
