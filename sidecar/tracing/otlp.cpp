#include "sidecar/tracing/otlp.hpp"

#include "tulle/version.hpp"

namespace tulle::tracing {
namespace {

enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void varint(uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

void tag(uint32_t field, Wire wire, std::string& out) { varint(field << 3 | wire, out); }

void bytes(uint32_t field, std::string_view value, std::string& out) {
  tag(field, kBytes, out);
  varint(value.size(), out);
  out += value;
}

void fixed64(uint32_t field, uint64_t value, std::string& out) {
  tag(field, kFixed64, out);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i));
}

void big_endian(uint64_t value, char* into) {
  for (int i = 0; i < 8; ++i) into[i] = static_cast<char>(value >> (56 - 8 * i));
}

void span_id(uint32_t field, SpanId id, std::string& out) {
  char raw[8];
  big_endian(id, raw);
  bytes(field, {raw, sizeof raw}, out);
}

// All fields below 16 have a tag of one byte.
size_t bytes_size(size_t size) { return 1 + varint_size(size) + size; }

// KeyValue {key = 1, value = 2}, AnyValue {string_value = 1, int_value = 3}.
void text_attribute(uint32_t field, std::string_view key, std::string_view value, std::string& out) {
  const size_t any = bytes_size(value.size());
  tag(field, kBytes, out);
  varint(bytes_size(key.size()) + bytes_size(any), out);
  bytes(1, key, out);
  tag(2, kBytes, out);
  varint(any, out);
  bytes(1, value, out);
}

void number_attribute(uint32_t field, std::string_view key, int64_t value, std::string& out) {
  const auto raw = static_cast<uint64_t>(value);
  const size_t any = 1 + varint_size(raw);
  tag(field, kBytes, out);
  varint(bytes_size(key.size()) + bytes_size(any), out);
  bytes(1, key, out);
  tag(2, kBytes, out);
  varint(any, out);
  tag(3, kVarint, out);
  varint(raw, out);
}

bool read_varint(std::string_view& from, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (from.empty()) return false;
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// The last occurrence of a field of that number and type counts. False: not there, or malformed.
template <class Found>
bool find_field(std::string_view message, uint32_t field, Wire wire, Found found) {
  bool any = false;
  while (!message.empty()) {
    uint64_t key = 0;
    uint64_t value = 0;
    if (!read_varint(message, key)) return false;
    const auto type = static_cast<uint32_t>(key & 7);
    std::string_view content;
    if (type == kVarint || type == kBytes) {
      if (!read_varint(message, value)) return false;
      if (type == kBytes) {
        if (value > message.size()) return false;
        content = message.substr(0, value);
        message.remove_prefix(value);
      }
    } else {
      const size_t size = type == kFixed64 ? 8 : type == kFixed32 ? 4 : SIZE_MAX;
      if (size > message.size()) return false;
      message.remove_prefix(size);
    }
    if (key >> 3 == field && type == wire) {
      found(value, content);
      any = true;
    }
  }
  return any;
}

}  // namespace

// Span {trace_id = 1, span_id = 2, trace_state = 3, parent_span_id = 4, name = 5, kind = 6,
// start_time_unix_nano = 7, end_time_unix_nano = 8, attributes = 9, status = 15}.
void OtlpSpanWriter::begin(const Span& span, std::string& out) {
  out_ = &out;
  failure_ = span.failure;
  span_.clear();
  char trace[16];
  big_endian(span.trace.high, trace);
  big_endian(span.trace.low, trace + 8);
  bytes(1, {trace, sizeof trace}, span_);
  span_id(2, span.id, span_);
  if (!span.trace_state.empty()) bytes(3, span.trace_state, span_);
  if (span.parent != 0) span_id(4, span.parent, span_);
  tag(5, kBytes, span_);
  varint(span.method.size() + (span.target.empty() ? 0 : 1 + span.target.size()), span_);
  span_ += span.method;
  if (!span.target.empty()) (span_ += ' ') += span.target;
  tag(6, kVarint, span_);
  varint(span.kind == Span::Kind::server ? 2 : 3, span_);
  const auto began = static_cast<uint64_t>(span.began.us) * 1000;
  fixed64(7, began, span_);
  fixed64(8, began + static_cast<uint64_t>(span.took.count()), span_);
}

void OtlpSpanWriter::text(std::string_view key, std::string_view value) {
  if (!value.empty()) text_attribute(9, key, value, span_);
}

void OtlpSpanWriter::number(std::string_view key, int64_t value) { number_attribute(9, key, value, span_); }

// Status {message = 2, code = 3}; code 2 is an error.
void OtlpSpanWriter::end() {
  if (!failure_.empty()) {
    text("error.type", failure_);
    tag(15, kBytes, span_);
    varint(2, span_);
    tag(3, kVarint, span_);
    varint(2, span_);
  }
  bytes(2, span_, *out_);  // ScopeSpans.spans
}

// ExportTraceServiceRequest {resource_spans = 1}, ResourceSpans {resource = 1, scope_spans = 2},
// Resource {attributes = 1}, ScopeSpans {scope = 1, spans = 2}, InstrumentationScope {name = 1, version = 2}.
std::string otlp_request(std::string_view service, std::string_view instance, std::string_view spans) {
  std::string resource;
  text_attribute(1, "service.name", service, resource);
  if (!instance.empty()) text_attribute(1, "service.instance.id", instance, resource);
  std::string scope;
  bytes(1, "tulle", scope);
  bytes(2, kVersion, scope);
  const size_t scope_spans = bytes_size(scope.size()) + spans.size();
  std::string request;
  request.reserve(spans.size() + resource.size() + scope.size() + 64);
  tag(1, kBytes, request);
  varint(bytes_size(resource.size()) + bytes_size(scope_spans), request);
  bytes(1, resource, request);
  tag(2, kBytes, request);
  varint(scope_spans, request);
  bytes(1, scope, request);
  request += spans;
  return request;
}

// ExportTraceServiceResponse {partial_success = 1}, ExportTracePartialSuccess {rejected_spans = 1}.
uint64_t otlp_rejected(std::string_view response) {
  uint64_t rejected = 0;
  find_field(response, 1, kBytes, [&](uint64_t, std::string_view partial) {
    find_field(partial, 1, kVarint, [&](uint64_t count, std::string_view) { rejected = count; });
  });
  return rejected;
}

}  // namespace tulle::tracing
