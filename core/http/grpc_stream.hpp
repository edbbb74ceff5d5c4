// GrpcStream: a gRPC call on a Stream, either side of it, with any number of messages.
//
// Owns the StreamRef; dropping it gives the call up. Its owner is a task, which is woken as by any
// stream, and then calls advance(), looks at receive() and ended(), and sends. One message is held
// in each direction, so a slow peer is felt as can_send() == false.
//
// Server: the head of the answer departs with the first message (or open()); finish(status) sends
// the trailers, or, when nothing was sent before, a trailers-only answer.
// Client: the head departs at once; finish() says that no message will follow.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/http/grpc_message.hpp"
#include "core/http/grpc_status.hpp"
#include "core/http/head.hpp"
#include "core/http/stream.hpp"

namespace tulle {

class Task;

// POST with what gRPC asks for. `path` is "/package.Service/Method".
Head grpc_request_head(std::string_view scheme, std::string_view authority, std::string_view path);

class GrpcStream {
 public:
  // Server: `stream` has its request's head. What is not a gRPC call is answered (405, 415) and
  // ended() from the start, with over().
  GrpcStream(StreamRef stream, Task& owner, size_t max_message);
  // Client.
  GrpcStream(StreamRef stream, Task& owner, size_t max_message, const Head& request);

  void advance();                          // moves bytes; first thing in the owner's run()

  // Arriving.
  std::optional<std::string> receive();    // the next whole message
  // No message will come any more, and all were received; status() says why. Server: ok() when the
  // client has said that it is done.
  bool ended() const { return status_.has_value(); }
  const GrpcStatus& status() const { return *status_; }

  // Departing.
  bool can_send() const;                   // all that was sent before is out of our hands
  void send(std::string message);          // can_send()
  void open();                             // server: the head goes now
  void finish();                           // client
  void finish(const GrpcStatus& status);   // server; broken calls stay broken
  // Nothing more can happen: the owner may drop it.
  bool over() const;

  const Head& head() const { return *stream_->head(); }   // server: the request's
  const PeerIdentity* peer() const { return stream_->peer(); }
  bool heard() const { return stream_->head() != nullptr; }  // client: the server has answered

 private:
  void start_answer();
  void look_at_answer();
  void look_for_end();
  void end_with(GrpcStatus status);

  StreamRef stream_;
  const bool server_;
  const size_t max_message_;
  std::optional<GrpcReader> reader_;       // from the peer's head on
  GrpcWriter writer_;
  std::optional<GrpcStatus> status_;
  std::optional<GrpcStatus> last_words_;   // server: the trailers, when the messages are out
  bool finishing_ = false;
};

}  // namespace tulle
