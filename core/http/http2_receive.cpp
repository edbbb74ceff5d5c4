// The arriving half of the codec: frames, as nghttp2 reports them, become streams.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <string>

#include "core/base/memory_budget.hpp"
#include "core/http/http2_codec.hpp"
#include "core/http/http2_rules.hpp"
#include "core/http/reply.hpp"
#include "core/http/websocket.hpp"

namespace tulle {
namespace {

constexpr size_t kMaxContinuations = 8;

// Decoded heads of all open requests of a connection: this much, and so many times what the peer has
// sent. A compressed head may cost its sender twenty bytes and us sixty thousand.
constexpr uint64_t kHeads = 128 * 1024;
constexpr uint64_t kExpansion = 16;

// How long after a reset of ours trailers of its stream may still arrive.
constexpr Duration kLateTrailers = 60s;

// See Http2Codec::submit_response(): a success that declines the switch comes under another status.
void restore_status(Head& head) {
  if (head.status / 100 == 2) {
    head.status = 101;
    head.fields.remove(kWebSocketAccept);
    return;
  }
  const auto declined = head.fields.get(kDeclinedStatus);
  if (!declined) return;
  const std::optional<int> status = parse_status(*declined);
  if (status && *status / 100 == 2) head.status = *status;
  head.fields.remove(kDeclinedStatus);
}

bool is_waste(uint8_t type) { return type == NGHTTP2_HEADERS || type == NGHTTP2_RST_STREAM; }

int64_t price(uint8_t type, bool ack) {
  switch (type) {
    case NGHTTP2_DATA: return 0;
    case NGHTTP2_HEADERS: return MisbehaviourBudget::kHead;
    case NGHTTP2_RST_STREAM: return MisbehaviourBudget::kReset;
    case NGHTTP2_WINDOW_UPDATE: return MisbehaviourBudget::kWindowUpdate;
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING: return ack ? 0 : MisbehaviourBudget::kControl;
    default: return MisbehaviourBudget::kControl;
  }
}

}  // namespace

Result<void> Http2Codec::read(ByteView wire, Instant now) {
  if (life_ == Life::ending || life_ == Life::over) return {};
  now_ = now;
  received_ += wire.size();
  budget_.refill(now);
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(wire.data()), wire.size());
  if (taken < 0 && !failure_) failure_ = name_failure(static_cast<int>(taken));
  if (open_ > 2 * sharers_) limit_rooms();
  // What we owe a peer that does not read: acknowledgements, resets, answers to refused heads.
  if (!failure_ && nghttp2_session_get_outbound_queue_size(session_) >
                       limits_.outbound_control_frames + 2 * open_) {
    give_up(Http2Error::enhance_your_calm, Code::protocol_error, "too many frames are unread");
  }
  if (!failure_) return {};
  const Error error = *failure_;
  end(failure_code_, error);
  return error;
}

Error Http2Codec::name_failure(int library_error) {
  const Code code = server() ? Code::protocol_error : Code::upstream_protocol_error;
  switch (library_error) {
    case NGHTTP2_ERR_FLOODED:
      failure_code_ = Http2Error::enhance_your_calm;
      return {code, peer_origin(), "too many acknowledgements are unread"};
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
      failure_code_ = Http2Error::protocol_error;
      return {code, peer_origin(), "not an HTTP/2 preface"};
    case NGHTTP2_ERR_NOMEM:
      failure_code_ = Http2Error::internal_error;
      return {Code::internal, Origin::local, "out of memory"};
    default:
      failure_code_ = Http2Error::protocol_error;
      return {code, peer_origin(), nghttp2_strerror(library_error)};
  }
}

bool Http2Codec::within_budget() {
  if (budget_.exhausted() && !failure_) {
    give_up(Http2Error::enhance_your_calm, Code::protocol_error,
            "too many resets, pings, settings, empty frames or malformed heads");
  }
  return !failure_;
}

