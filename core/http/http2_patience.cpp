// Peers that let us wait: windows that stay shut, answers that are not read yet, silence.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "core/http/http2_codec.hpp"

namespace tulle {
namespace {

// A stream that owes a body and sends less than this between two looks has stalled.
constexpr uint64_t kLeastProgress = 4 * 1024;

// A peer that says nothing for so long while streams are open is asked for a sign of life. An
// upstream may be dead while the kernel still takes the requests we send it; a downstream may pause a
// download as long as it likes.
constexpr Duration kUpstreamSilence = 15s;
constexpr Duration kDownstreamSilence = 5min;

// ... and given up when it gives none. Twenty seconds are what gRPC waits.
constexpr Duration kProbeTimeout = 20s;

// A gRPC server ends a connection that is probed more often than every five minutes ("too many
// pings"), unless it has sent headers or data since the last probe, or when no stream is open. The
// ten seconds are for what the network does to the distance between two probes.
constexpr Duration kProbeSpacing = 5min + 10s;

}  // namespace

// ---- windows ---------------------------------------------------------------------------------

// Windows are the peer's means of back-pressure, and a way to make us keep its answers for nothing.
// A byte now and then is not progress.
void Http2Codec::drop_stalled() {
  if (life_ == Life::ending || life_ == Life::over) return;
  for (Http2Stream& s : live_) {
    if (s.stream == nullptr || s.id == 0 || s.reset_by_us) continue;
    const bool held = !s.stream->departing_body().empty();
    const bool stalled = held && s.held_at_check && s.body_sent - s.body_sent_at_check < kLeastProgress;
    s.held_at_check = held;
    s.body_sent_at_check = s.body_sent;
    if (!stalled) continue;
    s.reason = Error{server() ? Code::closed : Code::upstream_reset, peer_origin(),
                     "the peer keeps the window of the stream shut"};
    reset(s, Http2Error::cancel);  // the stream fails with the reason when it is closed
  }
}

// ---- answers that are not read yet -----------------------------------------------------------

// Telling a peer at once that its request need not go on hides the answer from some (curl 7.88) that
// have not read it yet; and some do not even listen when they wait for a window. So for a while the
// request goes on, and into nothing.
void Http2Codec::linger(Http2Stream& s) {
  if (s.reset_by_us) return;
  if (s.stream != nullptr && s.stream->released()) let_go(s);
  if (s.lingers) return;
  s.lingers = true;
  const int32_t unread = nghttp2_session_get_stream_effective_recv_data_length(session_, s.id);
  if (unread > 0) nghttp2_session_consume_stream(session_, s.id, static_cast<size_t>(unread));
  lingers_ = true;
}

// Nobody has it any more, and nothing of it will be sent: only its number is needed until it ends.
void Http2Codec::let_go(Http2Stream& s) {
  if (reading_ == &s) reading_ = nullptr;  // half of its trailers may be here
  heads_held_ -= std::exchange(s.head_weight, 0);
  Stream* const stream = std::exchange(s.stream, nullptr);
  stream->wire_count = 0;
  stream->codec_closed();
}

// Looks twice per HttpLimits::linger, and ends those that it has seen before.
void Http2Codec::end_lingering() {
  lingers_ = false;
  for (Http2Stream& s : live_) {
    if (!s.lingers || s.reset_by_us) continue;
    if (s.lingered) {
      reset(s, Http2Error::no_error);
    } else {
      s.lingered = lingers_ = true;
    }
  }
}

// ---- silence ---------------------------------------------------------------------------------

// When the peer was last heard, or had no stream to talk about.
Instant Http2Codec::heard() const { return std::max(now_, open_since_); }

Duration Http2Codec::silence() const { return server() ? kDownstreamSilence : kUpstreamSilence; }

Instant Http2Codec::deadline(Instant now) {
  if (open_ == 0 || life_ == Life::ending || life_ == Life::over) {
    open_since_ = lingering_since_ = kNever;
    return kNever;
  }
  if (open_since_ == kNever) open_since_ = now;
  Instant first = kNever;
  if (!lingers_) {
    lingering_since_ = kNever;
  } else {
    if (lingering_since_ == kNever) lingering_since_ = now;
    first = lingering_since_ + limits_.linger / 2;
  }
  const Instant quiet = heard() + silence();
  const Instant due = probe_pending_ ? std::max(probed_at_, quiet) + kProbeTimeout
                                     : std::max(quiet, probe_from_);
  return std::min(first, due);
}

Http2Codec::Passing Http2Codec::time_passes(Instant now, bool owes) {
  if (open_since_ == kNever || now < deadline(now)) return Passing::nothing;
  Passing passing = Passing::nothing;
  if (lingers_ && now >= lingering_since_ + limits_.linger / 2) {
    lingering_since_ = now;
    end_lingering();
    passing = Passing::wrote;
  }
  if (now < heard() + silence()) return passing;
  if (owes) {
    open_since_ = now;  // whether it takes what it is owed is another question
  } else if (!probe_pending_) {
    if (now < probe_from_) return passing;
    probe();
    probed_at_ = now;
    probe_from_ = now + kProbeSpacing;
    passing = Passing::wrote;
  } else if (now >= std::max(probed_at_, heard() + silence()) + kProbeTimeout) {
    return Passing::lost;
  }
  return passing;
}

}  // namespace tulle
