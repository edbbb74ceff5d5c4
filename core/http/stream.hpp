// Stream: one message pair on one connection. Plain data with two owners: a codec and a handler.
//
// Neither side calls the other. The codec fills the arriving half and wakes the handler's task; the
// handler fills the departing half, which marks the stream dirty, so that the codec's connection is
// flushed at the end of the turn. Backpressure is capacity: room() on the way out, the bounded
// inbound queue on the way in, which the handler reopens by receive(). Cancellation is dropping the
// StreamRef. Loop thread only.
//
// Life. A codec make()s a stream and hands it out (accept(), open()), or discard()s it. It returns
// to the pool of its thread when the codec has closed it and the handler has let go, and always
// from the codec's turn: letting go only marks it dirty, so a handler is never destroyed inside its
// own run(). A server stream owns its handler's task, which dies with it. When the codec goes first
// (its connection is destroyed) DirtyStreams fails and closes all that are left and destroys parked
// handlers, which lets go of their streams; a stream still held by anybody else then waits for its
// holder, hears nothing more, and is recycled the moment it is released.
//
// Once a stream has failed or was cancelled, send(), finish() and the like do nothing and room() is
// zero; what had arrived before a failure may still be received. A client's answer may be complete
// before its request: what is sent from then on is taken and dropped.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/bytes.hpp"
#include "core/base/list.hpp"
#include "core/base/result.hpp"
#include "core/http/fields.hpp"
#include "core/http/head.hpp"
#include "core/net/address.hpp"

namespace tulle {

class Task;
class Flusher;
class Stream;
class PeerIdentity;

struct DirtyTag {};
struct StreamTag {};
struct LiveTag {};

// Where a captured connection wanted to go, with its text, which requests look things up by.
struct OriginalDestination {
  Address address;
  std::string name;  // "<ip>:<port>"
};

// Where streams report that their handler did something. Owned by a codec; the connection attaches
// its flusher.
struct DirtyStreams {
  List<Stream, DirtyTag> list;
  const OriginalDestination* original = nullptr;  // the connection's; null: it came to us
  Flusher* flusher = nullptr;  // null in codec unit tests, which look at the list
  // Streams made for this codec and not yet recycled: ++ in Stream::make(), -- in recycle(). The
  // connection stays, with the peer's identity, until this is 0; reaching 0 calls flush_later().
  size_t alive = 0;
  List<Stream, LiveTag> live;  // those streams

  DirtyStreams() = default;
  ~DirtyStreams();             // see "Life" above

  // The next dirty stream that the codec has not closed; null: none. Recycles on the way what was
  // closed earlier and has been released since.
  Stream* take();
};

struct StreamRelease {
  void operator()(Stream* stream) const;
};
// The handler's ownership. Dropping it before both directions have ended cancels the stream
// (RST_STREAM CANCEL, or the end of an HTTP/1 connection). One exception: a server's handler may
// let go as soon as its answer is finished(); the answer still departs, the rest of the request is
// discarded.
using StreamRef = std::unique_ptr<Stream, StreamRelease>;

class Stream : private ListNode<DirtyTag>, private ListNode<StreamTag>, private ListNode<LiveTag> {
 public:
  // ---- The handler's face ------------------------------------------------------------------
  // Arriving.
  const Head* head() const { return head_ready_ ? &head_ : nullptr; }  // a response's final head
  // Server: for whoever brings the head into canonical form before anything decides by it.
  Head& amend_head() { return head_; }
  const Head* interim() const;      // client: the oldest 1xx not yet taken; null: none
  void drop_interim();
  size_t readable() const { return inbound_.size(); }
  Bytes receive(size_t max);        // taking bytes is what reopens the peer's window
  bool arrived() const { return inbound_ended_; }                       // the end is here ...
  bool ended() const { return inbound_ended_ && inbound_.empty(); }     // ... and all is taken
  const Fields& trailers() const { return inbound_trailers_; }          // when arrived()
  const Error* failure() const { return failure_ ? &*failure_ : nullptr; }  // set once, final

  // Departing. Fill draft() in place (it is clear), then send_head(). For a response, 1xx heads may
  // go first: fill draft() with the 1xx and call send_interim(), which clears it again (and drops
  // the 1xx when too many wait).
  Head& draft() { return outbound_head_; }
  void send_interim();
  void send_head();                 // once. With draft().ended the message is complete
  bool head_sent() const { return outbound_head_ready_; }
  size_t room() const;              // body bytes it will take now; 0 arms the wake for more
  // How much it will hold: less than usual while the peer's windows let little out. Whoever fills it
  // from elsewhere need not fetch more than that.
  size_t outbound_limit() const { return outbound_limit_; }
  bool narrow() const { return outbound_limit_ < outbound_most_; }
  bool shut() const { return shut_; }    // ... and now next to nothing
  void send(Bytes&& body);          // size() <= room()
  Fields& draft_trailers() { return outbound_trailers_; }  // fill before finish()
  void finish();                    // the end of what we send
  bool finished() const { return outbound_ended_; }
  // The codec has turned all of it into wire bytes; nothing more will happen on the way out.
  bool departed() const { return departed_; }
  void cancel(Code why);            // ends both directions now; failure() stays what it was

  // Memory is short and this stream was chosen: the handler ends it as soon as it can.
  bool evicted() const { return evicted_; }

  // How far the codec reads ahead of the handler, where the protocol leaves that to us (HTTP/1).
  void limit_inbound(size_t limit);

  void set_owner(Task* owner) { owner_ = owner; }   // whom to wake; null to sleep for good

