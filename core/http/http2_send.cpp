// The departing half of the codec: what handlers have left in streams becomes frames.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "core/http/http2_codec.hpp"
#include "core/http/http2_rules.hpp"
#include "core/http/reply.hpp"
#include "core/http/websocket.hpp"

namespace tulle {
namespace {

// A body this small is copied behind its frame header: one contiguous piece is cheaper to encrypt
// and to write than three.
constexpr size_t kCopyBelow = 2048;

constexpr size_t kShortCookie = 20;

// What waits for windows: of each stream at least, and of a connection whose peer has taken nothing.
constexpr size_t kLeastRoom = 1024;
constexpr uint64_t kUnearned = 8 * 1024;

enum class Copy : bool { no, yes };

// The fields of one head in the form nghttp2 wants. One per thread, because nghttp2 copies the
// array (not the text) while it is submitted.
class FieldArray {
 public:
  static FieldArray& empty_one() {
    static thread_local FieldArray array;
    array.used_ = array.used_digits_ = 0;
    return array;
  }

  void add(std::string_view name, std::string_view value, uint8_t more_flags = 0,
           Copy copy = Copy::no) {
    uint8_t flags = static_cast<uint8_t>(NGHTTP2_NV_FLAG_NO_COPY_NAME | more_flags);
    if (copy == Copy::no) flags |= NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    if (used_ == fields_.size()) fields_.resize(2 * used_ + 32);
    fields_.data()[used_++] = {bytes(name), bytes(value), name.size(), value.size(), flags};
  }
  void add_number(std::string_view name, uint64_t number) {
    // nghttp2 copies the text only when the whole array is submitted, so each number has its place.
    char* const begin = digits_ + used_digits_;
    char* const end = std::to_chars(begin, digits_ + sizeof(digits_), number).ptr;
    used_digits_ = static_cast<size_t>(end - digits_);
    add(name, {begin, static_cast<size_t>(end - begin)}, 0, Copy::yes);
  }
  void add_all(const Fields& fields, Http2FreshFields& fresh, nghttp2_session* session,
               Copy copy = Copy::no) {
    for (const Fields::Field field : fields) {
      if (!is_wanted(field)) continue;
      add(field.name, field.value, flags_of(field, fresh, session), copy);
      if (copy == Copy::yes) fields_[used_ - 1].flags &= ~NGHTTP2_NV_FLAG_NO_COPY_NAME;
    }
  }
  const nghttp2_nv* data() const { return fields_.data(); }
  size_t size() const { return used_; }

 private:
  static uint8_t* bytes(std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  }

  // Handlers write neutral heads; what belongs to one HTTP/1 connection must not get out here.
  static bool is_wanted(const Fields::Field& field) {
    if (field.id == FieldId::unknown) return true;
    if (field.id == FieldId::te) return field.value == "trailers";
    return !is_framing_field(field.id);
  }

  // Secrets stay out of the compression table, where they could be guessed (RFC 7541, 7.1.3). What is
  // new in every request stays out for another reason: Http2FreshFields.
  static uint8_t flags_of(const Fields::Field& field, Http2FreshFields& fresh,
                          nghttp2_session* session) {
    switch (field.id) {
      case FieldId::authorization:
      case FieldId::proxy_authorization:
      case FieldId::idempotency_key: return NGHTTP2_NV_FLAG_NO_INDEX;
      case FieldId::cookie:
        return field.value.size() < kShortCookie ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
      default: break;
    }
    if (!Http2FreshFields::covers(field.id)) return NGHTTP2_NV_FLAG_NONE;
    const bool indexed = fresh.indexed(field, [session] { return is_table_crowded(session); });
    return indexed ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX;
  }

  // nghttp2's table is as large as the peer allows, and at most 4096 bytes.
  static bool is_table_crowded(nghttp2_session* session) {
    const uint32_t allowed =
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_HEADER_TABLE_SIZE);
    const size_t size = std::min<size_t>(allowed, NGHTTP2_DEFAULT_HEADER_TABLE_SIZE);
    return nghttp2_session_get_hd_deflate_dynamic_table_size(session) > size / 2;
  }

