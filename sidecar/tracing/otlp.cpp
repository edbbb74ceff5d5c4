#include "sidecar/tracing/otlp.hpp"

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "tulle/version.hpp"

namespace tulle::tracing {
namespace {

enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Writing into room that the caller has made; the new end is returned. Fields below 16 have a tag of
// one byte, and there are no others here.
constexpr size_t kVarintRoom = 10;

char* put_varint(uint64_t value, char* at) {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

char* put_tag(uint32_t field, Wire wire, char* at) {
  *at++ = static_cast<char>(field << 3 | wire);
  return at;
}

char* put_text(std::string_view text, char* at) {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

constexpr size_t bytes_room(size_t size) { return 1 + kVarintRoom + size; }
size_t bytes_size(size_t size) { return 1 + varint_size(size) + size; }

char* put_bytes(uint32_t field, std::string_view value, char* at) {
  at = put_varint(value.size(), put_tag(field, kBytes, at));
  return put_text(value, at);
}

char* put_fixed64(uint32_t field, uint64_t value, char* at) {
  const uint64_t wire = htole64(value);
  std::memcpy(put_tag(field, kFixed64, at), &wire, sizeof(wire));
  return at + 1 + sizeof(wire);
}

char* put_big_endian(uint64_t value, char* at) {
  const uint64_t wire = htobe64(value);
  std::memcpy(at, &wire, sizeof(wire));
  return at + sizeof(wire);
}

char* put_span_id(uint32_t field, SpanId id, char* at) {
  return put_big_endian(id, put_varint(8, put_tag(field, kBytes, at)));
}

// KeyValue {key = 1, value = 2}, AnyValue {string_value = 1, int_value = 3}.
char* put_key(uint32_t field, std::string_view key, size_t value_size, char* at) {
  at = put_varint(bytes_size(key.size()) + bytes_size(value_size), put_tag(field, kBytes, at));
  return put_varint(value_size, put_tag(2, kBytes, put_bytes(1, key, at)));
}

char* put_attribute(uint32_t field, std::string_view key, std::string_view value, char* at) {
  return put_bytes(1, value, put_key(field, key, bytes_size(value.size()), at));
}

char* put_attribute(uint32_t field, std::string_view key, uint64_t value, char* at) {
  at = put_key(field, key, 1 + varint_size(value), at);
  return put_varint(value, put_tag(3, kVarint, at));
}

constexpr size_t attribute_room(size_t key, size_t value) { return 4 * bytes_room(0) + key + value; }

// For what is made once per request and not once per span.
void append_bytes(uint32_t field, std::string_view value, std::string& out) {
  char head[bytes_room(0)];
  out.append(head, put_varint(value.size(), put_tag(field, kBytes, head)));
  out += value;
}

void append_attribute(uint32_t field, std::string_view key, std::string_view value, std::string& out) {
  const size_t before = out.size();
  out.resize(before + attribute_room(key.size(), value.size()));
  const char* end = put_attribute(field, key, value, out.data() + before);
  out.resize(static_cast<size_t>(end - out.data()));
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

// At least so many bytes behind what has been written.
char* OtlpSpanWriter::room(size_t bytes) {
  if (span_.size() - used_ < bytes) span_.resize(std::max(2 * span_.size(), used_ + bytes));
  return span_.data() + used_;
}

void OtlpSpanWriter::written(const char* end) { used_ = static_cast<size_t>(end - span_.data()); }

// Span {trace_id = 1, span_id = 2, trace_state = 3, parent_span_id = 4, name = 5, kind = 6,
// start_time_unix_nano = 7, end_time_unix_nano = 8, attributes = 9, status = 15}.
void OtlpSpanWriter::begin(const Span& span, std::string& out) {
  out_ = &out;
  failure_ = span.failure;
  used_ = 0;
  const size_t texts = span.trace_state.size() + span.method.size() + span.target.size();
  char* at = room(8 * bytes_room(16) + texts);
  at = put_varint(16, put_tag(1, kBytes, at));
  at = put_big_endian(span.trace.low, put_big_endian(span.trace.high, at));
  at = put_span_id(2, span.id, at);
  if (!span.trace_state.empty()) at = put_bytes(3, span.trace_state, at);
  if (span.parent != 0) at = put_span_id(4, span.parent, at);
  const size_t name = span.method.size() + (span.target.empty() ? 0 : 1 + span.target.size());
  at = put_text(span.method, put_varint(name, put_tag(5, kBytes, at)));
  if (!span.target.empty()) {
    *at++ = ' ';
    at = put_text(span.target, at);
  }
  at = put_varint(span.kind == Span::Kind::server ? 2 : 3, put_tag(6, kVarint, at));
  const auto began = static_cast<uint64_t>(span.began.us) * 1000;
  at = put_fixed64(7, began, at);
  written(put_fixed64(8, began + static_cast<uint64_t>(span.took.count()), at));
}

void OtlpSpanWriter::text(std::string_view key, std::string_view value) {
  if (value.empty()) return;
  written(put_attribute(9, key, value, room(attribute_room(key.size(), value.size()))));
}

void OtlpSpanWriter::number(std::string_view key, int64_t value) {
  char* at = room(attribute_room(key.size(), kVarintRoom));
  written(put_attribute(9, key, static_cast<uint64_t>(value), at));
}

// Status {message = 2, code = 3}; code 2 is an error. What is written here goes into
// ScopeSpans.spans = 2.
void OtlpSpanWriter::end() {
  if (!failure_.empty()) {
    text("error.type", failure_);
    char* at = put_varint(2, put_tag(15, kBytes, room(16)));
    written(put_varint(2, put_tag(3, kVarint, at)));
  }
  append_bytes(2, {span_.data(), used_}, *out_);
}

// ExportTraceServiceRequest {resource_spans = 1}, ResourceSpans {resource = 1, scope_spans = 2},
// Resource {attributes = 1}, ScopeSpans {scope = 1, spans = 2}, InstrumentationScope {name = 1, version = 2}.
std::string otlp_request(std::string_view service, std::string_view instance,
                         const WrittenSpans& spans) {
  size_t size = 0;
  for (const std::string_view piece : spans) size += piece.size();
  std::string resource;
  append_attribute(1, "service.name", service, resource);
  if (!instance.empty()) append_attribute(1, "service.instance.id", instance, resource);
  std::string scope;
  append_bytes(1, "tulle", scope);
  append_bytes(2, kVersion, scope);
  const size_t scope_spans = bytes_size(scope.size()) + size;
  std::string request;
  request.reserve(size + resource.size() + scope.size() + 64);
  char head[bytes_room(0)];
  const size_t resource_spans = bytes_size(resource.size()) + bytes_size(scope_spans);
  request.append(head, put_varint(resource_spans, put_tag(1, kBytes, head)));
  append_bytes(1, resource, request);
  request.append(head, put_varint(scope_spans, put_tag(2, kBytes, head)));
  append_bytes(1, scope, request);
  for (const std::string_view piece : spans) request += piece;
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
