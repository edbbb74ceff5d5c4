#include "sidecar/tracing/trace_context.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tulle::tracing {
namespace {

using Sampling = TraceContext::Sampling;

constexpr TraceId kTrace{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736};
constexpr SpanId kSpan = 0x00f067aa0ba902b7;
const std::string kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

Fields fields(std::initializer_list<std::pair<std::string_view, std::string_view>> all) {
  Fields made;
  for (const auto& [name, value] : all) made.add(name, value);
  return made;
}

TEST(TraceContext, ReadsTraceparent) {
  const TraceContext found = read_trace_context(fields({{"traceparent", kParent}}));
  EXPECT_EQ(found.trace, kTrace);
  EXPECT_EQ(found.parent, kSpan);
  EXPECT_EQ(found.sampling, Sampling::yes);
  const std::string unsampled = kParent.substr(0, 53) + "00";
  EXPECT_EQ(read_trace_context(fields({{"traceparent", unsampled}})).sampling, Sampling::no);
}

TEST(TraceContext, ALaterVersionMayHaveMore) {
  EXPECT_TRUE(read_trace_context(fields({{"traceparent", "01" + kParent.substr(2) + "-more"}})).trace.valid());
  EXPECT_TRUE(read_trace_context(fields({{"traceparent", "cc" + kParent.substr(2)}})).trace.valid());
  EXPECT_FALSE(read_trace_context(fields({{"traceparent", kParent + "-more"}})).trace.valid());
  EXPECT_FALSE(read_trace_context(fields({{"traceparent", "01" + kParent.substr(2) + ".more"}})).trace.valid());
}

TEST(TraceContext, WhatIsMalformedIsAbsent) {
  const std::string zero_trace = "00-" + std::string(32, '0') + kParent.substr(35);
  const std::string zero_span = kParent.substr(0, 36) + std::string(16, '0') + "-01";
  const std::string upper = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
  for (const std::string& value : {std::string(), kParent.substr(1), "ff" + kParent.substr(2), zero_trace, zero_span,
                                   upper, kParent.substr(0, 53) + "0g"}) {
    EXPECT_FALSE(read_trace_context(fields({{"traceparent", value}})).trace.valid()) << value;
  }
  EXPECT_FALSE(read_trace_context(fields({{"traceparent", kParent}, {"traceparent", kParent}})).trace.valid())
      << "two of them contradict each other";
}

TEST(TraceContext, ReadsBothFormsOfB3) {
  const TraceContext single =
      read_trace_context(fields({{"b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90"}}));
  EXPECT_EQ(single.trace, kTrace);
  EXPECT_EQ(single.parent, kSpan);
  EXPECT_EQ(single.sampling, Sampling::yes);
  EXPECT_EQ(read_trace_context(fields({{"b3", "a3ce929d0e0e4736-00f067aa0ba902b7"}})).trace, (TraceId{0, kTrace.low}))
      << "64 bits are enough in B3";
  EXPECT_EQ(read_trace_context(fields({{"b3", "0"}})).sampling, Sampling::no);
  EXPECT_EQ(read_trace_context(fields({{"b3", "d"}})).sampling, Sampling::yes);
  const TraceContext multi = read_trace_context(fields({{"x-b3-traceid", "4BF92F3577B34DA6A3CE929D0E0E4736"},
                                                        {"x-b3-spanid", "00f067aa0ba902b7"},
                                                        {"x-b3-sampled", "0"}}));
  EXPECT_EQ(multi.trace, kTrace);
  EXPECT_EQ(multi.sampling, Sampling::no);
  EXPECT_EQ(read_trace_context(fields({{"x-b3-sampled", "1"}})).sampling, Sampling::yes) << "without any id";
}

TEST(TraceContext, TraceparentCountsBeforeB3) {
  const TraceContext found = read_trace_context(
      fields({{"b3", "00000000000000010000000000000002-0000000000000003-0"}, {"traceparent", kParent}}));
  EXPECT_EQ(found.trace, kTrace);
}

TEST(TraceContext, WritesWhatItReads) {
  Fields made;
  write_trace_context(kTrace, kSpan, true, made);
  EXPECT_EQ(made.get(FieldId::traceparent), kParent);
  EXPECT_EQ(made.size(), 1U) << "nobody asked for B3";
  EXPECT_EQ(read_trace_context(made).parent, kSpan);
}

TEST(TraceContext, B3GoesOnAsB3) {
  Fields single = fields({{"b3", "4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-1"}});
  write_trace_context(kTrace, kSpan, true, single);
  EXPECT_EQ(single.get(FieldId::b3), "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1");
  EXPECT_EQ(single.get(FieldId::traceparent), kParent);
  Fields multi = fields({{"x-b3-traceid", "4bf92f3577b34da6a3ce929d0e0e4736"},
                         {"x-b3-spanid", "0000000000000001"},
                         {"x-b3-parentspanid", "0000000000000002"},
                         {"x-b3-sampled", "1"}});
  write_trace_context(kTrace, kSpan, true, multi);
  EXPECT_EQ(multi.get(FieldId::x_b3_spanid), "00f067aa0ba902b7");
  EXPECT_FALSE(multi.get("x-b3-parentspanid"));
}

TEST(TraceContext, SaysWhetherTracestateBelongsToIt) {
  EXPECT_TRUE(read_trace_context(fields({{"traceparent", kParent}})).w3c);
  EXPECT_FALSE(read_trace_context(fields({{"traceparent", kParent.substr(1)}})).w3c);
  EXPECT_FALSE(read_trace_context(fields({{"b3", kParent.substr(3, 49)}})).w3c);
}

TEST(TraceContext, WhatIsNotSampledNeedsNoMore) {
  Fields made = fields({{"traceparent", kParent}});
  write_unsampled(made);
  EXPECT_EQ(made.size(), 1U);
  EXPECT_EQ(made.get(FieldId::b3), "0");
  EXPECT_EQ(read_trace_context(made).sampling, Sampling::no);
}

TEST(TraceContext, ARequestIdMayStandForATrace) {
  EXPECT_EQ(trace_of("a3ce929d0e0e4736"), (TraceId{0, kTrace.low}));
  EXPECT_EQ(trace_of("4bf92f3577b34da6a3ce929d0e0e4736"), kTrace);
  for (const char* other : {"", "mine", "0000000000000000", "7d0b3a52-9d2f-4ee4-8a2e-0e6a2b6f3c11", "A3CE929D0E0E4736"}) {
    EXPECT_FALSE(trace_of(other).valid()) << other;
  }
}

}  // namespace
}  // namespace tulle::tracing