bool Http2Codec::frame_begun(uint8_t type, bool ack, int32_t id) {
  if (type == NGHTTP2_CONTINUATION) {
    if (++continuations_ <= kMaxContinuations) return true;
    give_up(Http2Error::enhance_your_calm, Code::protocol_error, "too many CONTINUATION frames");
    return false;
  }
  in_header_block_ = false;
  if (probe_answered_ && type <= NGHTTP2_HEADERS) {
    probe_answered_ = false;
    probe_from_ = {};
  }
  if (type == NGHTTP2_HEADERS && server() && !belongs_to_stream(id)) return false;
  if (is_waste(type)) {
    budget_.charge_waste(price(type, ack));
  } else {
    budget_.charge_noise(price(type, ack));
  }
  return within_budget();
}

// nghttp2 ignores what comes on a closed stream, because we may have reset the stream while it was on
// its way. For trailers that is an excuse only for as long as such a journey takes.
bool Http2Codec::belongs_to_stream(int32_t id) {
  if (id > last_request_ || id % 2 == 0 || find(id) != nullptr) return true;
  if (skipped_from_ <= id && id < skipped_to_) {
    give_up(Http2Error::protocol_error, Code::protocol_error, "a stream number that was passed over");
    return false;
  }
  if (reset_at_ != kNever && now_ - reset_at_ <= kLateTrailers) return true;
  give_up(Http2Error::stream_closed, Code::protocol_error, "a head on a closed stream");
  return false;
}

// ---- heads -----------------------------------------------------------------------------------

bool Http2Codec::head_begun(int32_t id, bool new_request, bool whole) {
  in_header_block_ = true;
  whole_block_ = whole;
  continuations_ = 0;
  if (new_request) {
    if (id > last_request_ + 2) {
      skipped_from_ = last_request_ + 1;
      skipped_to_ = id;
    }
    last_request_ = id;
    // One that crossed our GOAWAY, whose number says that it was never processed; or one too many.
    if (last_goaway_submitted_ || open_ >= limits_.max_concurrent_streams) {
      refuse_surplus(id);
      in_header_block_ = !whole;
      return false;
    }
    if (server() && MemoryBudget::of_process().full()) {
      // The cheapest answer there is, and one that lets the peer try elsewhere. Not its fault.
      MemoryBudget::of_process().count(Shed::stream);
      budget_.valid_head();
      budget_.exchange_done();  // pays for our reset
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
      in_header_block_ = !whole;
      return false;
    }
    reading_ = &add_stream(id);
    set_user_pointer(id, reading_);
    reader_.begin(Http2HeadReader::Kind::request, *reading_->stream);
    return true;
  }
  reading_ = find(id);
  if (reading_ == nullptr || reading_->stream == nullptr) {
    reading_ = nullptr;  // we answered without reading on; what else it says is ignored
    return true;
  }
  reading_->stream->mark_touched();
  const bool response = !server() && !reading_->head_complete;
  reader_.begin(response ? Http2HeadReader::Kind::response : Http2HeadReader::Kind::trailers,
                *reading_->stream);
  return true;
}

void Http2Codec::refuse_surplus(int32_t id) {
  reset_at_ = now_;
  if (!settings_acknowledged_) budget_.valid_head();  // it does not know yet how many are too many
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
}

// HPACK lets a few bytes stand for a head of the largest size, in each of many streams.
bool Http2Codec::hold_head(Http2Stream& s) {
  const auto weight = static_cast<uint32_t>(reader_.weight());
  if (heads_held_ + weight > kHeads + kExpansion * received_) return false;
  s.head_weight += weight;
  heads_held_ += weight;
  return true;
}

bool Http2Codec::field_arrived(std::string_view name, std::string_view value) {
  if (reading_ == nullptr) return true;
  Http2Stream& s = *reading_;
  if (!reader_.add(name, value)) {
    budget_.charge_waste(MisbehaviourBudget::kBadHead);
    break_stream(s, Http2Error::protocol_error,
                 server() ? Code::protocol_error : Code::upstream_protocol_error,
                 "a malformed field in a head or trailers");
    head_invalid();
    return false;
  }
  if (reader_.hopeless()) {
    break_stream(s, Http2Error::enhance_your_calm, Code::header_too_large, "the head is too large");
    head_invalid();
    return false;
  }
  return true;
}

