// Codec: bytes to streams and back. No sockets, no timers, no calls to anyone.
//
// Owns the streams of one connection until both sides have let go of them. read() fills streams and
// wakes their handlers; write() drains what handlers have left. A codec never frees itself and is
// never re-entered (nghttp2 and llhttp forbid it); handlers change streams only in their own run().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "core/http/head.hpp"
#include "core/http/limits.hpp"
#include "core/http/stream.hpp"

namespace tulle {

// A message that ended before anybody could be handed its stream, or a connection that we ended
// because of what came. For counters and logs; the peer has its answer.
struct Refused {
  Code code;        // as in `tulle-error`
  std::string why;
  int status = 0;   // of the answer; 0: none, a stream was reset or the connection was ended
};

class Codec {
 public:
  enum class Role : uint8_t { server, client };

  // What the connection's timer should watch over.
  enum class Waiting : uint8_t {
    idle,       // no stream: idle_timeout
    head,       // an incomplete head has begun: head_timeout from its first byte
    body,       // HTTP/1: body bytes are due from the peer and nothing of ours blocks: body_timeout
    half_closed,  // HTTP/1: the peer said it would go on and closed its side: half_closed
    handlers,   // somebody is working; no protocol deadline
  };

  virtual ~Codec() = default;

  // An error ends the connection: write() once more (it may hold a 400 or a GOAWAY), then close.
  // Streams it affects have failed already. `now` feeds rate limits, nothing else.
  virtual Result<void> read(ByteView wire, Instant now) = 0;
  // The peer will send nothing more. Fails what is incomplete.
  virtual void end_of_input(const std::optional<Error>& why) = 0;
  // Drains dirty streams: appends at most about `limit` bytes; call again when there is space. What
  // had to wait for that is looked at as well: afterwards accept() and wants_read() may have news.
  virtual void write(Bytes& wire, size_t limit) = 0;
  // Of write() only that: for times when nothing may be written. Without it, two peers who have much
  // to say to each other would both wait for the other one to read. HTTP/1: a stream that was cancelled
  // ends its connection then, too.
  virtual void resume_reading() {}
  virtual bool wants_write() const = 0;      // write() would append something
  // The peer takes no more for now, and what is written next would only pile up: handlers may leave so
  // much more in a stream. Any amount again: SIZE_MAX.
  virtual void hold_back(size_t) {}

  virtual Stream* accept() = 0;              // server: next stream with a complete head, or null
  virtual Stream* open() = 0;                // client: a new stream; null when none is free now
  virtual size_t open_streams() const = 0;   // not yet closed by this codec
  virtual size_t stream_limit() const = 0;   // client: what the peer allows at once (HTTP/1: 1)
  virtual void retire() = 0;                 // no new streams; tell the peer (GOAWAY, connection: close)
  virtual bool wants_read() const = 0;       // false: enough is queued
  // How much to read at once, at most about: less when a handler wants little of it.
  size_t most_per_read() const { return most_per_read_; }
  virtual bool finished() const = 0;         // nothing more will happen: flush and close
  virtual bool must_close_after_flush() const { return finished(); }
  // We have said everything there is to say, but the peer may go on (a half-closed tunnel).
  virtual bool output_ended() const { return false; }
  // Client role, finished: what was said last must still arrive. It ended a tunnel; the rest of an
  // HTTP/1 request that has been answered or cancelled is not worth sending.
  virtual bool owes_output() const { return false; }
  // Finished, but what was said would pass for complete if the connection just ended: only a reset
  // says otherwise.
  virtual bool broke_off() const { return false; }
  virtual Waiting waiting() const = 0;
  virtual Version version() const = 0;
  virtual DirtyStreams& dirty() = 0;
  // Sends a liveness probe if the protocol has one; false: it has none (HTTP/1).
  virtual bool probe() { return false; }
  virtual bool probe_pending() const { return false; }  // the last probe is still unanswered
  // Called once per HttpLimits::stream_stall: cancels streams whose peer keeps their window shut. One
  // that was held back at the last call too, and has sent next to nothing since, is one of them.
  virtual void drop_stalled() {}
  // The head, body or idle deadline has passed: answer (408) or end, as the protocol says.
  virtual void timed_out(Waiting what) = 0;

  // Server: what was refused since the last call, each once. The codec's own limits bound how much
  // one read() can add.
  bool has_refused() const { return !refused_.empty(); }
  std::vector<Refused> take_refused() { return std::exchange(refused_, {}); }

 protected:
  void note_refused(Refused what) { refused_.push_back(std::move(what)); }

  size_t most_per_read_ = SIZE_MAX;

 private:
  std::vector<Refused> refused_;
};

std::unique_ptr<Codec> make_http1_codec(Codec::Role role, const HttpLimits& limits,
                                        std::string_view scheme);
std::unique_ptr<Codec> make_http2_codec(Codec::Role role, const HttpLimits& limits,
                                        std::string_view scheme);
std::unique_ptr<Codec> make_opaque_client(const HttpLimits& limits);  // no HTTP: one tunnel

}  // namespace tulle
