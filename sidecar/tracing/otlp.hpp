// OTLP: spans as the OpenTelemetry protocol has them (opentelemetry-proto 1.x, binary, over HTTP).
//
// Written by hand with varints rather than through generated classes: a span becomes bytes without
// an object in between, on the thread that serves requests. Field numbers stand beside their names.
#pragma once

#include "sidecar/tracing/span.hpp"

namespace tulle::tracing {

// Appends ScopeSpans.spans entries to `out`, one after the other: what a request body is made of.
class OtlpSpanWriter final : public SpanWriter {
 public:
  void begin(const Span& span, std::string& out) override;
  void text(std::string_view key, std::string_view value) override;
  void number(std::string_view key, int64_t value) override;
  void end() override;

 private:
  char* room(size_t bytes);
  void written(const char* end);

  std::string* out_ = nullptr;
  std::string span_;      // room for the one being written: its size goes first
  size_t used_ = 0;       // of span_
  std::string_view failure_;
};

// An ExportTraceServiceRequest around spans that were written before.
std::string otlp_request(std::string_view service, std::string_view instance,
                         const WrittenSpans& spans);
// What a collector says it did not take, of an ExportTraceServiceResponse; 0: everything was taken, or
// the answer says nothing that is understood.
uint64_t otlp_rejected(std::string_view response);

}  // namespace tulle::tracing
