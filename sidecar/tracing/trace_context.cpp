#include "sidecar/tracing/trace_context.hpp"

#include <optional>

namespace tulle::tracing {
namespace {

using Sampling = TraceContext::Sampling;

constexpr std::string_view kParentSpan = "x-b3-parentspanid";
constexpr std::string_view kFlags = "x-b3-flags";
constexpr char kHex[] = "0123456789abcdef";
// W3C Trace Context 3.2: version, trace id, parent id, flags.
constexpr size_t kTraceparentSize = 55;

template <size_t kDigits>
void write_hex(uint64_t number, char* into) {
  for (size_t i = kDigits; i-- > 0; number >>= 4) into[i] = kHex[number & 15];
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
  return TraceContext{trace, *parent, (*flags & 1) != 0 ? Sampling::yes : Sampling::no};
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
    return TraceContext{{}, 0, sampling};
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

std::string_view view(const TraceIdText& text) { return {text.data(), text.size()}; }
std::string_view view(const SpanIdText& text) { return {text.data(), text.size()}; }

void write_b3(TraceId trace, SpanId span, bool sampled, Fields& fields) {
  const TraceIdText trace_text = to_text(trace);
  const SpanIdText span_text = to_text(span);
  if (fields.has(FieldId::b3)) {
    std::string single(view(trace_text));
    single.append("-").append(view(span_text)).append(sampled ? "-1" : "-0");
    fields.set(FieldId::b3, single);
  }
  if (fields.has(FieldId::x_b3_traceid) || fields.has(FieldId::x_b3_sampled)) {
    fields.set(FieldId::x_b3_traceid, view(trace_text));
    fields.set(FieldId::x_b3_spanid, view(span_text));
    fields.set(FieldId::x_b3_sampled, sampled ? "1" : "0");
    fields.remove(kParentSpan);  // of the span that came in, not of ours
  }
}

}  // namespace

TraceIdText to_text(TraceId id) {
  TraceIdText text;
  write_hex<16>(id.high, text.data());
  write_hex<16>(id.low, text.data() + 16);
  return text;
}

SpanIdText to_text(SpanId id) {
  SpanIdText text;
  write_hex<16>(id, text.data());
  return text;
}

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
  write_hex<16>(trace.high, parent.data() + 3);
  write_hex<16>(trace.low, parent.data() + 19);
  write_hex<16>(span, parent.data() + 36);
  parent[53] = '0';
  parent[54] = sampled ? '1' : '0';
  // What another trace has left behind there says nothing about this one (W3C 3.3.1.5).
  if (!fields.has(FieldId::traceparent) && fields.has(FieldId::tracestate)) fields.remove(FieldId::tracestate);
  fields.set(FieldId::traceparent, {parent.data(), parent.size()});
  write_b3(trace, span, sampled, fields);
}

std::array<char, 36> request_id_of(uint64_t high, uint64_t low) {
  high = (high & ~uint64_t{0xf000}) | 0x4000;                            // version 4
  low = (low & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);              // variant 10
  std::array<char, 36> text;
  write_hex<8>(high >> 32, text.data());
  write_hex<4>(high >> 16 & 0xffff, text.data() + 9);
  write_hex<4>(high & 0xffff, text.data() + 14);
  write_hex<4>(low >> 48, text.data() + 19);
  write_hex<12>(low & 0xffffffffffff, text.data() + 24);
  text[8] = text[13] = text[18] = text[23] = '-';
  return text;
}

}  // namespace tulle::tracing
