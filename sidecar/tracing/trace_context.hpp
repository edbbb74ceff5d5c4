// TraceContext: the trace that a request belongs to, as its fields say, and as the next hop hears.
//
// Pure values. W3C Trace Context (traceparent, tracestate) counts first, then the single b3 field, then
// X-B3-*. What is malformed counts as absent, as the specifications ask. What came in as B3 leaves as
// B3 too, so that applications which know only that stay part of the trace.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/http/head.hpp"

namespace tulle::tracing {

struct TraceId {
  uint64_t high = 0;
  uint64_t low = 0;
  bool valid() const { return high != 0 || low != 0; }
  friend bool operator==(const TraceId&, const TraceId&) = default;
};
using SpanId = uint64_t;  // 0: none

struct TraceContext {
  enum class Sampling : uint8_t { undecided, no, yes };
  TraceId trace;            // invalid: the request belongs to none
  SpanId parent = 0;
  Sampling sampling = Sampling::undecided;
  bool w3c = false;         // of a valid traceparent: tracestate belongs to this trace
};

using TraceIdText = std::array<char, 32>;
using SpanIdText = std::array<char, 16>;
TraceIdText to_text(TraceId id);   // lower-case hex, without a terminating zero
SpanIdText to_text(SpanId id);

TraceContext read_trace_context(const Fields& fields);

// `fields` are those of the request as it goes on: everything that came in is already there. Replaces
// traceparent, and the B3 fields that are there, by `trace` with `span` as the parent.
void write_trace_context(TraceId trace, SpanId span, bool sampled, Fields& fields);

// The same in one byte of a compressed head, for a hop that makes the same trace of the request id:
// it is not sampled, and nothing else is to be known.
void write_unsampled(Fields& fields);

// The trace that a request id of 16 or 32 hex digits stands for; else invalid.
TraceId trace_of(std::string_view request_id);

}  // namespace tulle::tracing