// Called for what nghttp2 refuses, too. The rest of the block is decoded (HPACK needs it) and
// otherwise ignored.
void Http2Codec::head_invalid() {
  budget_.charge_waste(MisbehaviourBudget::kBadHead);
  if (server() && reading_ != nullptr && !reading_->head_complete) {
    const std::optional<Error>& why = reading_->reason;
    note_refused({why ? why->code : Code::protocol_error, why ? why->detail : "a malformed head"});
  }
  reading_ = nullptr;
  if (whole_block_) in_header_block_ = false;
  within_budget();
}

void Http2Codec::head_ended(bool end_stream) {
  in_header_block_ = false;
  if (reading_ == nullptr) return;
  Http2Stream& s = *std::exchange(reading_, nullptr);
  switch (reader_.kind()) {
    case Http2HeadReader::Kind::request: return request_ended(s, end_stream);
    case Http2HeadReader::Kind::response: return response_ended(s, end_stream);
    case Http2HeadReader::Kind::trailers: return trailers_ended(s);
    case Http2HeadReader::Kind::none: break;
  }
  UNREACHABLE();
}

void Http2Codec::request_ended(Http2Stream& s, bool end_stream) {
  s.head_complete = true;
  s.remote_ended = end_stream;
  if (const Checked why = reader_.finish()) return refuse(s, *why);
  if (!hold_head(s)) {
    note_refused({Code::refused_stream, "the heads of this connection are too large together"});
    std::exchange(s.stream, nullptr)->discard();
    return refuse_surplus(s.id);
  }
  budget_.valid_head();
  Head& head = s.stream->arriving_head();
  s.head_request = head.method == Method::head;
  s.protocol_switch = !head.protocol.empty();
  s.tunnel = s.protocol_switch || head.method == Method::connect;
  head.ended = end_stream;
  if (end_stream && head.expects_continue) {
    head.expects_continue = false;  // nothing is to be awaited without a body
    head.fields.remove(FieldId::expect);
  }
  s.drain_began = now_;
  queue_.push_back(s);
  s.stream->head_arrived();
}

void Http2Codec::response_ended(Http2Stream& s, bool end_stream) {
  if (const Checked why = reader_.finish()) {
    return break_stream(s, Http2Error::enhance_your_calm, why->code, "the head is too large");
  }
  if (reader_.interim()) {
    // Its price is not given back: an endless row of them is worth nothing.
    if (reader_.interim_kept()) s.stream->interim_arrived();
    return;
  }
  budget_.valid_head();
  s.head_complete = true;
  s.remote_ended = end_stream;
  s.drain_began = now_;
  Head& head = s.stream->arriving_head();
  // The neutral form of "the protocol is switched" is HTTP/1's.
  if (s.protocol_switch) restore_status(head);
  head.ended = end_stream;
  s.stream->head_arrived();
}

void Http2Codec::trailers_ended(Http2Stream& s) {
  if (s.tunnel) {
    return break_stream(s, Http2Error::protocol_error, Code::protocol_error,
                        "a head within a tunnel");
  }
  if (const Checked why = reader_.finish()) {
    return break_stream(s, Http2Error::enhance_your_calm, why->code, "the trailers are too large");
  }
  if (server() && !hold_head(s)) {
    return break_stream(s, Http2Error::enhance_your_calm, Code::header_too_large,
                        "the heads of this connection are too large together");
  }
  budget_.valid_head();
  remote_end(s);
}

// The request is well-formed HTTP/2 and still nothing we would pass on. The peer is told in its own
// language; no handler ever sees a byte of it.
void Http2Codec::refuse(Http2Stream& s, const Refusal& why) {
  budget_.charge_waste(MisbehaviourBudget::kBadHead);
  std::exchange(s.stream, nullptr)->discard();
  submit_refusal(s.id, why.code);
  note_refused({why.code, why.why, http_status(why.code)});
  within_budget();
}

