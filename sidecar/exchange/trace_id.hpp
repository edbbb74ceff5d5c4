// trace_id_of: the trace id a request carries (W3C traceparent), for error answers and the log.
#pragma once

#include <string_view>

#include "core/http/head.hpp"

namespace tulle::exchange {

// 32 lower-case hex digits, or empty when the field is absent or malformed (W3C Trace Context 3.2).
std::string_view trace_id_of(const Head& request);

}  // namespace tulle::exchange
