#include "core/base/result.hpp"

namespace tulle {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::no_route: return "no_route";
    case Code::no_endpoint: return "no_endpoint";
    case Code::circuit_open: return "circuit_open";
    case Code::overloaded: return "overloaded";
    case Code::config_missing: return "config_missing";
    case Code::connect_failed: return "connect_failed";
    case Code::connect_timeout: return "connect_timeout";
    case Code::tls_failed: return "tls_failed";
    case Code::identity_mismatch: return "identity_mismatch";
    case Code::upstream_reset: return "upstream_reset";
    case Code::upstream_protocol_error: return "upstream_protocol_error";
    case Code::request_timeout: return "request_timeout";
    case Code::attempt_timeout: return "attempt_timeout";
    case Code::deadline_exceeded: return "deadline_exceeded";
    case Code::rate_limited: return "rate_limited";
    case Code::denied: return "denied";
    case Code::unauthenticated: return "unauthenticated";
    case Code::bad_request: return "bad_request";
    case Code::header_too_large: return "header_too_large";
    case Code::uri_too_long: return "uri_too_long";
    case Code::not_implemented: return "not_implemented";
    case Code::version_not_supported: return "version_not_supported";
    case Code::fault_injected: return "fault_injected";
    case Code::invalid_backend: return "invalid_backend";
    case Code::internal: return "internal";
    case Code::closed: return "closed";
    case Code::cancelled: return "cancelled";
    case Code::refused_stream: return "refused_stream";
    case Code::protocol_error: return "protocol_error";
    case Code::idle_timeout: return "idle_timeout";
    case Code::draining: return "draining";
    case Code::invalid_config: return "invalid_config";
    case Code::not_found: return "not_found";
    case Code::io_error: return "io_error";
    case Code::address_in_use: return "address_in_use";
    case Code::loop_detected: return "loop_detected";
  }
  UNREACHABLE();
}

std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::downstream: return "downstream";
    case Origin::upstream: return "upstream";
    case Origin::local: return "local";
  }
  UNREACHABLE();
}

}  // namespace tulle
