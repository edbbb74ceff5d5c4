// Http2Codec: HTTP/2 (RFC 9113) in both roles, on nghttp2.
//
// Owns the nghttp2 session and, for every stream of the wire, an Http2Stream beside the neutral
// Stream. read() runs nghttp2's receiving half, write() its sending half; neither is entered from a
// callback, which only records. An Http2Stream lives until nghttp2 reports the stream closed (or
// the codec gives up as a whole), because header blocks that wait to be sent point into its Stream.
//
// Flow control. The connection window is credited on arrival, so that one slow stream cannot hold
// up the others; what a connection can hold is bounded by the windows of its streams. A stream's
// window is credited when its handler takes bytes, and doubles while the handler keeps up. An upstream
// whose answers are not taken gets narrow windows: http2_windows.cpp.
//
// What waits for the peer's windows is bounded as well: a stream holds what its window lets out, or
// its share of what the peer has taken so far, if that is more (limit_room()).
//
// A connection error that nghttp2 finds by itself shows when its GOAWAY is written: then the streams
// fail and finished() holds. Those that the codec finds are returned by read() at once.
//
// Files: http2_session.cpp builds the session and turns nghttp2's callbacks into calls of this
// class; http2_receive.cpp and http2_send.cpp are the two directions; http2_windows.cpp is what
// peers may send; http2_patience.cpp is about peers that let us wait; http2_codec.cpp is life and death.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/list.hpp"
#include "core/base/pooled.hpp"
#include "core/http/codec.hpp"
#include "core/http/http2_budget.hpp"
#include "core/http/http2_error.hpp"
#include "core/http/http2_fresh_fields.hpp"
#include "core/http/http2_head.hpp"

struct nghttp2_session;

namespace tulle {

struct Http2LiveTag {};
struct Http2QueueTag {};

// The wire half of a stream: what HTTP/2 must know about it and handlers must not.
struct Http2Stream final : Pooled<Http2Stream>, ListNode<Http2LiveTag>, ListNode<Http2QueueTag> {
  Stream* stream = nullptr;       // null when the request was refused by us
  int32_t id = 0;                 // 0: a client stream that is not on the wire yet
  uint32_t window = 0;            // what we let the peer send
  uint32_t drained = 0;           // taken by the handler since drain_began
  Instant drain_began;
  uint64_t body_sent = 0;
  uint64_t body_sent_at_check = 0;  // see drop_stalled()
  bool submitted = false;         // nghttp2 has our head
  bool deferred = false;          // nghttp2 waits for more of our body
  bool bodiless = false;          // the answer to HEAD, 204, 304: what a handler sends is dropped
  bool head_request = false;
  bool protocol_switch = false;   // extended CONNECT
  bool tunnel = false;            // server: CONNECT, extended or not
  bool head_complete = false;     // the peer's final head is here; what follows are trailers
  bool remote_ended = false;      // the peer has sent END_STREAM
  bool local_ended = false;       // we have sent END_STREAM
  bool reset_by_us = false;       // asked for by our side, so not the peer's fault
  bool held_at_check = false;     // by its window, when drop_stalled() last looked
  bool handed_out = false;        // somebody holds, or held, a StreamRef
  bool lingers = false;           // answered; the peer is still sending, and may not have read it
  bool lingered = false;          // ... and did so already when end_lingering() last looked
  bool wants_little = false;      // client: its handler took next to nothing when it asked
  uint32_t head_weight = 0;       // of the decoded request head and trailers
  std::optional<Http2Error> peer_reset;
  std::optional<Error> reason;    // why we reset it, when that is more than "protocol error"
};

class Http2Codec final : public Codec {
 public:
  Http2Codec(Role role, const HttpLimits& limits, std::string_view scheme);
  ~Http2Codec() override;

  Result<void> read(ByteView wire, Instant now) override;
  void end_of_input(const std::optional<Error>& why) override;
  void write(Bytes& wire, size_t limit) override;
  bool wants_write() const override;
  Stream* accept() override;
  Stream* open() override;
  size_t open_streams() const override { return open_; }
  size_t stream_limit() const override;
  void retire() override;
  bool wants_read() const override { return life_ != Life::over; }
  bool finished() const override;
  Waiting waiting() const override;
  Version version() const override { return Version::http2; }
  DirtyStreams& dirty() override { return dirty_; }
  bool probe() override;
  bool probe_pending() const override { return probe_pending_; }

  // What time does to streams, besides whole heads and idleness: http2_patience.cpp. `now` must be
  // that of every event, because a codec has no clock of its own.
  Instant deadline(Instant now);
  enum class Passing : uint8_t { nothing, wrote, lost };  // lost: the peer gives no sign of life
  // At a deadline. `owes`: the peer has not taken all bytes yet, and so cannot have read a probe.
  Passing time_passes(Instant now, bool owes);
  void drop_stalled() override;
  void timed_out(Waiting what) override;

 private:
  friend struct Http2Callbacks;
  friend struct Http2BodySource;
  friend struct Http2Numbers;  // tests: the numbers of streams near their end

  // serving -> retiring -> ending -> over; each step may be skipped.
  enum class Life : uint8_t {
    serving,
    retiring,  // nothing new; what runs goes on
    ending,    // every stream has failed; the last GOAWAY is to be sent
    over,      // nothing will be read or written
  };

  bool server() const { return role_ == Role::server; }
  Origin peer_origin() const { return server() ? Origin::downstream : Origin::upstream; }

  // http2_session.cpp
  void make_session();
  void submit_preface();
  void set_user_pointer(int32_t id, Http2Stream* stream);
  Http2Stream* find(int32_t id) const;

