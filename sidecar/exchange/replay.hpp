// Replay: the body of a request on its way up, and the memory that lets it be sent again.
//
// Keeps a copy of what passes, up to a limit. A body that exceeds it is not kept at all from then
// on: whole() is false and there is no other attempt. With a limit of 0 bytes pass without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"

namespace tulle {
class Stream;
}

namespace tulle::exchange {

class Replay {
 public:
  // Before the first pump(). What is declared to be too long is not even begun to be kept.
  void keep(size_t limit, std::optional<uint64_t> declared) {
    limit_ = declared && *declared > limit ? 0 : limit;
  }
  // Moves what the receiver has room for: first what is remembered, then what has come since.
  bool pump(Stream& from, Stream& to);
  bool caught_up() const { return resent_ == kept_.size(); }

  // What was sent so far can be sent again.
  bool whole() const { return passed_ == kept_.size(); }
  void rewind() { resent_ = 0; }
  // There is no other attempt: nothing more is kept.
  void forget();

 private:
  bool resend(Stream& to);

  size_t limit_ = 0;
  Bytes kept_;
  size_t resent_ = 0;    // of kept_, in this attempt; all of it when new bytes pass
  uint64_t passed_ = 0;  // bytes of the body that have come so far
};

}  // namespace tulle::exchange