  std::vector<nghttp2_nv> fields_;  // of which used_ are in use
  size_t used_ = 0;
  char digits_[40];  // two numbers: the status and a length
  size_t used_digits_ = 0;
};

}  // namespace

// Where nghttp2 asks for a body. The payload itself does not pass through nghttp2: append_body()
// moves it.
struct Http2BodySource {
  static ssize_t read(nghttp2_session*, int32_t, uint8_t*, size_t max, uint32_t* flags,
                      nghttp2_data_source* source, void* user) {
    auto& codec = *static_cast<Http2Codec*>(user);
    auto& s = *static_cast<Http2Stream*>(source->ptr);
    Stream& stream = *s.stream;
    const size_t queued = stream.departing_body().size();
    if (queued == 0 && !stream.finished()) {
      s.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t length = std::min(max, queued);
    const bool last = stream.finished() && length == queued;
    if (!fits_declared_length(s, length, last)) {
      s.reset_by_us = true;
      s.reason = Error{Code::internal, Origin::local, "the body does not have its declared length"};
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!stream.departing_trailers().empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        codec.submit_trailers(s);
      }
    }
    return static_cast<ssize_t>(length);
  }

  // A peer would take a body of another length for an attack, and rightly.
  static bool fits_declared_length(const Http2Stream& s, size_t length, bool last) {
    const std::optional<uint64_t>& declared = s.stream->departing_head()->content_length;
    if (!declared) return true;
    const uint64_t total = s.body_sent + length;
    return last ? total == *declared : total <= *declared;
  }

  static nghttp2_data_provider of(Http2Stream& s) {
    nghttp2_data_provider provider{};
    provider.source.ptr = &s;
    provider.read_callback = &read;
    return provider;
  }
};

// ---- writing ---------------------------------------------------------------------------------

bool Http2Codec::wants_write() const {
  if (life_ == Life::over) return !dirty_.list.empty();
  if (nghttp2_session_want_write(session_) != 0) return true;
  if (life_ == Life::ending) return false;
  if (last_goaway_due_ || !dirty_.list.empty()) return true;
  return !server() && settings_received_ && !queue_.empty();
}

void Http2Codec::write(Bytes& wire, size_t limit) {
  while (Stream* stream = dirty_.take()) {
    if (Http2Stream* s = wire_half(*stream)) depart(*s);
  }
  if (life_ == Life::over) return;
  if (!server() && settings_received_) {
    while (Http2Stream* s = queue_.pop_front()) depart(*s);
  }
  if (std::exchange(last_goaway_due_, false)) submit_last_goaway();

  if (!settings_written_) append_settings(wire);
  wire_ = &wire;
  wire_end_ = wire.size() + std::clamp<size_t>(limit, 1, SIZE_MAX - wire.size());
  while (!enough_written()) {
    const uint8_t* frame = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &frame);
    if (size <= 0) {
      if (size < 0) give_up(Http2Error::internal_error, Code::internal, "nghttp2 cannot go on");
      break;
    }
    wire.append(ByteView(reinterpret_cast<const char*>(frame), static_cast<size_t>(size)));
  }
  wire_ = nullptr;
  if (failure_ && life_ != Life::ending) end(failure_code_, *failure_);
}

