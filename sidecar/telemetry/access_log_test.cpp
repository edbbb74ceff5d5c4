#include "sidecar/telemetry/access_log.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/http/codec.hpp"
#include "core/net/address.hpp"
#include "core/net/test_loop.hpp"
#include "core/net/loop.hpp"
#include "core/net/simulated_engine.hpp"

namespace tulle::telemetry {
namespace {

class AccessLogTest : public testing::Test {
 protected:
  AccessLogTest() {
    request_.method = Method::get;
    request_.method_text = "GET";
    request_.authority = "orders";
    request_.path = "/a\"b\n\xff";
    summary_.request = &request_;
    summary_.status = 502;
    summary_.duration = 1500us;
    summary_.config_version = "abc";
  }
  nlohmann::json line() {
    std::string out;
    render_access_line(summary_, WallTime{1'700'000'000'123'456}, out);
    EXPECT_EQ(out.back(), '\n');
    return nlohmann::json::parse(out);
  }

  Head request_;
  exchange::Summary summary_;
};

TEST_F(AccessLogTest, ALineIsValidJsonWhateverTheRequestHolds) {
  const nlohmann::json json = line();
  EXPECT_EQ(json["time"], "2023-11-14T22:13:20.123456Z");
  EXPECT_EQ(json["path"], "/a\"b\n\u00ff");
  EXPECT_EQ(json["status"], 502);
  EXPECT_EQ(json["duration_us"], 1500);
  EXPECT_EQ(json["config_version"], "abc");
  EXPECT_FALSE(json.contains("error"));
}

TEST_F(AccessLogTest, AGrpcCallHasItsStatus) {
  EXPECT_FALSE(line().contains("grpc_status"));
  summary_.grpc_status = 14;
  EXPECT_EQ(line()["grpc_status"], 14);
}

TEST_F(AccessLogTest, AFailureSaysWhatAndWhose) {
  const Error error{Code::connect_failed, Origin::upstream, "connect 10.0.0.1:80: refused"};
  summary_.error = &error;
  const nlohmann::json json = line();
  EXPECT_EQ(json["error"], "connect_failed");
  EXPECT_EQ(json["origin"], "upstream");
  EXPECT_EQ(json["flags"], "UF");
  EXPECT_EQ(json["detail"], "connect 10.0.0.1:80: refused");
}

TEST_F(AccessLogTest, ARefusalSaysWhyAndFromWhere) {
  const Refused what{Code::header_too_large, "fields \"too\" large", 431};
  const Address from = *Address::parse("10.0.0.9:1234");
  const exchange::RefusalSummary summary{.what = &what, .http2 = true, .from = &from};
  std::string out;
  render_refusal_line(summary, 7, WallTime{1'700'000'000'123'456}, out);
  const nlohmann::json json = nlohmann::json::parse(out);
  EXPECT_EQ(json["error"], "header_too_large");
  EXPECT_EQ(json["detail"], "fields \"too\" large");
  EXPECT_EQ(json["status"], 431);
  EXPECT_EQ(json["flags"], "DPE");
  EXPECT_EQ(json["origin"], "downstream");
  EXPECT_EQ(json["protocol"], "HTTP/2");
  EXPECT_EQ(json["from"], "10.0.0.9:1234");
  EXPECT_EQ(json["left_out"], 7);
}

// What costs a sender nothing must not fill our disk.
TEST_F(AccessLogTest, UnderAFloodOnlySomeRefusalsGetALine) {
  const std::string path = testing::TempDir() + "access_log_flood." + std::to_string(getpid());
  TestLoop test;
  size_t lines = 0;
  {
    auto log = AccessLog::open({.path = path});
    ASSERT_TRUE(log.has_value());
    AccessLogBuffer buffer(test.loop, log->get());
    const Refused what{Code::bad_request, "no Host", 400};
    const Address from = *Address::parse("10.0.0.9:1234");
    const exchange::RefusalSummary summary{.what = &what, .from = &from};
    const Instant begin{1'000'000'000'000};
    for (int i = 0; i < 1000; ++i) buffer.record(summary, begin);
    buffer.record(summary, begin + 1s);
    test.settle();
  }
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line)) {
    ++lines;
    last = line;
  }
  EXPECT_EQ(lines, 101u);
  EXPECT_EQ(nlohmann::json::parse(last)["left_out"], 900);
  unlink(path.c_str());
}

TEST_F(AccessLogTest, WhatIsQueuedIsWrittenBeforeTheEnd) {
  const std::string path = testing::TempDir() + "access_log_test." + std::to_string(getpid());
  {
    auto log = AccessLog::open({.path = path});
    ASSERT_TRUE(log.has_value());
    for (int i = 0; i < 100; ++i) (*log)->submit("line\n");
  }
  std::ifstream file(path);
  int lines = 0;
  for (std::string text; std::getline(file, text);) ++lines;
  EXPECT_EQ(lines, 100);
  unlink(path.c_str());
}

TEST_F(AccessLogTest, AFloodOfFailuresIsCutShortAndSaysSo) {
  const std::string path = testing::TempDir() + "access_log_test." + std::to_string(getpid());
  {
    auto log = AccessLog::open({.path = path});
    ASSERT_TRUE(log.has_value());
    SimulatedClock clock;
    SimulatedLoop loop(clock);
    AccessLogBuffer buffer(loop, log->get());
    for (int i = 0; i < 5000; ++i) buffer.record(summary_);
    ASSERT_TRUE(clock.run_until_quiet());
    clock.run_for(1s);
    loop.refresh_now();
    buffer.record(summary_);
    ASSERT_TRUE(clock.run_until_quiet());
  }
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string text; std::getline(file, text);) lines.push_back(nlohmann::json::parse(text));
  ASSERT_EQ(lines.size(), AccessLogBuffer::kFailuresPerSecond + 2u);
  EXPECT_EQ(lines[AccessLogBuffer::kFailuresPerSecond]["left_out"], 4000);
  EXPECT_EQ(lines.back()["status"], 502);
  unlink(path.c_str());
}

TEST_F(AccessLogTest, APathThatCannotBeOpenedIsAnError) {
  auto log = AccessLog::open({.path = "/nonexistent/dir/log"});
  ASSERT_FALSE(log.has_value());
  EXPECT_EQ(log.error().detail,
            "access_log.path: cannot open /nonexistent/dir/log: No such file or directory");
}

}  // namespace
}  // namespace tulle::telemetry