  // http2_receive.cpp: what nghttp2 reports while reading. False: stop, the connection is ending.
  bool frame_begun(uint8_t type, bool ack, int32_t id);
  bool belongs_to_stream(int32_t id);
  bool head_begun(int32_t id, bool new_request, bool whole);   // false: refuse the stream
  void refuse_surplus(int32_t id);
  bool hold_head(Http2Stream& s);                              // false: too much is held already
  bool field_arrived(std::string_view name, std::string_view value);  // false: stream was reset
  void head_invalid();
  void head_ended(bool end_stream);
  void request_ended(Http2Stream& s, bool end_stream);
  void response_ended(Http2Stream& s, bool end_stream);
  void trailers_ended(Http2Stream& s);
  void refuse(Http2Stream& s, const Refusal& why);
  void break_stream(Http2Stream& s, Http2Error code, Code why, const char* detail);
  void body_arrived(int32_t id, ByteView bytes);
  void data_ended(int32_t id, size_t payload, bool end_stream);
  void remote_end(Http2Stream& s);
  void reset_arrived(int32_t id, Http2Error code);
  void ping_answered(ByteView opaque);
  void goaway_arrived();
  void stream_closed(int32_t id, Http2Error code);
  bool answered(const Http2Stream& s) const;
  void fail_closed(Http2Stream& s, Http2Error code);
  bool within_budget();
  Error name_failure(int library_error);

  // http2_send.cpp
  void depart(Http2Stream& s);
  void give_credit(Http2Stream& s);
  void submit_interims(Http2Stream& s);
  void submit_head(Http2Stream& s);
  void submit_request(Http2Stream& s, const Head& head, bool whole);
  bool may_switch(Http2Stream& s, const Head& head);
  void submit_response(Http2Stream& s, const Head& head, bool whole);
  void submit_refusal(int32_t id, Code why);
  void submit_trailers(Http2Stream& s);
  void drop_unwanted_body(Http2Stream& s);
  void append_settings(Bytes& wire);
  void reset(Http2Stream& s, Http2Error code);
  void hold(Http2Stream& s);
  void append_body(Http2Stream& s, ByteView frame_head, size_t length);
  bool enough_written() const;
  void limit_room(Http2Stream& s);
  void limit_rooms();
  void frame_with_end_sent(int32_t id);
  void reset_sent(int32_t id, Http2Error code);
  void goaway_sent(Http2Error code);

  // http2_windows.cpp
  void grow_window(Http2Stream& s);
  void take_back_promise(const Http2Stream& s) const;
  void watch_readers(size_t arrived);
  size_t unread();
  void choose_window(Http2Stream& s);
  void set_initial_window(uint32_t window);
  void windows_agreed();

  // http2_patience.cpp
  Instant heard() const;
  Duration silence() const;
  void linger(Http2Stream& s);
  void let_go(Http2Stream& s);
  void end_lingering();

  // http2_codec.cpp
  Http2Stream& add_stream(int32_t id);
  Http2Stream* wire_half(Stream& stream) const;
  void close(Http2Stream& s);
  void fail_all(const Error& error);
  void end(Http2Error code, const Error& error);
  void submit_last_goaway();
  void give_up(Http2Error code, Code why, const char* detail);  // from a callback; read() ends it

  const HttpLimits limits_;
  const Role role_;
  const std::string_view scheme_;
  nghttp2_session* session_ = nullptr;
  DirtyStreams dirty_;
  List<Http2Stream, Http2LiveTag> live_;
  List<Http2Stream, Http2QueueTag> queue_;   // server: to be accepted; client: held until SETTINGS
  size_t open_ = 0;

  MisbehaviourBudget budget_;
  Http2HeadReader reader_;
  Http2Stream* reading_ = nullptr;           // whose header block is arriving
  bool in_header_block_ = false;
  bool whole_block_ = false;                 // it ends with the frame it began in
  size_t continuations_ = 0;
  Instant now_;                              // when the peer was last heard

  Bytes* wire_ = nullptr;                    // only during write()
  size_t wire_end_ = 0;

  Life life_ = Life::serving;
  std::optional<Error> failure_;             // why the connection ends
  Http2Error failure_code_ = Http2Error::no_error;
  bool settings_received_ = false;
  bool settings_acknowledged_ = false;       // the peer knows our limits
  bool settings_written_ = false;
  bool goaway_received_ = false;
  bool last_goaway_due_ = false;
  bool last_goaway_submitted_ = false;
  Http2FreshFields fresh_fields_;
  bool probe_pending_ = false;
  bool probe_answered_ = false;              // the peer may not have sent a message since
  bool drain_ping_pending_ = false;
  int32_t last_request_ = -1;                // server: the highest stream the peer has opened
  int32_t skipped_from_ = 0;                 // numbers it has passed over last, up to skipped_to_
  int32_t skipped_to_ = 0;
  bool lingers_ = false;                     // some stream does
  Instant lingering_since_ = kNever;         // ... or since end_lingering() last looked
  Instant open_since_ = kNever;              // since when there has been a stream
  Instant probed_at_;
  Instant probe_from_;                       // not earlier
  Instant reset_at_ = kNever;                // when we last reset a stream
  size_t heads_held_ = 0;                    // decoded requests of the streams that are open
  uint64_t received_ = 0;                    // bytes
  uint64_t bodies_sent_ = 0;                 // bytes
  static constexpr size_t kFew = 4;
  size_t sharers_ = kFew;                    // streams among whom room was last shared out
  uint32_t initial_window_;                  // of a stream, as we have last told the peer
  bool windows_pending_ = false;             // ... and it has not acknowledged yet
  Instant thrifty_since_;
  size_t unread_ = 0;                        // client: at most so much waits for handlers
  static constexpr size_t kUnread = 1024 * 1024;
  size_t recount_at_ = kUnread;
  size_t wanting_little_ = 0;                // streams
};

}  // namespace tulle
