// Span: one finished operation of a trace; SpanWriter: whoever puts it into a wire format.
//
// A span is written once, straight into the bytes that will be sent: begin(), attributes, end(). Views
// are looked at during the call only. Attribute names are OpenTelemetry's where it has one, else
// "tulle.*".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.hpp"
#include "sidecar/tracing/trace_context.hpp"

namespace tulle::tracing {

struct Span {
  enum class Kind : uint8_t { server, client };
  TraceId trace;
  SpanId id = 0;
  SpanId parent = 0;              // 0: the root of its trace
  Kind kind = Kind::server;
  std::string_view method;        // the name is "METHOD target"
  std::string_view target;        // what it is about: a route, a cluster; may be empty
  std::string_view trace_state;   // as received
  WallTime began;
  Duration took{};
  std::string_view failure;       // a stable error code; empty: it went well
};

// Spans as a writer has left them, in pieces: a request is put together from several batches.
using WrittenSpans = std::vector<std::string_view>;

class SpanWriter {
 public:
  virtual ~SpanWriter() = default;
  virtual void begin(const Span& span, std::string& out) = 0;
  virtual void text(std::string_view key, std::string_view value) = 0;  // empty: left out
  virtual void number(std::string_view key, int64_t value) = 0;
  virtual void end() = 0;
};

}  // namespace tulle::tracing