// The peer is told another limit of streams than nghttp2. nghttp2 (1.52) ends the connection of a peer
// that goes beyond the limit it knows; the error is only of those streams (RFC 9113, 5.1.2), and
// head_begun() refuses them. No option changes that, and it takes the acknowledgement of a SETTINGS
// frame that it has not made itself for an error. So it makes the frame, with "no limit" as the first
// setting (submit_preface()), and here the limit takes the place of that value.
void Http2Codec::append_settings(Bytes& wire) {
  constexpr size_t kFirstId = 9;  // behind the frame's header; two bytes, then four of the value
  const uint8_t* frame = nullptr;
  const ssize_t size = nghttp2_session_mem_send(session_, &frame);
  if (size <= 0) return;
  settings_written_ = true;
  std::string bytes(reinterpret_cast<const char*>(frame), static_cast<size_t>(size));
  if (server()) {
    ASSERT(bytes.size() >= kFirstId + 6 && bytes[3] == NGHTTP2_SETTINGS);
    ASSERT(bytes[kFirstId + 1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    const uint32_t limit = limits_.max_concurrent_streams;
    for (size_t i = 0; i < 4; ++i) bytes[kFirstId + 2 + i] = static_cast<char>(limit >> (24 - 8 * i));
  }
  wire.append(ByteView(bytes));
}

bool Http2Codec::enough_written() const { return wire_->size() >= wire_end_; }

// The handler has done something. Looks at what there is; a call too many does no harm.
void Http2Codec::depart(Http2Stream& s) {
  Stream& stream = *s.stream;
  if (stream.cancelled()) {
    if (s.local_ended && server()) return linger(s);
    return reset(s, reset_code(*stream.cancelled()));
  }
  if (stream.released() && s.local_ended) return linger(s);
  give_credit(s);
  submit_interims(s);
  if (!s.submitted) {
    if (stream.departing_head() == nullptr) return;
    return submit_head(s);
  }
  if (s.bodiless) return drop_unwanted_body(s);
  if (s.deferred && (!stream.departing_body().empty() || stream.finished())) {
    s.deferred = false;
    nghttp2_session_resume_data(session_, s.id);
  }
}

// ---- heads -----------------------------------------------------------------------------------

// Copied, because the stream forgets an interim head as soon as it is taken.
void Http2Codec::submit_interims(Http2Stream& s) {
  while (const Head* head = s.stream->departing_interim()) {
    FieldArray& fields = FieldArray::empty_one();
    fields.add_number(":status", static_cast<uint64_t>(head->status));
    fields.add_all(head->fields, fresh_fields_, session_, Copy::yes);
    if (!s.submitted && head->status != 101) {
      nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, s.id, nullptr, fields.data(),
                             fields.size(), nullptr);
    }
    s.stream->interim_departed();
  }
}

void Http2Codec::submit_head(Http2Stream& s) {
  Stream& stream = *s.stream;
  const Head& head = *stream.departing_head();
  if (!server()) {
    // The end of a request that came by itself goes by itself: gRPC has calls without a message end
    // in an empty DATA frame, and grpc-go waits for it for ever.
    return submit_request(s, head, head.ended);
  }
  const bool nothing_follows = stream.departing_end() && stream.departing_trailers().empty();
  submit_response(s, head, head.ended || nothing_follows);
}

void Http2Codec::submit_request(Http2Stream& s, const Head& head, bool whole) {
  const bool switches = !head.protocol.empty();
  if (switches) {
    if (!settings_received_) return hold(s);  // only they say whether it is possible
    if (!may_switch(s, head)) return close(s);
    s.stream->draft().fields.remove(kWebSocketKey);
  }
  FieldArray& fields = FieldArray::empty_one();
  fields.add(":method", switches ? std::string_view("CONNECT") : head.method_text);
  if (head.method != Method::connect || switches) {
    fields.add(":scheme", scheme_);
    fields.add(":path", head.path);
  }
  if (!head.authority.empty()) fields.add(":authority", head.authority);
  if (switches) fields.add(":protocol", head.protocol);
  fields.add_all(head.fields, fresh_fields_, session_);
  if (head.content_length && !switches && head.method != Method::connect) {
    fields.add_number("content-length", *head.content_length);
  }

  choose_window(s);
  const nghttp2_data_provider body = Http2BodySource::of(s);
  const int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                            whole ? nullptr : &body, &s);
  if (id < 0) {
    s.stream->fail({Code::refused_stream, Origin::local, nghttp2_strerror(id)});
    return close(s);
  }
  s.id = s.stream->wire_id = id;
  s.submitted = true;
  s.head_request = head.method == Method::head;
  s.protocol_switch = switches;
  s.stream->mark_head_departed();
}

