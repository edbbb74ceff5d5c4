// Trace context: whatever a request says of its trace, what we pass on is read as what we meant.
//
// Input: one field to a line, "name value"; names of the trace fields only.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sidecar/tracing/trace_context.hpp"

namespace tulle::tracing {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"traceparent", "b3", "x-b3-traceid",
                                                    "x-b3-spanid", "x-b3-sampled", "x-b3-flags"};

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

Fields fields_of(std::string_view text) {
  Fields fields;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::string_view name = line.substr(0, line.find(' '));
    if (std::find(kNames.begin(), kNames.end(), name) == kNames.end()) continue;
    fields.add(name, line.substr(std::min(line.size(), name.size() + 1)));
  }
  return fields;
}

void check_context(Fields fields) {
  const TraceContext read = read_trace_context(fields);
  check(read.trace.valid() == (read.parent != 0), "a trace comes with a parent, and a parent with a trace");
  check(!read.w3c || (read.trace.valid() && read.sampling != TraceContext::Sampling::undecided),
        "a traceparent says everything");
  const TraceId trace = read.trace.valid() ? read.trace : TraceId{1, 2};
  const bool sampled = read.sampling == TraceContext::Sampling::yes;
  const bool b3 = fields.has(FieldId::b3);
  const bool multi = fields.has(FieldId::x_b3_traceid) || fields.has(FieldId::x_b3_sampled);
  write_trace_context(trace, 3, sampled, fields);
  const auto same = [&](const TraceContext& again) {
    return again.trace == trace && again.parent == 3 &&
           again.sampling == (sampled ? TraceContext::Sampling::yes : TraceContext::Sampling::no);
  };
  check(same(read_trace_context(fields)), "traceparent is read as it was written");
  fields.remove(FieldId::traceparent);
  if (b3) check(same(read_trace_context(fields)), "and b3, where there was one");
  fields.remove(FieldId::b3);
  if (multi) check(same(read_trace_context(fields)), "and x-b3-*, where there were some");
}

}  // namespace
}  // namespace tulle::tracing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tulle::tracing::check_context(tulle::tracing::fields_of(text));
  return 0;
}
