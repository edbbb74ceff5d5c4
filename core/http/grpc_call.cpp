#include "core/http/grpc_call.hpp"

#include <utility>

#include "core/http/grpc_timeout.hpp"

namespace tulle {

namespace {

CallRequest as_http(GrpcRequest request) {
  CallRequest http;
  http.head = grpc_request_head(request.scheme, request.authority, request.path);
  if (request.timeout > Duration{}) {
    http.head.fields.add(FieldId::grpc_timeout, grpc_timeout(request.timeout));
  }
  http.body = grpc_prefix(request.message.size()) + request.message;
  http.timeout = request.timeout;
  http.max_body = request.max_message + kGrpcPrefix;
  return http;
}

GrpcStatus status_of(const CallAnswer& answer) {
  if (auto status = status_in(answer.trailers)) return std::move(*status);
  if (auto status = status_in(answer.head.fields)) return std::move(*status);
  if (answer.head.status != 200) return status_of_http(answer.head.status);
  return {GrpcCode::internal, "the answer has no grpc-status"};
}

}  // namespace

GrpcCall::GrpcCall(Loop& loop, Pool& pool, GrpcRequest request, Task& owner)
    : max_message_(request.max_message), call_(loop, pool, as_http(std::move(request)), owner) {}

GrpcAnswer GrpcCall::answer() {
  Result<CallAnswer>& outcome = call_.outcome();
  if (!outcome) return {status_of_failure(outcome.error()), {}, outcome.error()};
  GrpcAnswer answer{status_of(*outcome), {}, std::nullopt};
  if (!answer.status.ok()) return answer;
  GrpcReader reader(max_message_, outcome->head.fields.get("grpc-encoding").value_or(""));
  std::string_view body = outcome->body;
  while (reader.wanted() > 0 && !body.empty()) {
    const std::string_view part = body.substr(0, reader.wanted());
    reader.add(part);
    body.remove_prefix(part.size());
  }
  if (reader.state() == GrpcReader::State::broken) {
    answer.status = reader.problem();
  } else if (reader.state() != GrpcReader::State::whole || !body.empty()) {
    answer.status = {GrpcCode::internal, "the answer is not exactly one message"};
  } else {
    answer.message = reader.take();
  }
  return answer;
}

bool GrpcServerCall::advance() {
  stream_.advance();
  if (complete_ || stream_.over()) return false;
  while (std::optional<std::string> message = stream_.receive()) {
    if (request_) {
      stream_.finish({GrpcCode::internal, "more than one message in a unary call"});
      return false;
    }
    request_ = std::move(message);
  }
  if (!stream_.ended() || !stream_.status().ok()) return false;
  if (!request_) {
    stream_.finish({GrpcCode::internal, "no message in a unary call"});
    return false;
  }
  complete_ = true;
  return true;
}

void GrpcServerCall::reply(std::string message) {
  if (stream_.over()) return;
  stream_.send(std::move(message));
  stream_.finish({});
}

void GrpcServerCall::reply(const GrpcStatus& status) {
  if (!stream_.over()) stream_.finish(status);
}

}  // namespace tulle
