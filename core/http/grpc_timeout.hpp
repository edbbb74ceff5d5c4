// grpc-timeout: how long the caller of a gRPC call still waits, as it stands in the head.
//
// Pure. On the wire it is one to eight digits and a unit (H, M, S, m, u or n); anything else, and a
// field that comes twice, says nothing and is not ours to correct.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/http/fields.hpp"

namespace tulle {

// Never negative, and at most a century: an Instant plus it is an Instant.
std::optional<Duration> parse_grpc_timeout(std::string_view text);
std::optional<Duration> grpc_timeout_in(const Fields& fields);

// The finest unit in which it has eight digits, rounded down, but at least a microsecond: a hop
// must not give the next one more time than it has itself.
std::string grpc_timeout(Duration timeout);

}  // namespace tulle
