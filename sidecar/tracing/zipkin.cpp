#include "sidecar/tracing/zipkin.hpp"

#include <algorithm>
#include <utility>

namespace tulle::tracing {
namespace {

// Bytes outside ASCII are not known to be UTF-8; as escapes they are valid JSON in any case.
void quoted(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      ((out += "\\u00") += kHex[byte >> 4]) += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

template <class Text>
void member(const char* key, const Text& hex, std::string& out) {
  ((out += key) += '"').append(hex.data(), hex.size()) += '"';
}

}  // namespace

void ZipkinSpanWriter::begin(const Span& span, std::string& out) {
  out_ = &out;
  failure_ = span.failure;
  first_tag_ = true;
  member("{\"traceId\":", to_text(span.trace), out);
  member(",\"id\":", to_text(span.id), out);
  if (span.parent != 0) member(",\"parentId\":", to_text(span.parent), out);
  out += span.kind == Span::Kind::server ? ",\"kind\":\"SERVER\"" : ",\"kind\":\"CLIENT\"";
  std::string name(span.method);
  if (!span.target.empty()) (name += ' ') += span.target;
  out += ",\"name\":";
  quoted(name, out);
  (out += ",\"timestamp\":") += std::to_string(span.began.us);
  // Zipkin takes whole microseconds, and none for nothing.
  (out += ",\"duration\":") += std::to_string(std::max<int64_t>(1, span.took.count() / 1000));
  out += ",\"localEndpoint\":{\"serviceName\":";
  quoted(service_, out);
  out += "},\"tags\":{";
}

void ZipkinSpanWriter::text(std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (!std::exchange(first_tag_, false)) *out_ += ',';
  quoted(key, *out_);
  *out_ += ':';
  quoted(value, *out_);
}

// Tags are texts in Zipkin.
void ZipkinSpanWriter::number(std::string_view key, int64_t value) { text(key, std::to_string(value)); }

void ZipkinSpanWriter::end() {
  text("error", failure_);
  *out_ += "}},";
}

std::string zipkin_request(const WrittenSpans& spans) {
  size_t size = 2;
  for (const std::string_view piece : spans) size += piece.size();
  std::string body;
  body.reserve(size);
  body += '[';
  for (const std::string_view piece : spans) body += piece;
  if (body.size() > 1) body.pop_back();  // the comma behind the last
  body += ']';
  return body;
}

}  // namespace tulle::tracing
