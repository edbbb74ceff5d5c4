#include "core/http/grpc_timeout.hpp"

#include <gtest/gtest.h>

namespace tulle {
namespace {

TEST(GrpcTimeout, Units) {
  EXPECT_EQ(parse_grpc_timeout("2H"), 2h);
  EXPECT_EQ(parse_grpc_timeout("3M"), 3min);
  EXPECT_EQ(parse_grpc_timeout("10S"), 10s);
  EXPECT_EQ(parse_grpc_timeout("1500m"), 1500ms);
  EXPECT_EQ(parse_grpc_timeout("7u"), 7us);
  EXPECT_EQ(parse_grpc_timeout("00000001n"), 1ns);
  EXPECT_EQ(parse_grpc_timeout("0n"), 0ns);
}

TEST(GrpcTimeout, WhatIsNoTimeoutSaysNothing) {
  for (const char* text : {"", "S", "1", "999999999S", "-1S", "+1S", "1x", "1s", " 1S", "1S ", "1 S",
                           "0x1S", "1.5S", "1S1S", "18446744073709551616n"}) {
    EXPECT_EQ(parse_grpc_timeout(text), std::nullopt) << text;
  }
}

// 99999999 hours are more nanoseconds than a Duration holds.
TEST(GrpcTimeout, TheLongestIsBoundedAndPositive) {
  const std::optional<Duration> longest = parse_grpc_timeout("99999999H");
  ASSERT_TRUE(longest);
  EXPECT_GT(*longest, std::chrono::hours(24 * 365 * 99));
  EXPECT_GT(Instant{} + *longest, Instant{});
  EXPECT_LT(Instant{} + *longest, kNever);
  EXPECT_EQ(parse_grpc_timeout("99999999M"), longest);
  EXPECT_EQ(parse_grpc_timeout("99999999S"), 99'999'999s);
}

TEST(GrpcTimeout, AFieldThatComesTwiceSaysNothing) {
  Fields fields;
  EXPECT_EQ(grpc_timeout_in(fields), std::nullopt);
  fields.add("grpc-timeout", "1S");
  EXPECT_EQ(grpc_timeout_in(fields), 1s);
  fields.add("grpc-timeout", "1S");
  EXPECT_EQ(grpc_timeout_in(fields), std::nullopt);
}

TEST(GrpcTimeout, IsWrittenInEightDigitsAndNeverLonger) {
  EXPECT_EQ(grpc_timeout(1ns), "1u");
  EXPECT_EQ(grpc_timeout(999ns), "1u");
  EXPECT_EQ(grpc_timeout(1999ns), "1u");
  EXPECT_EQ(grpc_timeout(30s), "30000000u");
  EXPECT_EQ(grpc_timeout(99'999'999us), "99999999u");
  EXPECT_EQ(grpc_timeout(100s), "100000m");
  EXPECT_EQ(grpc_timeout(28h), "100800S");
  EXPECT_EQ(grpc_timeout(*parse_grpc_timeout("99999999H")), "52560000M");
  for (const Duration timeout : {Duration(1ms), Duration(1234567890ns), Duration(90000s), Duration(9999h)}) {
    const std::optional<Duration> again = parse_grpc_timeout(grpc_timeout(timeout));
    ASSERT_TRUE(again);
    EXPECT_LE(*again, timeout);
    EXPECT_GT(again->count(), timeout.count() / 1000 * 999);
  }
}

}  // namespace
}  // namespace tulle
