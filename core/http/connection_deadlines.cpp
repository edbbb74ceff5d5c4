// What a connection waits for, how long, and what happens when it was too long.
#include <algorithm>
#include <utility>

#include "core/http/connection.hpp"
#include "core/http/http2_codec.hpp"
#include "core/net/loop.hpp"

namespace tulle {
namespace {

// A peer that takes less than this within write_stall, although it is owed more, has stalled: one
// byte a second is not progress.
constexpr uint64_t kStallProgress = 4 * 1024;

// How often a closing connection looks whether a slow peer has taken the rest.
constexpr Duration kLastBytesCheck = 200ms;

// Null: there is none yet, or it speaks HTTP/1.
Http2Codec* http2_codec(Codec* codec) {
  if (codec == nullptr || codec->version() != Version::http2) return nullptr;
  return static_cast<Http2Codec*>(codec);
}

}  // namespace

// When what watching_ names has lasted too long; zero limits are no limits.
Instant Connection::watch_deadline() {
  const HttpLimits& limits = *options_.limits;
  Duration limit{};
  if (phase_ == Phase::opening) {
    const bool handshaking = options_.role == Codec::Role::client || !connected_;
    limit = handshaking && options_.open_timeout > Duration{} ? options_.open_timeout
            : sniffed_.empty()                               ? limits.idle_timeout
                                                             : limits.head_timeout;
  } else if (phase_ == Phase::serving) {
    const Codec::Waiting waiting = codec_->waiting();
    if (waiting != watching_) {
      watching_ = waiting;
      watched_since_ = loop_.now();
    }
    switch (waiting) {
      case Codec::Waiting::idle: limit = limits.idle_timeout; break;
      case Codec::Waiting::head: limit = limits.head_timeout; break;
      case Codec::Waiting::body: limit = limits.body_timeout; break;
      case Codec::Waiting::half_closed: limit = limits.half_closed; break;
      case Codec::Waiting::handlers: break;
    }
  } else if (phase_ == Phase::closing && last_bytes_due_) {
    return loop_.now() + kLastBytesCheck;
  }
  return limit > Duration{} ? watched_since_ + limit : kNever;
}

// Per request this is arithmetic: the timer is moved only when the deadline comes earlier than the
// one it is armed for. Later ones are found when it fires.
void Connection::update_timer() {
  deadline_ = watch_deadline();
  const Duration stall = options_.limits->write_stall;
  // A lost wire owes nobody anything. It may have to wait for its handlers for a long time.
  if (owed_since_ != kNever && stall > Duration{} && !wire_lost_ && phase_ != Phase::over) {
    deadline_ = std::min(deadline_, owed_since_ + stall);
  }
  if (holds_streams()) {
    deadline_ = std::min(deadline_, streams_checked_at_ + options_.limits->stream_stall);
  }
  if (Http2Codec* http2 = http2_codec(codec_.get()); http2 != nullptr && phase_ == Phase::serving) {
    deadline_ = std::min(deadline_, http2->deadline(loop_.now()));
  }
  if (deadline_ != kNever && (!timer_.armed() || deadline_ < timer_.deadline())) {
    timer_.arm_at(deadline_);
  }
}

// HTTP/2 only: there a single stream can be held back while the connection goes on.
bool Connection::holds_streams() const {
  return phase_ == Phase::serving && codec_->version() == Version::http2 &&
         codec_->open_streams() > 0 && options_.limits->stream_stall > Duration{};
}

void Connection::on_deadline() {
  const Instant now = loop_.now();
  timer_.disarm();
  if (now < deadline_) return;
  if (phase_ == Phase::opening) return fail_opening();
  if (phase_ == Phase::closing) {
    wire_lost_ = wire_lost_ || stalled(now);
    return;
  }
  if (stalled(now)) {
    Error why = named_for_streams({Code::idle_timeout, Origin::local,
                                   "the peer has stopped taking what it is owed"});
    codec_->end_of_input(why);
    wire_lost_ = true;
    return abandon(std::move(why));
  }
  if (holds_streams() && now >= streams_checked_at_ + options_.limits->stream_stall) {
    streams_checked_at_ = now;
    codec_->drop_stalled();
    flush_later();
  }
  if (Http2Codec* http2 = http2_codec(codec_.get())) {
    const bool owes = bytes_->backlog() > 0;
    switch (http2->time_passes(now, owes)) {
      case Http2Codec::Passing::nothing: break;
      case Http2Codec::Passing::wrote: flush_later(); break;
      case Http2Codec::Passing::lost:
        Error why = named_for_streams({Code::idle_timeout, Origin::local,
                                       "the peer gives no sign of life"});
        codec_->end_of_input(why);
        wire_lost_ = true;
        return abandon(std::move(why));
    }
  }
  if (now < watch_deadline()) return;
  watched_since_ = now;
  if (watching_ == Codec::Waiting::idle && bytes_->backlog() > 0) return;  // still being answered
  codec_->timed_out(watching_);
  flush_later();
}

void Connection::fail_opening() {
  if (options_.role == Codec::Role::server) {
    return abandon({Code::idle_timeout, Origin::downstream, "the peer was silent for too long"});
  }
  const bool handshaking = connected_;
  abandon({handshaking ? Code::tls_failed : Code::connect_timeout, Origin::upstream,
           (handshaking ? "the TLS handshake took too long: " : "no connection in time: ") +
               peer_address_.to_string()});
}

// Whether the peer, owed bytes for a whole write_stall, took next to none. Otherwise a new period
// begins, or none when nothing is owed.
bool Connection::stalled(Instant now) {
  if (owed_since_ == kNever || now < owed_since_ + options_.limits->write_stall) return false;
  const size_t backlog = bytes_->backlog();
  const uint64_t taken = written_ - std::min<uint64_t>(backlog, written_);
  if (backlog > 0 && taken < taken_at_mark_ + kStallProgress) return true;
  owed_since_ = backlog > 0 ? now : kNever;
  taken_at_mark_ = taken;
  // A peer that was slow to take its answer is idle only from here on.
  if (std::exchange(slow_, backlog > 0) && !slow_) watched_since_ = now;
  return false;
}

}  // namespace tulle
