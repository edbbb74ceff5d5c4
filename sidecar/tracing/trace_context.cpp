#include "sidecar/tracing/trace_context.hpp"

#include <cstring>
#include <optional>

namespace tulle::tracing {
namespace {

using Sampling = TraceContext::Sampling;

constexpr std::string_view kParentSpan = "x-b3-parentspanid";
constexpr std::string_view kFlags = "x-b3-flags";
// Two digits per byte.
constexpr std::array<char, 512> kHex = [] {
  std::array<char, 512> pairs{};
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = "0123456789abcdef"[i % 2 == 0 ? i / 32 : i / 2 % 16];
  }
  return pairs;
}();
// W3C Trace Context 3.2: version, trace id, parent id, flags.
constexpr size_t kTraceparentSize = 55;

void write_hex(uint64_t number, char* into) {
  for (size_t i = 16; i > 0; number >>= 8) {
    i -= 2;
    std::memcpy(into + i, &kHex[2 * (number & 0xff)], 2);
  }
}

std::optional<uint64_t> read_hex(std::string_view text, bool upper_case_too) {
  uint64_t number = 0;
  for (const char c : text) {
    uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint64_t>(c - 'a' + 10);
    } else if (upper_case_too && c >= 'A' && c <= 'F') {
      digit = static_cast<uint64_t>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
    number = number << 4 | digit;
  }
  return number;
}

// 16 or 32 digits; B3 allows both, W3C only 32.
TraceId read_trace_id(std::string_view text, bool upper_case_too) {
  if (text.size() != 16 && text.size() != 32) return {};
  const auto low = read_hex(text.substr(text.size() - 16), upper_case_too);
  const auto high = read_hex(text.substr(0, text.size() - 16), upper_case_too);
  return low && high ? TraceId{*high, *low} : TraceId{};
}

// A later version may append to what is known of version 00; ff is no version.
std::optional<TraceContext> read_traceparent(std::string_view text) {
  if (text.size() < kTraceparentSize || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  const auto version = read_hex(text.substr(0, 2), false);
  if (!version || *version == 0xff) return {};
  if (*version == 0 ? text.size() != kTraceparentSize
                    : text.size() > kTraceparentSize && text[kTraceparentSize] != '-') {
    return {};
  }
  const auto parent = read_hex(text.substr(36, 16), false);
  const auto flags = read_hex(text.substr(53, 2), false);
  const TraceId trace = read_trace_id(text.substr(3, 32), false);
  if (!trace.valid() || !parent || *parent == 0 || !flags) return {};
  return TraceContext{trace, *parent, (*flags & 1) != 0 ? Sampling::yes : Sampling::no, true};
}

Sampling read_b3_sampling(std::string_view text) {
  if (text == "1" || text == "d" || text == "true") return Sampling::yes;
  return text == "0" || text == "false" ? Sampling::no : Sampling::undecided;
}

// "{trace}-{span}-{sampling}-{parent}", the last two optional; or the sampling alone.
std::optional<TraceContext> read_b3(std::string_view text) {
  const size_t first = text.find('-');
  if (first == std::string_view::npos) {
    const Sampling sampling = read_b3_sampling(text);
    if (sampling == Sampling::undecided) return {};
    return TraceContext{.sampling = sampling};
  }
  TraceContext found;
  found.trace = read_trace_id(text.substr(0, first), true);
  text.remove_prefix(first + 1);
  const size_t second = text.find('-');
  const std::string_view span = text.substr(0, second);
  const auto parent = read_hex(span, true);
  if (!found.trace.valid() || span.size() != 16 || !parent || *parent == 0) return {};
  found.parent = *parent;
  if (second != std::string_view::npos) {
    found.sampling = read_b3_sampling(text.substr(second + 1, text.find('-', second + 1) - second - 1));
  }
  return found;
}

TraceContext read_b3_fields(const Fields& fields) {
  TraceContext found;
  found.sampling = read_b3_sampling(fields.get(FieldId::x_b3_sampled).value_or(""));
  if (fields.get(kFlags) == "1") found.sampling = Sampling::yes;
  const std::string_view span = fields.get(FieldId::x_b3_spanid).value_or("");
  const TraceId trace = read_trace_id(fields.get(FieldId::x_b3_traceid).value_or(""), true);
  const auto parent = read_hex(span, true);
  if (trace.valid() && span.size() == 16 && parent && *parent != 0) {
    found.trace = trace;
    found.parent = *parent;
  }
  return found;
}

void write_b3(TraceId trace, SpanId span, bool sampled, Fields& fields) {
  char single[51];  // "{trace}-{span}-{sampling}"
  const std::string_view trace_text(single, 32);
  const std::string_view span_text(single + 33, 16);
  write_hex(trace.high, single);
  write_hex(trace.low, single + 16);
  write_hex(span, single + 33);
  single[32] = single[49] = '-';
  single[50] = sampled ? '1' : '0';
  if (fields.has(FieldId::b3)) fields.set(FieldId::b3, {single, sizeof(single)});
  if (fields.has(FieldId::x_b3_traceid) || fields.has(FieldId::x_b3_sampled)) {
    fields.set(FieldId::x_b3_traceid, trace_text);
    fields.set(FieldId::x_b3_spanid, span_text);
    fields.set(FieldId::x_b3_sampled, sampled ? "1" : "0");
    fields.remove(kParentSpan);  // of the span that came in, not of ours
    if (!sampled) fields.remove(kFlags);  // "debug" would mean the contrary
  }
}

}  // namespace

TraceIdText to_text(TraceId id) {
  TraceIdText text;
  write_hex(id.high, text.data());
  write_hex(id.low, text.data() + 16);
  return text;
}

SpanIdText to_text(SpanId id) {
  SpanIdText text;
  write_hex(id, text.data());
  return text;
}

TraceId trace_of(std::string_view request_id) { return read_trace_id(request_id, false); }

TraceContext read_trace_context(const Fields& fields) {
  if (fields.has(FieldId::traceparent) && fields.count(FieldId::traceparent) == 1) {
    if (const auto found = read_traceparent(*fields.get(FieldId::traceparent))) return *found;
  }
  if (fields.has(FieldId::b3)) {
    if (const auto found = read_b3(*fields.get(FieldId::b3))) return *found;
  }
  if (fields.has(FieldId::x_b3_traceid) || fields.has(FieldId::x_b3_sampled)) return read_b3_fields(fields);
  return {};
}

void write_trace_context(TraceId trace, SpanId span, bool sampled, Fields& fields) {
  std::array<char, kTraceparentSize> parent;
  parent[0] = parent[1] = '0';
  parent[2] = parent[35] = parent[52] = '-';
  write_hex(trace.high, parent.data() + 3);
  write_hex(trace.low, parent.data() + 19);
  write_hex(span, parent.data() + 36);
  parent[53] = '0';
  parent[54] = sampled ? '1' : '0';
  fields.set(FieldId::traceparent, {parent.data(), parent.size()});
  if (fields.has(FieldId::b3) || fields.has(FieldId::x_b3_traceid) || fields.has(FieldId::x_b3_sampled)) {
    write_b3(trace, span, sampled, fields);
  }
}

void write_unsampled(Fields& fields) {
  fields.remove(FieldId::traceparent);
  fields.set(FieldId::b3, "0");
}

}  // namespace tulle::tracing
