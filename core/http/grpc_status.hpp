// GrpcStatus: how a gRPC call ended, and how that is written on HTTP.
//
// Pure. The numbers are gRPC's own. A message is any UTF-8 text; on the wire it is percent-encoded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/http/head.hpp"

namespace tulle {

enum class GrpcCode : int {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};
std::string_view to_string(GrpcCode code);  // "UNAVAILABLE"

struct GrpcStatus {
  GrpcCode code = GrpcCode::ok;
  std::string message;

  bool ok() const { return code == GrpcCode::ok; }
  std::string to_string() const;  // "UNAVAILABLE: why", for logs
};

// grpc-message: printable ASCII except '%' stays, every other byte becomes %XX. Decoding leaves
// what is no valid escape as it is, so that a message is never lost.
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);

void add_status(Fields& fields, const GrpcStatus& status);
// nullopt: there is no grpc-status. One that is no number of gRPC's is `unknown`.
std::optional<GrpcStatus> status_in(const Fields& fields);

// By content type: application/grpc or application/grpc+<subtype>, exactly. Parameters and
// application/grpc-web make it something else.
bool is_grpc(const Fields& fields);
inline bool is_grpc(const Head& head) { return is_grpc(head.fields); }

// What is left when the other side says no grpc-status: the HTTP status, or how the stream ended.
GrpcStatus status_of_http(int http_status);
GrpcStatus status_of_failure(const Error& failure);
// What an HTTP status means that somebody has chosen to answer a call with: unlike the above, where
// it is a guess about strangers, 429 says RESOURCE_EXHAUSTED and 504 DEADLINE_EXCEEDED.
GrpcCode code_for_http(int http_status);

}  // namespace tulle