  // Facts about the connection, for logs, policies and retry decisions.
  bool is_server() const { return server_; }
  bool untouched() const { return untouched_; }  // client role: not a byte of the answer arrived
  bool reused_connection() const { return reused_connection_; }  // client: not its first stream
  const PeerIdentity* peer() const { return peer_; }             // lives as long as the connection
  // Server: where the packet filter took the connection from. Null: it came to us, or has ended.
  const OriginalDestination* original_destination() const {
    return dirty_ == nullptr ? nullptr : dirty_->original;
  }
  uint64_t bytes_received() const { return bytes_received_; }    // body only
  uint64_t bytes_sent() const { return bytes_sent_; }

  // ---- The codec's face --------------------------------------------------------------------
  // Everything below is called by codecs and connections only.
  static Stream* make(DirtyStreams& dirty, bool server, size_t inbound_limit,
                      size_t outbound_limit);

  Head& arriving_head() { return head_; }
  void head_arrived();                      // wakes; with arriving_head().ended the end is here too
  Head* arriving_interim();                 // a cleared head to fill; null when too many wait
  void interim_arrived();
  size_t inbound_room() const;              // what may still be queued
  size_t inbound_limit() const { return inbound_limit_; }
  bool narrow_inbound() const { return inbound_limit_ < inbound_most_; }
  // Copies; wakes when the queue was empty. Dropped when nobody will take it.
  void body_arrived(ByteView bytes);
  void body_arrived(Bytes&& bytes);
  Fields& arriving_trailers() { return inbound_trailers_; }
  void end_arrived();                       // wakes
  // The first one counts; both directions are over; wakes. Not a clean end: arrived() and
  // departed() stay what they were.
  void fail(Error error);
  void evict();                             // wakes
  bool has_owner() const { return owner_ != nullptr; }
  // About what it holds: queued bodies and the head that has arrived.
  size_t held() const { return inbound_.size() + outbound_.size() + head_.fields.weight(); }
  size_t take_credit();                     // bytes taken by the handler since the last call
  void set_credit_step(size_t step) { credit_step_ = step; }  // dirty after this many taken bytes

  const Head* departing_interim() const;    // next 1xx to put on the wire; null: none
  void interim_departed();
  const Head* departing_head() const { return outbound_head_ready_ ? &outbound_head_ : nullptr; }
  bool head_departed() const { return head_departed_; }
  void mark_head_departed() { head_departed_ = true; }
  Bytes& departing_body() { return outbound_; }     // take from the front, then body_departed()
  void body_departed(size_t count);                 // wakes a handler that waits for room
  // At most what make() was told. Wakes when it becomes less, or was nothing. send() of what fits
  // what make() was told stays allowed for those who do not ask for room: short answers of our own.
  void limit_outbound(size_t limit, bool shut);
  bool departing_end() const { return outbound_ended_ && outbound_.empty(); }
  const Fields& departing_trailers() const { return outbound_trailers_; }
  void mark_departed();                             // wakes
  std::optional<Code> cancelled() const { return cancelled_; }

  bool released() const { return released_; }       // the handler has let go
  void codec_closed();    // the codec has let go; the stream may be gone after this call
  bool closed_by_codec() const { return codec_closed_; }
  void discard();         // made, but never handed out (no StreamRef exists): back to the pool now
  void set_reused_connection(bool reused) { reused_connection_ = reused; }
  void set_peer(const PeerIdentity* peer) { peer_ = peer; }
  void mark_touched() { untouched_ = false; }

  // The server connection parks the handler's task here, right after serve() returned it.
  void set_handler(std::unique_ptr<Task> handler);
  bool has_handler() const { return handler_ != nullptr; }

  // For the codec: an integer id (HTTP/2 stream id) and a few bytes of its own state.
  int32_t wire_id = 0;
  uint32_t wire_flags = 0;
  uint64_t wire_count = 0;

  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

 private:
  template <class T, class Tag>
  friend class List;
  friend struct StreamRelease;
  friend struct DirtyStreams;
  friend class StreamPool;
  bool over() const { return failure_.has_value() || cancelled_.has_value(); }
  void mark_dirty();
  void wake_owner();
  void release();
  void orphan();
  void recycle();
  void reset();

  DirtyStreams* dirty_ = nullptr;
  Task* owner_ = nullptr;
  std::unique_ptr<Task> handler_;

  Head head_;
  Bytes inbound_;
  Fields inbound_trailers_;
  Head outbound_head_;
  Bytes outbound_;
  Fields outbound_trailers_;
  std::unique_ptr<struct Interims> interims_;  // rare: made on the first 1xx, kept with the stream
  std::optional<Error> failure_;
  std::optional<Code> cancelled_;

  uint32_t inbound_limit_ = 0;
  uint32_t inbound_most_ = 0;
  uint32_t outbound_limit_ = 0;
  uint32_t outbound_most_ = 0;
  size_t credit_ = 0;
  size_t credit_step_ = 1;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  const PeerIdentity* peer_ = nullptr;

  bool server_ = false;
  bool head_ready_ = false;
  bool inbound_ended_ = false;
  bool outbound_head_ready_ = false;
  bool head_departed_ = false;
  bool outbound_ended_ = false;
  bool departed_ = false;
  bool released_ = false;
  bool codec_closed_ = false;
  bool untouched_ = true;
  bool reused_connection_ = false;
  mutable bool wants_room_ = false;
  bool evicted_ = false;
  bool shut_ = false;
};

}  // namespace tulle
