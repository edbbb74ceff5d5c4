// What a peer may send before it is read: windows, and when they are narrow.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "core/base/memory_budget.hpp"
#include "core/http/http2_codec.hpp"

namespace tulle {
namespace {

// When a whole window is taken, and more is here, within this time, it is the window that limits.
constexpr Duration kQuickDrain = 250ms;

// The windows of an upstream whose answers are not taken, and for how long at least. What such a window
// lets in fits one small chunk.
constexpr uint32_t kThrifty = 1536;
constexpr Duration kThriftyFor = 10s;

// A handler that takes no more than this at a time is one of those who take next to nothing.
constexpr size_t kLittle = 2 * 1024;

// Of the memory budget: what a window has grown by.
int64_t promised(uint32_t window, const HttpLimits& limits) {
  return window <= limits.stream_window ? 0 : window - limits.stream_window;
}

}  // namespace

// Judged when more arrives, because only then is the time known that both the handler and the way
// to the peer and back have taken.
void Http2Codec::grow_window(Http2Stream& s) {
  if (windows_pending_) return;  // the peer counts from another one already
  const bool quick = now_ - s.drain_began <= kQuickDrain;
  s.drained = 0;
  s.drain_began = now_;
  if (!quick || s.window >= limits_.stream_window_max) return;
  const bool narrow = s.window < limits_.stream_window;
  const uint32_t window = narrow ? std::min(4 * s.window, limits_.stream_window)
                                 : std::min(2 * s.window, limits_.stream_window_max);
  const int64_t more = promised(window, limits_) - promised(s.window, limits_);
  if (more > 0 && !MemoryBudget::of_process().promise(more)) return;
  s.window = window;
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, s.id,
                                        static_cast<int32_t>(s.window));
  s.stream->set_credit_step(s.window / 2);
}

void Http2Codec::take_back_promise(const Http2Stream& s) const {
  if (const int64_t size = promised(s.window, limits_); size > 0) {
    MemoryBudget::of_process().release_promise(size);
  }
}

// ---- upstreams whose answers are not taken -----------------------------------------------------

// An upstream fills the window of every stream, however little the client of each will take: a request of
// a few bytes would make us hold 64 KiB. So when much waits (kUnread; of each stream not more counts than it
// could have sent at first), or when more than a few requests are made for somebody who takes next to
// nothing, all streams of the connection get narrow windows, which grow for those who read. What windows
// have grown by is bounded by the memory budget.

// Adds up only when it could be too much; handlers take far more often than that.
void Http2Codec::watch_readers(size_t arrived) {
  unread_ += arrived;
  if (unread_ < recount_at_) return;
  unread_ = unread();
  recount_at_ = std::max(kUnread, unread_ + kUnread / 4);
  if (unread_ >= kUnread) set_initial_window(std::min(kThrifty, limits_.stream_window));
}

size_t Http2Codec::unread() {
  size_t size = 0;
  for (const Http2Stream& s : live_) {
    if (s.stream != nullptr) size += std::min<size_t>(s.stream->readable(), limits_.stream_window);
  }
  return size;
}

// Before a request goes out. SETTINGS overtake it.
void Http2Codec::choose_window(Http2Stream& s) {
  if (s.stream->inbound_limit() <= kLittle) {
    s.wants_little = true;
    if (++wanting_little_ > kFew) set_initial_window(std::min(kThrifty, limits_.stream_window));
  } else if (initial_window_ < limits_.stream_window && now_ >= thrifty_since_ + kThriftyFor) {
    thrifty_since_ = now_;
    const bool taken = wanting_little_ <= kFew && unread() < kUnread / 4;
    if (taken) set_initial_window(limits_.stream_window);
  }
}

// Changes the windows of all streams (RFC 9113, 6.9.2); those of some may be negative for a while.
void Http2Codec::set_initial_window(uint32_t window) {
  if (window == initial_window_ || windows_pending_) return;
  const uint32_t change = window - initial_window_;  // modulo 2^32, as is what it is added to
  int64_t more = 0;
  for (const Http2Stream& s : live_) {
    more += promised(s.window + change, limits_) - promised(s.window, limits_);
  }
  if (more > 0 && !MemoryBudget::of_process().promise(more)) return;
  if (more < 0) MemoryBudget::of_process().release_promise(-more);
  const nghttp2_settings_entry setting{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &setting, 1);
  initial_window_ = window;
  windows_pending_ = true;
  thrifty_since_ = now_;
  for (Http2Stream& s : live_) {
    s.window += change;
    if (s.stream == nullptr) continue;
    s.stream->set_credit_step(std::max<uint32_t>(s.window / 2, 1));
    give_credit(s);
  }
}

// From here on nghttp2 counts as the peer does. What was taken meanwhile may be due by the new windows.
void Http2Codec::windows_agreed() {
  if (!std::exchange(windows_pending_, false)) return;
  for (const Http2Stream& s : live_) {
    if (s.id != 0) nghttp2_session_consume_stream(session_, s.id, 0);
  }
}

}  // namespace tulle
