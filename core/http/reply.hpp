// reply: the one place where an Error becomes an answer (the table is in docs/operations.md).
//
// `tulle-error: <code>`, an RFC 9457 problem body for HTTP, a trailers-only status for gRPC.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/http/head.hpp"
#include "core/http/stream.hpp"

namespace tulle {

class Loop;

struct ReplyContext {
  std::string_view hop;        // who answers: the node id and direction, "outbound@orders-1"
  std::string_view trace_id;   // empty: none
};

int http_status(Code code);
int grpc_status(Code code);
// Envoy's response flag for the access log; empty when there is none.
std::string_view response_flag(const Error& error);

// Fills and finishes the departing half of `stream`. `request` decides the form (gRPC by content
// type; HEAD gets no body). The stream must not have sent a head.
void send_error_reply(Stream& stream, const Head& request, const Error& error,
                      const ReplyContext& context);
// The same when the head has gone already and the call ends in its trailers.
void add_error_status(Fields& trailers, const Error& error);
// Fills `head` with a trailers-only answer to a gRPC call.
struct GrpcStatus;
void draft_grpc_answer(Head& head, const Head& request, const GrpcStatus& status);
// For short answers: the body must fit what a stream holds (HttpLimits::stream_outbound).
void send_text_reply(Stream& stream, int status, std::string_view content_type, std::string_view body);
// A handler, for Service::serve(), that sends a whole answer of any size and lets go of the stream.
std::unique_ptr<Task> serve_text(Loop& loop, StreamRef stream, int status,
                                 std::string_view content_type, std::string body);

}  // namespace tulle
