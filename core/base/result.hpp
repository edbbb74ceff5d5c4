// Result<T>: a value or an Error with an origin. The only error style of this code base.
//
// An Error says what went wrong (code), whose fault it is (origin: decides status, flags and
// retries) and, for people, the detail. The detail is never parsed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/base/assert.hpp"

namespace tulle {

enum class Origin : uint8_t { downstream, upstream, local };

// Stable names (to_string) appear in `tulle-error`, logs and metrics. Append only.
enum class Code : uint8_t {
  // What an exchange can end with; core/http/reply.cpp maps each to a status.
  no_route,
  no_endpoint,
  circuit_open,
  overloaded,
  config_missing,
  connect_failed,
  connect_timeout,
  tls_failed,
  identity_mismatch,
  upstream_reset,
  upstream_protocol_error,
  request_timeout,
  attempt_timeout,
  deadline_exceeded,
  rate_limited,
  denied,
  unauthenticated,
  bad_request,
  header_too_large,
  uri_too_long,
  not_implemented,
  version_not_supported,
  fault_injected,
  invalid_backend,
  internal,
  // What a connection or a stream can end with.
  closed,            // orderly end by the peer
  cancelled,         // we no longer want it, or the peer said so (RST_STREAM CANCEL)
  refused_stream,    // the peer promises that it has not processed the stream; safe to retry
  protocol_error,    // the peer broke the protocol
  idle_timeout,
  draining,
  // What start-up and configuration can end with.
  invalid_config,
  not_found,
  io_error,
  address_in_use,
  // Appended later.
  loop_detected,     // a request has come back to us, or passed too many hops: an exchange's end
};

std::string_view to_string(Code code);
std::string_view to_string(Origin origin);

struct Error {
  Code code;
  Origin origin = Origin::local;
  std::string detail;
};

// A value or an Error. Member names follow std::expected.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() { ASSERT(has_value()); return std::get<0>(state_); }
  const T& value() const { ASSERT(has_value()); return std::get<0>(state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() { ASSERT(!has_value()); return std::get<1>(state_); }
  const Error& error() const { ASSERT(!has_value()); return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// Success without a value, or an Error. `Result<void>{}` is success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  Error& error() { ASSERT(!has_value()); return *error_; }
  const Error& error() const { ASSERT(!has_value()); return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace tulle
