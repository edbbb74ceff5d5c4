// Connection: a ByteStream, a Codec and the streams between them; both roles.
//
// Owns the byte stream and the codec. on_bytes parses into streams and wakes; flush() (frame stage)
// lets the codec write once per round and hands the bytes to the byte stream, which writes once per
// turn. run() accepts new streams, looks at deadlines and at the end of input. A connection never
// destroys itself: its owner (Server or Pool) reaps it when over(). It is over when the wire has
// ended and every stream has been let go by its handler; destroying it earlier fails its streams
// and, in the server role, destroys their handlers.
//
//   opening -> serving -> closing -> over
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/list.hpp"
#include "core/http/codec.hpp"
#include "core/http/limits.hpp"
#include "core/http/stream.hpp"
#include "core/net/byte_stream.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "core/net/tls.hpp"

namespace tulle {

class Connection;

// What a server runs for each request. The sidecar's exchanges, its admin pages and the control
// plane are all this.
class Service {
 public:
  virtual ~Service() = default;
  // The returned task owns the StreamRef and drops it when it is over; it is destroyed some time
  // after that, never while it runs. It is woken once right away. Null: the stream was dropped.
  virtual std::unique_ptr<Task> serve(StreamRef stream) = 0;
  // Something on `connection` was refused before there was a stream to serve.
  virtual void refused(const Refused&, const Connection&) {}
};

enum class Protocol : uint8_t {
  negotiated,   // ALPN when TLS; else: server sniffs the HTTP/2 preface, client speaks HTTP/1.1
  http1,
  http2,
  opaque,       // client: no HTTP, one tunnel; see OpaqueClient
};

struct ConnectionTag {};
class Roster;

class Connection : private Task,
                   private Flusher,
                   private ByteStream::Reader,
                   public ListNode<ConnectionTag> {
 public:
  struct Options {
    Codec::Role role = Codec::Role::server;
    Protocol protocol = Protocol::negotiated;
    const HttpLimits* limits = nullptr;       // must outlive the connection
    std::string_view scheme = "http";         // static storage
    Service* service = nullptr;               // server role
    Task* owner = nullptr;                    // woken when opened, over(), and as the roster says
    Duration open_timeout{};                  // connect + TLS handshake; zero: none
    // Client role: the byte stream is plain; TLS begins on it when it has connected. The time for
    // that is counted on its own, so that a slow handshake is not called a slow connect.
    std::shared_ptr<const TlsContext> tls;
    Duration tls_handshake_timeout{};
    std::unique_ptr<const OriginalDestination> original;  // server role; null: not captured
  };
  Connection(Loop& loop, std::unique_ptr<ByteStream> bytes, Options options);
  ~Connection() override;

  // Client role.
  bool opened() const { return codec_ != nullptr; }     // connected, handshaken, protocol known
  bool available() const;                               // open() would return a stream
  StreamRef open();                                     // null when !available()
  size_t open_streams() const;
  size_t stream_limit() const;
  bool fresh() const { return streams_opened_ == 0; }
  const std::optional<Error>& failure() const { return failure_; }  // why it ended, if not orderly

  void retire();                                        // finish what runs, take nothing new
  void close_now(Code why);                             // fail what runs
  // Fails what runs and drops what the peer has not taken: memory is short.
  void cut_off(Error why);
  bool retiring() const { return retiring_; }
  bool over() const { return phase_ == Phase::over; }   // to be reaped by its owner
  Protocol protocol() const;
  const PeerIdentity* peer_identity() const { return bytes_ ? bytes_->peer_identity() : nullptr; }
  const Address& peer_address() const { return peer_address_; }
  Instant opened_at() const { return opened_at_; }
  Instant last_used() const { return last_used_; }

  // What a survey of memory asks for.
  size_t backlog() const { return bytes_ != nullptr ? bytes_->backlog() : 0; }
  List<Stream, LiveTag>* live_streams() { return codec_ ? &codec_->dirty().live : nullptr; }
  bool encrypted() const { return options_.scheme == "https"; }

 private:
  friend class Roster;
  enum class Phase : uint8_t { opening, serving, closing, over };
  enum class Standing : uint8_t { none, opening, available, occupied, over };

  void run() override;
  void flush() override;
  void on_open() override;
  void on_bytes(ByteView bytes) override;
  void on_end(std::optional<Error> why) override;
  void on_lost(Error why) override;
  void on_drain() override;
  void on_congested(bool congested) override;

  void begin_tls();
  bool detect(ByteView bytes);
  bool choose_by_name();
  void install(Protocol protocol);
  void feed(ByteView bytes);
  void take_accepted();
  void serve_accepted();
  void report_refused();
  void take_end();
  void write_out();
  void close_politely();
  void abandon(Error why);
  void conclude();
  bool last_bytes_gone();
  Error named_for_streams(Error why) const;

  void settle();
  void update_reading();
  void update_timer();
  Instant watch_deadline();
  void on_deadline();
  void fail_opening();
  bool stalled(Instant now);
  bool holds_streams() const;
  Standing standing_now() const;

  std::unique_ptr<ByteStream> bytes_;
  std::unique_ptr<Codec> codec_;
  StreamRef accepted_;           // server: has a complete head, not yet served; dies before codec_
  Options options_;
  Timer timer_;
  Address peer_address_;
  std::string sniffed_;          // server, until the protocol is known: at most the preface
  Roster* roster_ = nullptr;
  std::optional<Error> failure_;
  std::optional<Error> end_why_;
  Bytes wire_;
  Instant opened_at_;
  Instant last_used_;
  // The one timer stays where it is while the deadline moves later; only its firing looks here.
  Instant deadline_ = kNever;
  Instant watched_since_;        // since when the connection waits for what watching_ says
  Instant streams_checked_at_;   // by Codec::drop_stalled()
  Instant owed_since_ = kNever;  // since when the peer has been owed bytes (see stalled())
  uint64_t written_ = 0;         // bytes given to the byte stream
  uint64_t taken_at_mark_ = 0;   // how many of them the kernel had at owed_since_
  uint64_t streams_opened_ = 0;
  size_t read_limit_ = SIZE_MAX; // as the byte stream knows it
  Codec::Waiting watching_ = Codec::Waiting::idle;
  Phase phase_ = Phase::opening;
  Standing standing_ = Standing::none;
  bool connected_ = false;       // the transport is up; a TLS handshake may still run
  bool tls_due_ = false;         // client: connected, run() starts TLS
  bool reading_ = true;
  bool congested_ = false;       // the peer takes no more: nothing more is written
  bool retiring_ = false;
  bool ending_ = false;          // after the next flush, close
  bool end_seen_ = false;        // on_end has been heard; run() has not looked yet
  bool input_ended_ = false;     // ... and has
  bool wire_lost_ = false;       // nothing can be sent any more
  bool slow_ = false;            // the peer needs more than a write_stall for what it is owed
  bool last_bytes_due_ = false;  // closing: the write stage, then only the backlog is waited for
};

}  // namespace tulle
