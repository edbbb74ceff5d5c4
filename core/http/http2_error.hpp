// Http2Error: the error codes of RFC 9113, section 7, and what they mean to a stream.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/result.hpp"

namespace tulle {

enum class Http2Error : uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  flow_control_error = 3,
  settings_timeout = 4,
  stream_closed = 5,
  frame_size_error = 6,
  refused_stream = 7,
  cancel = 8,
  compression_error = 9,
  connect_error = 10,
  enhance_your_calm = 11,
  inadequate_security = 12,
  http_1_1_required = 13,
};

std::string_view to_string(Http2Error error);

// The peer reset a stream. `server` is our role: a server's peer is downstream.
Error peer_reset_error(Http2Error error, bool server);
// We reset a stream because the peer broke the protocol in it.
Error broken_stream_error(Http2Error error, bool server);
// What to tell the peer when a handler gives up for this reason.
Http2Error reset_code(Code why);

}  // namespace tulle
