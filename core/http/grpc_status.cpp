#include "core/http/grpc_status.hpp"

#include <charconv>

namespace tulle {

namespace {

constexpr std::string_view kNames[] = {
    "OK",          "CANCELLED",          "UNKNOWN",           "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED", "NOT_FOUND",    "ALREADY_EXISTS",    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",   "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL",         "UNAVAILABLE",       "DATA_LOSS",
    "UNAUTHENTICATED"};
constexpr int kLast = static_cast<int>(GrpcCode::unauthenticated);
static_assert(std::size(kNames) == kLast + 1);

// Fields that hold a message have bounds of their own (HttpLimits::trailer_weight), and other
// implementations' are smaller.
constexpr size_t kMaxMessage = 2048;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string_view to_string(GrpcCode code) { return kNames[static_cast<int>(code)]; }

std::string GrpcStatus::to_string() const {
  std::string text(tulle::to_string(code));
  if (!message.empty()) text.append(": ").append(message);
  return text;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const unsigned char c : text) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out.push_back(static_cast<char>(c));
    } else {
      out.push_back('%');
      out.push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                        hex_digit(text[i + 2]) >= 0;
    if (!escape) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2])));
    i += 2;
  }
  return out;
}

void add_status(Fields& fields, const GrpcStatus& status) {
  fields.add(FieldId::grpc_status, std::to_string(static_cast<int>(status.code)));
  if (!status.message.empty()) {
    fields.add(FieldId::grpc_message,
               percent_encode(std::string_view(status.message).substr(0, kMaxMessage)));
  }
}

std::optional<GrpcStatus> status_in(const Fields& fields) {
  const std::optional<std::string_view> number = fields.get(FieldId::grpc_status);
  if (!number) return std::nullopt;
  GrpcStatus status;
  if (const auto message = fields.get(FieldId::grpc_message)) {
    status.message = percent_decode(*message);
  }
  int code = -1;
  const char* end = number->data() + number->size();
  const auto parsed = std::from_chars(number->data(), end, code);
  const bool known = parsed.ec == std::errc{} && parsed.ptr == end && code >= 0 && code <= kLast;
  status.code = known ? static_cast<GrpcCode>(code) : GrpcCode::unknown;
  return status;
}

bool is_grpc(const Fields& fields) {
  constexpr std::string_view kType = "application/grpc";
  const auto type = fields.get(FieldId::content_type);
  if (!type || !type->starts_with(kType)) return false;
  return type->size() == kType.size() || (*type)[kType.size()] == '+';
}

GrpcStatus status_of_http(int http_status) {
  std::string message = "HTTP status " + std::to_string(http_status) + " without a grpc-status";
  switch (http_status) {
    case 400: return {GrpcCode::internal, std::move(message)};
    case 401: return {GrpcCode::unauthenticated, std::move(message)};
    case 403: return {GrpcCode::permission_denied, std::move(message)};
    case 404: return {GrpcCode::unimplemented, std::move(message)};
    case 429:
    case 502:
    case 503:
    case 504: return {GrpcCode::unavailable, std::move(message)};
    default: return {GrpcCode::unknown, std::move(message)};
  }
}

GrpcCode code_for_http(int http_status) {
  switch (http_status) {
    case 429: return GrpcCode::resource_exhausted;
    case 504: return GrpcCode::deadline_exceeded;
    default: return status_of_http(http_status).code;
  }
}

GrpcStatus status_of_failure(const Error& failure) {
  std::string message(to_string(failure.code));
  if (!failure.detail.empty()) message.append(": ").append(failure.detail);
  switch (failure.code) {
    case Code::cancelled: return {GrpcCode::cancelled, std::move(message)};
    case Code::request_timeout:
    case Code::attempt_timeout:
    case Code::deadline_exceeded: return {GrpcCode::deadline_exceeded, std::move(message)};
    case Code::overloaded:
    case Code::rate_limited: return {GrpcCode::resource_exhausted, std::move(message)};
    case Code::denied: return {GrpcCode::permission_denied, std::move(message)};
    case Code::unauthenticated: return {GrpcCode::unauthenticated, std::move(message)};
    case Code::protocol_error:
    case Code::upstream_protocol_error:
    case Code::bad_request:
    case Code::internal: return {GrpcCode::internal, std::move(message)};
    // Nothing reached the peer, or it went away: another try may succeed.
    default: return {GrpcCode::unavailable, std::move(message)};
  }
}

}  // namespace tulle
