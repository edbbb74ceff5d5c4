#include "sidecar/exchange/outcome.hpp"

#include <charconv>

#include "core/http/head.hpp"

namespace tulle::exchange {
namespace {

using policies::End;
using policies::Outcome;

// Where the pool's answer came before a stream.
End end_without_stream(Code code) {
  switch (code) {
    case Code::overloaded: return End::limited;
    case Code::draining: return End::refused;  // the endpoint went away while we waited
    default: return End::unconnected;
  }
}

End end_of_stream(Stream& stream, Code code) {
  switch (code) {
    case Code::refused_stream: return End::refused;
    case Code::attempt_timeout:
    case Code::request_timeout: return End::timed_out;
    // A caller that waits for a millisecond must not give endpoints a bad name.
    case Code::deadline_exceeded: return End::abandoned;
    case Code::bad_request:
    case Code::not_implemented: return End::abandoned;  // it cannot be said in the upstream's protocol
    default: break;
  }
  if (!stream.head_departed()) return End::unconnected;  // not a byte of it has left us
  const bool http1 = stream.wire_id == 0;
  if (http1 && stream.untouched() && stream.reused_connection() && code == Code::upstream_reset) {
    return End::stale;
  }
  return End::reset;
}

// What a neighbour's sidecar met on its way to the workload, from the stable code it answers with.
End end_at_neighbour(std::string_view code) {
  const auto is = [&](Code each) { return code == to_string(each); };
  if (is(Code::connect_failed) || is(Code::connect_timeout)) return End::unconnected;
  if (is(Code::circuit_open) || is(Code::overloaded) || is(Code::draining)) return End::refused;
  if (is(Code::upstream_reset)) return End::reset;
  return End::answered;
}

// The HTTP status that says about an endpoint what a gRPC status says.
int status_like(int grpc_status) {
  switch (grpc_status) {
    case 14: return 503;                     // UNAVAILABLE
    case 2: case 13: case 15: return 500;    // UNKNOWN, INTERNAL, DATA_LOSS
    default: return 200;
  }
}

int grpc_status_of(const Fields& fields) {
  const auto text = fields.get(FieldId::grpc_status);
  int status = -1;
  if (text) std::from_chars(text->data(), text->data() + text->size(), status);
  return status;
}

}  // namespace

Error as_upstream_error(const Error& error) {
  if (error.origin == Origin::downstream) return error;  // the request could not be said
  switch (error.code) {
    case Code::closed:
    case Code::cancelled:
    case Code::refused_stream:
    case Code::idle_timeout:
    case Code::draining:
      return {Code::upstream_reset, Origin::upstream, error.detail};
    case Code::protocol_error:
    case Code::bad_request:
    case Code::header_too_large:
      return {Code::upstream_protocol_error, Origin::upstream, error.detail};
    default:
      return error;
  }
}

Outcome failure_outcome(Attempt& attempt, const Error& error) {
  Outcome outcome;
  if (attempt.has_stream()) {
    outcome.end = end_of_stream(attempt.stream(), error.code);
  } else if (error.code == Code::deadline_exceeded) {
    outcome.end = End::abandoned;
  } else if (error.code == Code::attempt_timeout || error.code == Code::request_timeout) {
    outcome.end = End::unconnected;  // it never got beyond the pool's queue
  } else {
    outcome.end = end_without_stream(error.code);
  }
  outcome.error = &error;
  return outcome;
}

Outcome answer_outcome(const Head& answer, const Fields& last, bool from_mesh) {
  Outcome outcome;
  outcome.end = End::answered;
  outcome.answer = &answer;
  outcome.status = answer.status;
  outcome.grpc_status = grpc_status_of(last);
  if (outcome.grpc_status > 0) outcome.status = status_like(outcome.grpc_status);
  if (!from_mesh) return outcome;
  const auto error = answer.fields.get(FieldId::tulle_error);
  if (error) outcome.end = end_at_neighbour(*error);
  outcome.hop_exhausted = answer.fields.has(FieldId::tulle_retried);
  return outcome;
}

}  // namespace tulle::exchange
