#include "sidecar/policies/outlier_detection/outlier_detection.hpp"

#include "sidecar/policies/policy_bench_test.hpp"

namespace tulle::policies::testing {
namespace {

// The mesh's defaults.
Json detection(Json more = Json::object()) {
  Json members = {{"consecutive_gateway_failure", 5},
                  {"base_ejection_time", "1s"},
                  {"max_ejection_time", "60s"},
                  {"max_ejection_percent", 50}};
  members.update(more);
  return {{"outlier_detection", members}};
}

class OutlierDetectionTest : public ::testing::Test {
 protected:
  void start(const BenchSetup& setup) { bench_ = std::make_unique<PolicyBench>(setup); }
  Instance& bad() { return *bench_->instances[0]; }
  void fails_with(const Answer& answer) {
    bad().behaviour = [=](const Head&) { return answer; };
  }
  void get(int times, size_t worker = 0) {
    for (int i = 0; i < times; ++i) bench_->get(worker);
  }
  // How many of so many requests reach the bad one.
  size_t reaching(int times, size_t worker = 0) {
    const size_t before = bad().hits.size();
    get(times, worker);
    return bad().hits.size() - before;
  }
  int64_t ejected() { return bench_->gauge("tulle_endpoints_ejected"); }
  int64_t ejections() { return bench_->stat("tulle_ejections_total"); }

