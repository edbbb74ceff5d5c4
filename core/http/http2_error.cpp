#include "core/http/http2_error.hpp"

#include <string>

namespace tulle {

std::string_view to_string(Http2Error error) {
  switch (error) {
    case Http2Error::no_error: return "NO_ERROR";
    case Http2Error::protocol_error: return "PROTOCOL_ERROR";
    case Http2Error::internal_error: return "INTERNAL_ERROR";
    case Http2Error::flow_control_error: return "FLOW_CONTROL_ERROR";
    case Http2Error::settings_timeout: return "SETTINGS_TIMEOUT";
    case Http2Error::stream_closed: return "STREAM_CLOSED";
    case Http2Error::frame_size_error: return "FRAME_SIZE_ERROR";
    case Http2Error::refused_stream: return "REFUSED_STREAM";
    case Http2Error::cancel: return "CANCEL";
    case Http2Error::compression_error: return "COMPRESSION_ERROR";
    case Http2Error::connect_error: return "CONNECT_ERROR";
    case Http2Error::enhance_your_calm: return "ENHANCE_YOUR_CALM";
    case Http2Error::inadequate_security: return "INADEQUATE_SECURITY";
    case Http2Error::http_1_1_required: return "HTTP_1_1_REQUIRED";
  }
  return "unknown error";  // peers may send any number
}

namespace {

Code peer_reset_code(Http2Error error, bool server) {
  switch (error) {
    case Http2Error::refused_stream: return Code::refused_stream;
    case Http2Error::cancel: return Code::cancelled;
    case Http2Error::no_error: return server ? Code::cancelled : Code::upstream_reset;
    default: return server ? Code::protocol_error : Code::upstream_reset;
  }
}

}  // namespace

Error peer_reset_error(Http2Error error, bool server) {
  std::string detail = "the peer reset the stream: ";
  detail += to_string(error);
  return {peer_reset_code(error, server), server ? Origin::downstream : Origin::upstream,
          std::move(detail)};
}

Error broken_stream_error(Http2Error error, bool server) {
  if (error == Http2Error::refused_stream) {
    // Ours, and never sent: GOAWAY came first or the stream was above its limit.
    return {Code::refused_stream, server ? Origin::local : Origin::upstream,
            "the stream was not processed"};
  }
  std::string detail = "the peer broke the protocol in this stream: ";
  detail += to_string(error);
  return {server ? Code::protocol_error : Code::upstream_protocol_error,
          server ? Origin::downstream : Origin::upstream, std::move(detail)};
}

Http2Error reset_code(Code why) {
  switch (why) {
    case Code::refused_stream:
    case Code::overloaded:
    case Code::draining: return Http2Error::refused_stream;
    case Code::protocol_error:
    case Code::bad_request: return Http2Error::protocol_error;
    case Code::internal:
    case Code::upstream_reset:
    case Code::upstream_protocol_error: return Http2Error::internal_error;
    case Code::connect_failed:
    case Code::connect_timeout: return Http2Error::connect_error;
    default: return Http2Error::cancel;
  }
}

}  // namespace tulle
