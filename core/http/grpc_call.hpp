// Unary gRPC calls: GrpcCall asks, GrpcServerCall answers.
//
// Both hold one message each way, bounded. They are not streaming: see grpc_stream.hpp.
#pragma once

#include <optional>
#include <string>

#include "core/base/clock.hpp"
#include "core/http/client.hpp"
#include "core/http/grpc_stream.hpp"
#include "core/http/pool.hpp"

namespace tulle {

struct GrpcRequest {
  std::string scheme = "https";
  std::string authority;
  std::string path;                   // "/package.Service/Method"
  std::string message;
  Duration timeout = std::chrono::seconds(30);  // for everything; the server is told
  size_t max_message = 4 * 1024 * 1024;         // of the answer: gRPC's usual limit
};

struct GrpcAnswer {
  GrpcStatus status;
  std::string message;                // when ok()
  std::optional<Error> failure;       // it broke off: the status is ours and not the server's
};

// Begins at once; `owner` is woken when done(). Destroying it gives the call up. Never repeated: the
// caller knows whether that is safe.
class GrpcCall {
 public:
  GrpcCall(Loop& loop, Pool& pool, GrpcRequest request, Task& owner);

  bool done() const { return call_.done(); }
  GrpcAnswer answer();                // once, when done()

 private:
  const size_t max_message_;
  Call call_;
};

// A unary call that has arrived. A member of the task that serves it, whose run() calls advance().
//
//   if (!call_.advance()) return;            // still arriving, or over
//   call_.reply(answer_to(call_.request()))  // now, or in a later run()
class GrpcServerCall {
 public:
  GrpcServerCall(StreamRef stream, Task& owner, size_t max_message)
      : stream_(std::move(stream), owner, max_message) {}

  // True once: the request is complete. Calls that break off or break the rules never get there and
  // are answered here.
  bool advance();
  const std::string& request() const { return *request_; }
  void reply(std::string message);
  void reply(const GrpcStatus& status);    // anything but ok
  // Answered as far as that is possible: the task may drop it (and so the stream).
  bool over() const { return stream_.over(); }
  const Head& head() const { return stream_.head(); }
  const PeerIdentity* peer() const { return stream_.peer(); }

 private:
  GrpcStream stream_;
  std::optional<std::string> request_;
  bool complete_ = false;
};

}  // namespace tulle
