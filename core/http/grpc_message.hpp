// gRPC message framing: one flag byte, four bytes of length (big endian), the message.
//
// GrpcReader cuts messages out of bytes that come in any pieces; GrpcWriter puts one message at a
// time into a stream as it takes bytes. Both hold at most one message. Messages are never
// compressed: a flag of 1 is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.hpp"
#include "core/http/grpc_status.hpp"
#include "core/http/stream.hpp"

namespace tulle {

inline constexpr size_t kGrpcPrefix = 5;

class GrpcReader {
 public:
  // `encoding`: the peer's grpc-encoding, empty when it named none.
  GrpcReader(size_t max_message, std::string_view encoding)
      : max_message_(max_message), encoding_(encoding) {}

  enum class State : uint8_t {
    empty,    // between messages
    partial,  // within one
    whole,    // a message is there: take() it
    broken,   // problem() says why; nothing more is read
  };
  State state() const { return state_; }

  // What may be added now: never more than the message that has begun needs.
  size_t wanted() const;
  void add(ByteView bytes);          // bytes.size() <= wanted()
  void read(Stream& stream);         // takes from the stream until there is a whole message
  std::string take();
  const GrpcStatus& problem() const { return problem_; }

 private:
  void begin_message();
  const size_t max_message_;
  std::string encoding_;
  State state_ = State::empty;
  unsigned char prefix_[kGrpcPrefix] = {};
  size_t prefix_size_ = 0;
  size_t length_ = 0;
  std::string message_;
  GrpcStatus problem_;
};

class GrpcWriter {
 public:
  bool idle() const { return sent_ == size(); }   // everything has gone into the stream
  void begin(std::string message);                // idle()
  void write(Stream& stream);                     // as much as there is room for

 private:
  size_t size() const { return prefix_.size() + message_.size(); }
  std::string prefix_;
  std::string message_;
  size_t sent_ = 0;
};

std::string grpc_prefix(size_t length);

}  // namespace tulle