// Whether the request can be said as an extended CONNECT; otherwise the stream fails with the reason.
bool Http2Codec::may_switch(Http2Stream& s, const Head& head) {
  const auto possible = NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL;
  if (nghttp2_session_get_remote_settings(session_, possible) == 0) {
    s.stream->fail({Code::not_implemented, Origin::upstream,
                    "the endpoint has not announced extended CONNECT (RFC 8441), so nothing can "
                    "be upgraded to " + head.protocol + " over HTTP/2"});
    return false;
  }
  const char* why = nullptr;
  if (head.method_text != "GET") {
    why = "over HTTP/2 only a GET can ask for another protocol";
  } else if (head.protocol == kWebSocket && head.version != Version::http2 &&
             !has_websocket_key(head.fields)) {
    why = "Sec-WebSocket-Key is not exactly one key of 16 bytes in base64";
  }
  if (why == nullptr) return true;
  s.stream->fail({Code::bad_request, Origin::downstream, why});
  return false;
}

void Http2Codec::submit_response(Http2Stream& s, const Head& head, bool whole) {
  int status = head.status;
  if (status == 101 && !s.protocol_switch) {
    s.reason = Error{Code::internal, Origin::local, "101 without a request to switch"};
    return reset(s, Http2Error::internal_error);
  }
  const bool declined = s.protocol_switch && status / 100 == 2;
  s.bodiless = s.head_request || status == 204 || status == 304;
  whole = whole || s.bodiless;
  if (status == 101) status = 200;
  if (declined) status = 501;
  if (s.protocol_switch) s.stream->draft().fields.remove(kWebSocketAccept);
  FieldArray& fields = FieldArray::empty_one();
  fields.add_number(":status", static_cast<uint64_t>(status));
  if (declined) fields.add_number(kDeclinedStatus, static_cast<uint64_t>(head.status));
  fields.add_all(head.fields, fresh_fields_, session_);
  const bool open = s.tunnel && status / 100 == 2;
  if (head.content_length && head.status != 204 && !open) {
    fields.add_number("content-length", *head.content_length);
  }
  const nghttp2_data_provider body = Http2BodySource::of(s);
  nghttp2_submit_response(session_, s.id, fields.data(), fields.size(), whole ? nullptr : &body);
  s.submitted = true;
  s.stream->mark_head_departed();
  if (s.bodiless) drop_unwanted_body(s);
}

// An answer of the codec itself: like every answer of ours it says what it is.
void Http2Codec::submit_refusal(int32_t id, Code why) {
  FieldArray& fields = FieldArray::empty_one();
  fields.add_number(":status", static_cast<uint64_t>(http_status(why)));
  fields.add("content-length", "0");
  fields.add(field_name(FieldId::tulle_error), to_string(why));
  nghttp2_submit_response(session_, id, fields.data(), fields.size(), nullptr);
}

void Http2Codec::submit_trailers(Http2Stream& s) {
  FieldArray& fields = FieldArray::empty_one();
  fields.add_all(s.stream->departing_trailers(), fresh_fields_, session_);
  nghttp2_submit_trailer(session_, s.id, fields.data(), fields.size());
}

// A proxied answer to HEAD may come with bytes; they are not part of this one.
void Http2Codec::drop_unwanted_body(Http2Stream& s) {
  Bytes& body = s.stream->departing_body();
  const size_t size = body.size();
  body.clear();
  if (size > 0) s.stream->body_departed(size);
}

// Waits for the peer's SETTINGS.
void Http2Codec::hold(Http2Stream& s) {
  if (!static_cast<ListNode<Http2QueueTag>&>(s).linked()) queue_.push_back(s);
}

// ---- bodies ----------------------------------------------------------------------------------

void Http2Codec::append_body(Http2Stream& s, ByteView frame_head, size_t length) {
  Bytes& body = s.stream->departing_body();
  wire_->append(frame_head);
  if (length < kCopyBelow) {
    for (size_t left = length; left > 0;) {
      const ByteView piece = body.front().substr(0, left);
      left -= piece.size();
      wire_->append(piece);
      body.drop(piece.size());
    }
  } else {
    wire_->append(body.take(length));
  }
  s.body_sent += length;
  bodies_sent_ += length;
  if (!s.stream->finished()) limit_room(s);
  s.stream->body_departed(length);
}

