#include "core/http/http2_codec.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/memory_budget.hpp"

namespace tulle {
namespace {

using Opaque = std::array<uint8_t, 8>;
constexpr Opaque kProbe = {'t', 'u', 'l', 'l', 'e', '-', 'u', 'p'};
constexpr Opaque kDrain = {'t', 'u', 'l', 'l', 'e', '-', 'b', 'y'};

// How many streams a peer is taken to allow before it has said so: what RFC 9113 (6.5.2) recommends
// at least. "Unlimited", which is what its silence means, would pile up a whole burst here.
constexpr size_t kAssumedStreams = 100;

constexpr size_t kUnacknowledgedWindow = 65535;  // what a peer may send before it knows ours

bool same(ByteView a, const Opaque& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

std::unique_ptr<Codec> make_http2_codec(Codec::Role role, const HttpLimits& limits,
                                        std::string_view scheme) {
  return std::make_unique<Http2Codec>(role, limits, scheme);
}

// A peer that uses all the streams we allow may cancel them all at once and mean no harm.
Http2Codec::Http2Codec(Role role, const HttpLimits& limits, std::string_view scheme)
    : limits_(limits),
      role_(role),
      scheme_(scheme),
      budget_(limits.misbehaviour_burst + limits.max_concurrent_streams,
              limits.misbehaviour_per_second),
      reader_(limits_, scheme),
      initial_window_(limits.stream_window) {
  make_session();
}

// Streams that are left are failed and closed by ~DirtyStreams.
Http2Codec::~Http2Codec() {
  nghttp2_session_del(session_);
  while (Http2Stream* s = live_.pop_front()) {
    if (s->stream != nullptr && !s->handed_out) s->stream->discard();
    take_back_promise(*s);
    delete s;
  }
}

// ---- streams ---------------------------------------------------------------------------------

Http2Stream& Http2Codec::add_stream(int32_t id) {
  auto* s = new Http2Stream;
  const size_t inbound = std::max<size_t>(limits_.stream_window_max, kUnacknowledgedWindow);
  s->stream = Stream::make(dirty_, server(), inbound, limits_.stream_outbound);
  s->stream->wire_id = s->id = id;
  s->stream->wire_count = reinterpret_cast<uintptr_t>(s);
  s->window = initial_window_;
  s->stream->set_credit_step(std::max<uint32_t>(s->window / 2, 1));
  live_.push_back(*s);
  ++open_;
  limit_room(*s);
  return *s;
}

// Streams carry a few bytes for their codec; ours hold the way back.
Http2Stream* Http2Codec::wire_half(Stream& stream) const {
  return reinterpret_cast<Http2Stream*>(static_cast<uintptr_t>(stream.wire_count));
}

void Http2Codec::close(Http2Stream& s) {
  if (s.id != 0) set_user_pointer(s.id, nullptr);
  if (reading_ == &s) reading_ = nullptr;
  Stream* stream = s.stream;
  const bool handed_out = s.handed_out;
  heads_held_ -= s.head_weight;
  if (s.wants_little) --wanting_little_;
  take_back_promise(s);
  delete &s;
  if (--open_ == 0) sharers_ = kFew;
  if (life_ == Life::retiring && !server() && open_ == 0) last_goaway_due_ = true;
  if (stream == nullptr) return;
  stream->wire_count = 0;
  if (handed_out) {
    stream->codec_closed();
  } else {
    stream->discard();
  }
}

Stream* Http2Codec::accept() {
  if (!server()) return nullptr;
  Http2Stream* s = queue_.pop_front();
  if (s == nullptr) return nullptr;
  s->handed_out = true;
  return s->stream;
}

Stream* Http2Codec::open() {
  if (server() || life_ != Life::serving || goaway_received_) return nullptr;
  if (open_ >= stream_limit()) return nullptr;
  const uint64_t last_id = uint64_t{nghttp2_session_get_next_stream_id(session_)} + 2 * open_;
  if (last_id > INT32_MAX) {
    retire();  // numbers have run out: the pool opens another connection
    return nullptr;
  }
  Http2Stream& s = add_stream(0);
  s.handed_out = true;
  return s.stream;
}

size_t Http2Codec::stream_limit() const {
  if (server()) return limits_.max_concurrent_streams;
  if (life_ != Life::serving || goaway_received_) return 0;
  if (!settings_received_) return kAssumedStreams;
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

// ---- what the connection asks ----------------------------------------------------------------

Codec::Waiting Http2Codec::waiting() const {
  if (life_ == Life::ending || life_ == Life::over) return Waiting::handlers;
  if (in_header_block_ || (server() && !settings_received_)) return Waiting::head;
  return open_ == 0 ? Waiting::idle : Waiting::handlers;
}

bool Http2Codec::finished() const {
  switch (life_) {
    case Life::over: return true;
    case Life::ending: return nghttp2_session_want_write(session_) == 0;
    case Life::serving:
    case Life::retiring: break;
  }
  return open_ == 0 && !last_goaway_due_ && nghttp2_session_want_read(session_) == 0 &&
         nghttp2_session_want_write(session_) == 0;
}

bool Http2Codec::probe() {
  if (life_ == Life::ending || life_ == Life::over || probe_pending_) return true;
  probe_pending_ = nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kProbe.data()) == 0;
  probe_answered_ = false;
  return true;
}

void Http2Codec::ping_answered(ByteView opaque) {
  if (probe_pending_ && same(opaque, kProbe)) {
    probe_pending_ = false;
    probe_answered_ = true;
  } else if (drain_ping_pending_ && same(opaque, kDrain)) {
    drain_ping_pending_ = false;
    last_goaway_due_ = true;
  } else {
    budget_.charge_noise(MisbehaviourBudget::kControl);
    within_budget();
  }
}

// ---- endings ---------------------------------------------------------------------------------

// A server first says that it will go, and asks for an echo; requests that were on their way when
// the peer heard it arrive before the echo. Then the number in the last GOAWAY leaves nobody in
// doubt about what was processed. A client simply stops.
void Http2Codec::retire() {
  if (life_ != Life::serving) return;
  life_ = Life::retiring;
  if (!server()) {
    last_goaway_due_ = open_ == 0;
    return;
  }
  nghttp2_submit_shutdown_notice(session_);
  drain_ping_pending_ = nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrain.data()) == 0;
}

void Http2Codec::submit_last_goaway() {
  if (last_goaway_submitted_ || life_ != Life::retiring) return;
  last_goaway_submitted_ = true;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

void Http2Codec::timed_out(Waiting what) {
  if (life_ == Life::ending || life_ == Life::over) return;
  switch (what) {
    case Waiting::idle:
      return end(Http2Error::no_error,
                 {Code::idle_timeout, Origin::local, "the connection was idle"});
    case Waiting::head:
      return end(Http2Error::enhance_your_calm,
                 {Code::request_timeout, peer_origin(), "a head did not arrive in time"});
    case Waiting::body:
    case Waiting::half_closed:
    case Waiting::handlers: return;
  }
}

void Http2Codec::end_of_input(const std::optional<Error>& why) {
  if (life_ == Life::over) return;
  life_ = Life::over;
  const Code code = server() ? Code::closed : Code::upstream_reset;
  fail_all({code, peer_origin(), why ? why->detail : "the peer closed the connection"});
}

// Inside a callback only the reason is kept: nghttp2 must not be torn down under its own feet.
void Http2Codec::give_up(Http2Error code, Code why, const char* detail) {
  if (failure_) return;
  if (why == Code::protocol_error && !server()) why = Code::upstream_protocol_error;
  failure_code_ = code;
  failure_ = Error{why, why == Code::internal ? Origin::local : peer_origin(), detail};
}

void Http2Codec::end(Http2Error code, const Error& error) {
  life_ = Life::ending;
  nghttp2_session_terminate_session(session_, static_cast<uint32_t>(code));
  if (server() && code != Http2Error::no_error) note_refused({error.code, error.detail});
  fail_all(error);
}

// What was answered in full before the connection ended stays answered.
void Http2Codec::fail_all(const Error& error) {
  for (Http2Stream& s : live_) {
    if (s.stream != nullptr) {
      const bool complete = !server() && s.remote_ended;
      if (complete) {
        s.stream->mark_departed();
      } else if (!s.stream->cancelled()) {
        s.stream->fail(error);
      }
    }
    close(s);
  }
}

}  // namespace tulle