void Http2Codec::break_stream(Http2Stream& s, Http2Error code, Code why, const char* detail) {
  if (!s.reason) s.reason = Error{why, peer_origin(), detail};
  reset_at_ = now_;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s.id, static_cast<uint32_t>(code));
}

// ---- bodies ----------------------------------------------------------------------------------

void Http2Codec::body_arrived(int32_t id, ByteView bytes) {
  nghttp2_session_consume_connection(session_, bytes.size());
  Http2Stream* s = find(id);
  if (s == nullptr) return;
  if (s->lingers) nghttp2_session_consume_stream(session_, id, bytes.size());
  if (s->stream == nullptr) return;
  s->stream->body_arrived(bytes);
  if (s->drained >= s->window) grow_window(*s);
  if (!server()) watch_readers(bytes.size());
}

void Http2Codec::data_ended(int32_t id, size_t payload, bool end_stream) {
  if (payload > 0) {
    budget_.payload();
  } else if (!end_stream) {
    budget_.charge_noise(MisbehaviourBudget::kEmptyData);
    if (!within_budget()) return;
  }
  if (!end_stream) return;
  if (Http2Stream* s = find(id)) remote_end(*s);
}

void Http2Codec::remote_end(Http2Stream& s) {
  s.remote_ended = true;
  if (s.stream != nullptr) s.stream->end_arrived();
}

// ---- control ---------------------------------------------------------------------------------

void Http2Codec::reset_arrived(int32_t id, Http2Error code) {
  if (Http2Stream* s = find(id)) s->peer_reset = code;
}

void Http2Codec::goaway_arrived() {
  goaway_received_ = true;
  if (server()) return;
  // nghttp2 closes the streams above the peer's number that are on the wire. Those that are not go
  // here; the ones it keeps back, because the peer allows no more at once, stay its own for a while.
  const Error going{Code::refused_stream, Origin::upstream, "the peer is going away"};
  for (Http2Stream& s : live_) {
    if (s.submitted && find(s.id) != nullptr) continue;
    if (s.stream != nullptr && !s.stream->cancelled()) s.stream->fail(going);
    if (!s.submitted) close(s);
  }
}

// ---- the end of a stream ---------------------------------------------------------------------

void Http2Codec::stream_closed(int32_t id, Http2Error code) {
  Http2Stream* s = find(id);
  if (s == nullptr) return;
  if (s->remote_ended && s->local_ended) {
    budget_.exchange_done();  // an exchange that went well pays for a cancelled one
  } else if (answered(*s)) {
    budget_.exchange_done();
    if (s->stream != nullptr && !s->stream->cancelled()) fail_closed(*s, code);
  } else if (s->stream != nullptr && !s->stream->cancelled()) {
    fail_closed(*s, code);
    // A body or trailers that broke the rules before anybody had the stream.
    const bool broken = server() && s->head_complete && !s->handed_out && !s->peer_reset;
    const Error* why = s->stream->failure();
    if (broken && why != nullptr) note_refused({why->code, why->detail});
  }
  close(*s);
}

// The answer was complete before the request, and then one side has stopped the rest of that. Nothing
// was wasted, and a row of refused uploads is no attack.
bool Http2Codec::answered(const Http2Stream& s) const {
  return server() ? s.local_ended : s.remote_ended && s.peer_reset == Http2Error::no_error;
}

void Http2Codec::fail_closed(Http2Stream& s, Http2Error code) {
  Stream& stream = *s.stream;
  if (!server() && s.remote_ended && s.peer_reset == Http2Error::no_error) {
    // "I have answered and do not need the rest of the request" (RFC 9113, 8.1).
    stream.mark_departed();
  } else if (s.reason) {
    stream.fail(*s.reason);
  } else if (s.peer_reset) {
    stream.fail(peer_reset_error(*s.peer_reset, server()));
  } else {
    stream.fail(broken_stream_error(code, server()));
  }
}

}  // namespace tulle