// ---- flow control ----------------------------------------------------------------------------

// A peer that keeps its windows shut must not make us hold full queues for a few bytes each. What its
// windows let out may be queued, of course. Beyond that, all streams together may hold about what it
// has taken so far: whoever reads has soon earned full queues, so that its windows never wait for us.
// A stream of which a quarter is due gets all, because measuring it out is work as well. Requests are not
// limited: their bodies have cost those who sent them as much.
void Http2Codec::limit_room(Http2Stream& s) {
  if (!server()) return;
  const size_t streams = std::max<size_t>(open_, 1);
  const uint64_t earned = std::min<uint64_t>(kUnearned + bodies_sent_, limits_.connection_window);
  const size_t enough = limits_.stream_outbound / 4;
  if (earned >= streams * enough) return s.stream->limit_outbound(SIZE_MAX, false);
  const size_t share = earned / streams;
  const auto open = [](int32_t window) { return static_cast<size_t>(std::max(window, 0)); };
  const size_t ours = open(nghttp2_session_get_remote_window_size(session_));
  const size_t own = open(nghttp2_session_get_stream_remote_window_size(session_, s.id));
  const size_t window = std::min(own, ours / streams);
  const size_t room = window >= enough ? SIZE_MAX : std::max({window, share, kLeastRoom});
  s.stream->limit_outbound(room, std::min(own, ours) < kLeastRoom);
}

// The peer's SETTINGS may have shut every window at once; or many streams have come together, and the
// first of them got much.
void Http2Codec::limit_rooms() {
  sharers_ = std::max(open_, kFew);
  for (Http2Stream& s : live_) {
    if (s.stream != nullptr && !s.stream->finished()) limit_room(s);
  }
}

// nghttp2 sends the WINDOW_UPDATE once half the window is due.
void Http2Codec::give_credit(Http2Stream& s) {
  const size_t taken = s.stream->take_credit();
  if (taken == 0 || s.remote_ended) return;
  s.drained += static_cast<uint32_t>(taken);
  nghttp2_session_consume_stream(session_, s.id, taken);
}

// ---- what was sent ---------------------------------------------------------------------------

void Http2Codec::frame_with_end_sent(int32_t id) {
  Http2Stream* s = find(id);
  if (s == nullptr) return;
  s->local_ended = true;
  // Nobody will read the rest of the request: say so, after a while, instead of letting the peer run
  // into a closed window (RFC 9113, 8.1).
  const bool unread = server() && !s->remote_ended;
  if (unread && (s->stream == nullptr || s->stream->released())) linger(*s);
  if (s->stream != nullptr) s->stream->mark_departed();
}

void Http2Codec::reset(Http2Stream& s, Http2Error code) {
  if (s.id == 0) return close(s);
  if (s.reset_by_us) return;
  s.reset_by_us = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, s.id, static_cast<uint32_t>(code));
}

// What a handler wanted is free. The rest was provoked, and provoking resets is an attack as old as
// sending them.
void Http2Codec::reset_sent(int32_t id, Http2Error code) {
  const Http2Stream* s = find(id);
  reset_at_ = now_;
  if (s != nullptr ? s->reset_by_us : code == Http2Error::no_error) return;
  if (s == nullptr && !settings_acknowledged_) return;  // it does not know yet how many are too many
  budget_.charge_waste(MisbehaviourBudget::kReset);
  within_budget();
}

// nghttp2 has found a connection error by itself.
void Http2Codec::goaway_sent(Http2Error code) {
  if (code == Http2Error::no_error || failure_ || life_ == Life::ending) return;
  failure_code_ = code;
  failure_ = Error{server() ? Code::protocol_error : Code::upstream_protocol_error, peer_origin(),
                   "connection error: " + std::string(to_string(code))};
}

}  // namespace tulle
