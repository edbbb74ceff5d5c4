#include "sidecar/exchange/replay.hpp"

#include <algorithm>

#include "core/http/stream.hpp"

namespace tulle::exchange {
namespace {

// A copy of up to `size` bytes of `bytes` from `offset` on.
Bytes copy_of(const Bytes& bytes, size_t offset, size_t size) {
  Bytes copy;
  for (size_t i = 0; i < bytes.slice_count() && size > 0; ++i) {
    const ByteView slice = bytes.slice(i);
    if (offset >= slice.size()) {
      offset -= slice.size();
      continue;
    }
    const ByteView part = slice.substr(offset, size);
    copy.append(part);
    size -= part.size();
    offset = 0;
  }
  return copy;
}

}  // namespace

bool Replay::pump(Stream& from, Stream& to) {
  bool moved = resend(to);
  if (!caught_up()) return moved;
  // Asking for room and getting none is what makes the receiver wake us, so ask until then.
  while (from.readable() > 0) {
    const size_t room = to.room();
    if (room == 0) break;
    Bytes part = from.receive(room);
    passed_ += part.size();
    if (passed_ > limit_) {
      forget();
    } else {
      for (size_t i = 0; i < part.slice_count(); ++i) kept_.append(part.slice(i));
      resent_ = kept_.size();
    }
    to.send(std::move(part));
    moved = true;
  }
  return moved;
}

bool Replay::resend(Stream& to) {
  bool moved = false;
  while (!caught_up()) {
    const size_t room = to.room();
    if (room == 0) break;
    Bytes part = copy_of(kept_, resent_, std::min(room, kept_.size() - resent_));
    resent_ += part.size();
    to.send(std::move(part));
    moved = true;
  }
  return moved;
}

void Replay::forget() {
  limit_ = 0;
  // What this attempt still has to send again must stay.
  if (!caught_up()) return;
  kept_.clear();
  resent_ = 0;
}

}  // namespace tulle::exchange