  std::unique_ptr<PolicyBench> bench_;
};

TEST(OutlierDetectionConfig, EjectionTimesDouble) {
  outlier_detection::Config config;
  config.base = 1s;
  config.most = 60s;
  EXPECT_EQ(config.ejection_time(1), 1s);
  EXPECT_EQ(config.ejection_time(2), 2s);
  EXPECT_EQ(config.ejection_time(6), 32s);
  EXPECT_EQ(config.ejection_time(7), 60s);
  EXPECT_EQ(config.ejection_time(4000000000u), 60s);
}

TEST_F(OutlierDetectionTest, FiveFailuresInARowEject) {
  start({.cluster = detection()});
  fails_with(Answer::of(503));
  get(10);
  EXPECT_EQ(bad().hits.size(), 5u);
  EXPECT_EQ(ejected(), 1);
  EXPECT_EQ(ejections(), 1);
  EXPECT_EQ(reaching(20), 0u);
}

TEST_F(OutlierDetectionTest, ASuccessBetweenThemStartsTheCountAgain) {
  start({.cluster = detection()});
  int asked = 0;
  bad().behaviour = [&](const Head&) { return Answer::of(++asked % 5 == 0 ? 200 : 503); };
  EXPECT_EQ(reaching(40), 20u);
}

TEST_F(OutlierDetectionTest, OrdinaryErrorsOfTheApplicationDoNotCount) {
  start({.cluster = detection()});
  fails_with(Answer::of(500));
  EXPECT_EQ(reaching(40), 20u);
}

TEST_F(OutlierDetectionTest, ResetsAndRefusedConnectsCount) {
  start({.cluster = detection()});
  fails_with(Answer::reset());
  get(10);
  EXPECT_EQ(ejected(), 1);
  start({.cluster = detection()});
  bad().stop();
  get(10);
  EXPECT_EQ(ejected(), 1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status_of(bench_->get()), 200);
}

TEST_F(OutlierDetectionTest, OneProbeAfterTheTimeReadmits) {
  start({.cluster = detection()});
  fails_with(Answer::of(503));
  get(10);
  bench_->clock.run_for(900ms);
  EXPECT_EQ(reaching(10), 0u);
  fails_with(Answer::of(200));
  bench_->clock.run_for(200ms);
  EXPECT_EQ(reaching(1), 1u) << "the first request after the time looks again";
  EXPECT_EQ(ejected(), 0);
  EXPECT_EQ(reaching(20), 10u);
}

TEST_F(OutlierDetectionTest, AProbeThatFailsEjectsForTwiceAsLong) {
  start({.cluster = detection()});
  fails_with(Answer::of(503));
  get(10);
  bench_->clock.run_for(1100ms);
  EXPECT_EQ(reaching(20), 1u);
  bench_->clock.run_for(1500ms);
  EXPECT_EQ(reaching(10), 0u);
  bench_->clock.run_for(600ms);
  EXPECT_EQ(reaching(20), 1u);
  EXPECT_EQ(ejections(), 3);
  EXPECT_EQ(ejected(), 1);
}

TEST_F(OutlierDetectionTest, OnlyOneRequestAtATimeIsAProbe) {
  start({.cluster = detection()});
  fails_with(Answer::of(503));
  get(10);
  bench_->clock.run_for(1100ms);
  fails_with({.after = 500ms});
  std::vector<Heard*> heard;
  const size_t before = bad().hits.size();
  for (int i = 0; i < 20; ++i) heard.push_back(&bench_->ask(PolicyBench::request(Method::get)));
  bench_->clock.run_for(100ms);
  EXPECT_EQ(bad().hits.size() - before, 1u);
  for (Heard* one : heard) EXPECT_EQ(status_of(bench_->finish(*one)), 200);
  EXPECT_EQ(ejected(), 0);
}

TEST_F(OutlierDetectionTest, GoodConductIsRemembered) {
  start({.cluster = detection({{"interval", "10s"}})});
  fails_with(Answer::of(503));
  get(10);
  fails_with(Answer::of(200));
  bench_->clock.run_for(1100ms);
  get(2);
  EXPECT_EQ(ejected(), 0);
  bench_->clock.run_for(15s);
  fails_with(Answer::of(503));
  get(10);
  EXPECT_EQ(ejected(), 1);
  bench_->clock.run_for(1100ms);
  EXPECT_EQ(reaching(10), 1u) << "one second again, not two";
}

TEST_F(OutlierDetectionTest, AtMostHalfAreEjected) {
  start({.cluster = detection(), .instances = 3});
  bench_->all(Answer::of(503));
  get(60);
  EXPECT_EQ(ejected(), 1);
  start({.cluster = detection(), .instances = 1});
  fails_with(Answer::of(503));
  EXPECT_EQ(reaching(20), 20u) << "the only one is never left out";
}

TEST_F(OutlierDetectionTest, WhatOneWorkerFindsOutAllKnow) {
  start({.cluster = detection(), .workers = 2});
  fails_with(Answer::of(503));
  get(10, 0);
  bench_->clock.run_for(10ms);
  EXPECT_EQ(reaching(10, 1), 0u);
  EXPECT_EQ(ejected(), 1) << "counted once for the sidecar";
  EXPECT_EQ(ejections(), 1);
  fails_with(Answer::of(200));
  bench_->clock.run_for(1100ms);
  get(1, 1);
  bench_->clock.run_for(10ms);
  EXPECT_EQ(ejected(), 0);
  EXPECT_EQ(reaching(20, 0), 10u);
}

TEST_F(OutlierDetectionTest, ItsStateOutlivesAnotherConfigurationButNotItsEnd) {
  start({.cluster = detection()});
  fails_with(Answer::of(503));
  get(10);
  bench_->adopt(Json::object(), detection({{"consecutive_gateway_failure", 7}}));
  EXPECT_EQ(reaching(10), 0u);
  bench_->adopt(Json::object(), Json::object());
  EXPECT_EQ(ejected(), 0);
  EXPECT_EQ(reaching(20), 10u);
}

TEST_F(OutlierDetectionTest, ACallerThatLeavesDuringAProbeLeavesRoomForTheNext) {
  start({.cluster = detection()});
  fails_with(Answer::of(503));
  get(10);
  bench_->clock.run_for(1100ms);
  fails_with(Answer::silent());
  Script script = PolicyBench::request(Method::post, "x");
  script.reset_after = 0;
  bench_->ask(std::move(script));
  bench_->clock.run_for(100ms);
  fails_with(Answer::of(200));
  get(2);
  EXPECT_EQ(ejected(), 0);
}

TEST_F(OutlierDetectionTest, WithRetriesNobodyNoticesTheFailures) {
  start({.route = {{"retry_policy", {{"retry_on", "5xx,reset,connect-failure"}}}},
         .cluster = detection()});
  fails_with(Answer::of(503));
  for (int i = 0; i < 40; ++i) EXPECT_EQ(status_of(bench_->get()), 200);
  EXPECT_EQ(ejected(), 1);
}

}  // namespace
}  // namespace tulle::policies::testing
