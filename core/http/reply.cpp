#include "core/http/reply.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/http/grpc_status.hpp"
#include "core/net/task.hpp"

namespace tulle {
namespace {

// Only those of gRPC's numbers that the mesh answers with.
constexpr int kDeadlineExceeded = static_cast<int>(GrpcCode::deadline_exceeded);
constexpr int kPermissionDenied = static_cast<int>(GrpcCode::permission_denied);
constexpr int kResourceExhausted = static_cast<int>(GrpcCode::resource_exhausted);
constexpr int kUnimplemented = static_cast<int>(GrpcCode::unimplemented);
constexpr int kInternal = static_cast<int>(GrpcCode::internal);
constexpr int kUnavailable = static_cast<int>(GrpcCode::unavailable);
constexpr int kUnauthenticated = static_cast<int>(GrpcCode::unauthenticated);

struct Row {
  int http;
  int grpc;
  std::string_view title;
};

// The table of docs/operations.md. The codes at its end are normally translated by whoever saw
// them; the rows exist so that a forgotten translation still becomes a sensible answer.
Row row_of(Code code) {
  switch (code) {
    case Code::no_route: return {404, kUnimplemented, "No route matches the request"};
    case Code::no_endpoint: return {503, kUnavailable, "The service has no usable endpoint"};
    case Code::circuit_open: return {503, kUnavailable, "A limit towards the service is reached"};
    case Code::overloaded: return {503, kUnavailable, "Too much is waiting, or memory is short"};
    case Code::config_missing: return {503, kUnavailable, "The configuration has not arrived"};
    case Code::connect_failed: return {502, kUnavailable, "The endpoint refused the connection"};
    case Code::connect_timeout: return {502, kUnavailable, "The endpoint could not be reached in time"};
    case Code::tls_failed: return {502, kUnavailable, "TLS with the endpoint failed"};
    case Code::identity_mismatch: return {502, kUnavailable, "The endpoint is not who it should be"};
    case Code::upstream_reset: return {502, kUnavailable, "The endpoint broke off"};
    case Code::upstream_protocol_error:
      return {502, kUnavailable, "The endpoint violated the protocol"};
    case Code::request_timeout: return {504, kDeadlineExceeded, "The request took too long"};
    case Code::attempt_timeout: return {504, kDeadlineExceeded, "Every attempt took too long"};
    case Code::deadline_exceeded: return {504, kDeadlineExceeded, "The caller's deadline has passed"};
    case Code::rate_limited: return {429, kResourceExhausted, "Rate limit"};
    case Code::denied: return {403, kPermissionDenied, "Access denied"};
    case Code::unauthenticated: return {401, kUnauthenticated, "Not authenticated"};
    case Code::bad_request: return {400, kInternal, "Bad request"};
    case Code::header_too_large: return {431, kResourceExhausted, "Header fields too large"};
    case Code::uri_too_long: return {414, kInternal, "Request target too long"};
    case Code::not_implemented: return {501, kUnimplemented, "Not implemented"};
    case Code::version_not_supported: return {505, kInternal, "HTTP version not supported"};
    case Code::fault_injected: return {503, kUnavailable, "Fault injected by policy"};
    // GRPCRoute demands UNAVAILABLE for a backend that does not resolve.
    case Code::invalid_backend: return {500, kUnavailable, "The route names an invalid backend"};
    case Code::internal: return {500, kInternal, "Internal error"};
    case Code::closed:
    case Code::cancelled:
    case Code::refused_stream:
    case Code::protocol_error: return {502, kUnavailable, "The connection ended early"};
    case Code::idle_timeout: return {504, kDeadlineExceeded, "Nothing was heard for too long"};
    case Code::draining: return {503, kUnavailable, "Shutting down"};
    case Code::loop_detected: return {508, kInternal, "The request goes in a circle"};
    case Code::not_found: return {404, kUnimplemented, "Not found"};
    case Code::invalid_config:
    case Code::io_error:
    case Code::address_in_use: return {500, kInternal, "Internal error"};
  }
  UNREACHABLE();
}

// Details are sentences for people; a runaway one must not become a large answer.
constexpr size_t kMaxDetail = 1024;

std::string_view shortened(std::string_view detail) { return detail.substr(0, kMaxDetail); }

std::string problem_body(const Row& row, const Error& error, const ReplyContext& context) {
  nlohmann::ordered_json body;
  body["type"] = "urn:tulle:error:" + std::string(to_string(error.code));
  body["title"] = row.title;
  body["status"] = row.http;
  if (!error.detail.empty()) body["detail"] = shortened(error.detail);
  body["code"] = to_string(error.code);
  if (!context.hop.empty()) body["hop"] = context.hop;
  body["origin"] = to_string(error.origin);
  if (!context.trace_id.empty()) body["trace_id"] = context.trace_id;
  // Details may quote a peer's bytes: what is not UTF-8 is replaced.
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

GrpcStatus status_for(const Row& row, const Error& error) {
  std::string message(row.title);
  if (!error.detail.empty()) message.append(": ").append(shortened(error.detail));
  return {static_cast<GrpcCode>(row.grpc), std::move(message)};
}

void send_grpc_reply(Stream& stream, const Head& request, const Row& row, const Error& error) {
  Head& head = stream.draft();
  draft_grpc_answer(head, request, status_for(row, error));
  head.fields.add(FieldId::tulle_error, to_string(error.code));
  stream.send_head();
}

// The head is in the draft, except for the length.
void send_with_body(Stream& stream, std::string_view body, bool without_body) {
  Head& head = stream.draft();
  head.ended = without_body || body.empty();
  if (!without_body) head.content_length = body.size();
  const bool ended = head.ended;
  stream.send_head();
  if (ended) return;
  stream.send(Bytes(body));
  stream.finish();
}

bool asks_for_head(const Stream& stream) {
  return stream.head() != nullptr && stream.head()->method == Method::head;
}

void draft_text(Stream& stream, int status, std::string_view content_type) {
  Head& head = stream.draft();
  head.clear();
  head.status = status;
  if (!content_type.empty()) head.fields.add(FieldId::content_type, content_type);
}

// Sends a whole answer as the peer takes it.
class WholeReply final : public Task {
 public:
  WholeReply(Loop& loop, StreamRef stream, std::string body)
      : Task(loop), stream_(std::move(stream)), body_(std::move(body)) {
    stream_->set_owner(this);
  }

 private:
  void run() override {
    if (stream_ == nullptr) return;
    while (sent_ < body_.size()) {
      const size_t room = stream_->room();
      if (room == 0) break;
      const std::string_view part = std::string_view(body_).substr(sent_, room);
      stream_->send(Bytes(part));
      sent_ += part.size();
    }
    if (sent_ == body_.size()) stream_->finish();
    if (stream_->finished() || stream_->failure() != nullptr) stream_.reset();
  }

  StreamRef stream_;
  const std::string body_;
  size_t sent_ = 0;
};

}  // namespace

int http_status(Code code) { return row_of(code).http; }
int grpc_status(Code code) { return row_of(code).grpc; }

std::string_view response_flag(const Error& error) {
  const bool downstream = error.origin == Origin::downstream;
  switch (error.code) {
    case Code::no_route: return "NR";
    case Code::no_endpoint: return "UH";
    case Code::circuit_open:
    case Code::overloaded: return "UO";
    case Code::config_missing:
    case Code::loop_detected:
    case Code::invalid_backend: return "NC";
    case Code::connect_failed:
    case Code::connect_timeout:
    case Code::tls_failed:
    case Code::identity_mismatch: return "UF";
    case Code::upstream_reset:
    case Code::refused_stream: return "UR";
    case Code::upstream_protocol_error: return "UPE";
    case Code::request_timeout:
    case Code::attempt_timeout:
    case Code::deadline_exceeded: return "UT";
    case Code::rate_limited: return "RL";
    case Code::fault_injected: return "FI";
    case Code::bad_request:
    case Code::header_too_large:
    case Code::uri_too_long:
    case Code::version_not_supported: return "DPE";
    case Code::protocol_error: return downstream ? "DPE" : "UPE";
    case Code::closed:
    case Code::cancelled:
      if (downstream) return "DC";
      return error.origin == Origin::upstream ? "UC" : "LR";
    case Code::idle_timeout: return "SI";
    default: return {};
  }
}

void send_error_reply(Stream& stream, const Head& request, const Error& error,
                      const ReplyContext& context) {
  Row row = row_of(error.code);
  // A known method that is never allowed has a status of its own, and that wants to say what is
  // (RFC 9110, 15.5.6).
  const bool trace = request.method == Method::trace && error.code == Code::not_implemented;
  if (trace) row = {405, row.grpc, "This method is not allowed"};
  if (is_grpc(request)) return send_grpc_reply(stream, request, row, error);
  Head& head = stream.draft();
  head.clear();
  head.status = row.http;
  // A peer that keeps its window shut would make us keep the words; the head says what it is.
  const bool wordless = stream.shut();
  if (!wordless) head.fields.add(FieldId::content_type, "application/problem+json");
  head.fields.add(FieldId::tulle_error, to_string(error.code));
  if (trace) head.fields.add("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  if (wordless) return send_with_body(stream, {}, false);
  send_with_body(stream, problem_body(row, error, context), request.method == Method::head);
}

void add_error_status(Fields& trailers, const Error& error) {
  trailers.clear();
  add_status(trailers, status_for(row_of(error.code), error));
  trailers.add(FieldId::tulle_error, to_string(error.code));
}

void draft_grpc_answer(Head& head, const Head& request, const GrpcStatus& status) {
  head.clear();
  head.status = 200;
  head.fields.add(FieldId::content_type, *request.fields.get(FieldId::content_type));
  add_status(head.fields, status);
  head.ended = true;  // trailers-only: the head is the whole answer
}

void send_text_reply(Stream& stream, int status, std::string_view content_type,
                     std::string_view body) {
  draft_text(stream, status, content_type);
  send_with_body(stream, body, asks_for_head(stream));
}

std::unique_ptr<Task> serve_text(Loop& loop, StreamRef stream, int status,
                                 std::string_view content_type, std::string body) {
  draft_text(*stream, status, content_type);
  Head& head = stream->draft();
  if (asks_for_head(*stream)) {
    body.clear();
  } else {
    head.content_length = body.size();
  }
  head.ended = body.empty();
  stream->send_head();
  return std::make_unique<WholeReply>(loop, std::move(stream), std::move(body));
}

}  // namespace tulle
