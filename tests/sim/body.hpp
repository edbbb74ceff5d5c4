// Body: what every byte of a message's body must be, known from the message's number alone.
//
// So a receiver judges each byte when it arrives, and nobody keeps a copy: a byte that is lost,
// repeated or taken from another message is noticed at its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/bytes.hpp"

namespace tulle::sim {

// Numbers of messages: a request and its answer differ.
inline uint64_t request_number(uint32_t id) {
  return uint64_t{id} * 2;
}
inline uint64_t answer_number(uint32_t id) {
  return uint64_t{id} * 2 + 1;
}

Bytes body_part(uint64_t message, size_t offset, size_t size);

// What a trailer says about the body before it.
std::string body_digest(uint64_t message, size_t size);

// The receiver's side.
class BodyCheck {
 public:
  explicit BodyCheck(uint64_t message) : message_(message) {}
  void take(const Bytes& part);
  size_t size() const { return size_; }
  bool intact() const { return wrong_at_ == kNowhere; }
  size_t wrong_at() const { return wrong_at_; }  // offset of the first wrong piece

 private:
  static constexpr size_t kNowhere = SIZE_MAX;
  void compare(ByteView piece);
  uint64_t message_;
  size_t size_ = 0;
  size_t wrong_at_ = kNowhere;
};

}  // namespace tulle::sim
