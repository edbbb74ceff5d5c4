// Connection: a ByteStream, a Codec and the streams between them; both roles.
//
// Owns the byte stream and the codec. on_bytes parses into streams and wakes; flush() (frame stage)
// lets the codec write once per round and hands the bytes to the byte stream, which writes once per
// turn. run() accepts new streams, reaps finished ones and looks at deadlines. A connection never
// destroys itself: its owner (Server or Pool) reaps it when over().
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

// What a server runs for each request. The sidecar's exchanges, its admin pages and the control
// plane are all this.
class Service {
 public:
  virtual ~Service() = default;
  // The returned task owns the StreamRef and drops it when it is over; it is destroyed some time
  // after that, never while it runs. It is woken once right away.
  virtual std::unique_ptr<Task> serve(StreamRef stream) = 0;
};

enum class Protocol : uint8_t {
  negotiated,   // ALPN when TLS; else: server sniffs the HTTP/2 preface, client speaks HTTP/1.1
  http1,
  http2,
};

struct ConnectionTag {};

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
    Task* owner = nullptr;                    // woken when over(), and (client) when streams free up
    Duration open_timeout{};                  // connect + TLS handshake; zero: none
  };
  Connection(Loop& loop, std::unique_ptr<ByteStream> bytes, const Options& options);
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
  bool retiring() const { return retiring_; }
  bool over() const { return over_; }                   // to be reaped by its owner
  Protocol protocol() const;
  const PeerIdentity* peer_identity() const { return bytes_ ? bytes_->peer_identity() : nullptr; }
  const Address& peer_address() const { return peer_address_; }
  Instant opened_at() const { return opened_at_; }
  Instant last_used() const { return last_used_; }

 private:
  void run() override;
  void flush() override;
  void on_open() override;
  void on_bytes(ByteView bytes) override;
  void on_end(std::optional<Error> why) override;
  void on_drain() override;
  void choose_codec(ByteView first);
  void install(std::unique_ptr<Codec> codec);
  void accept_streams();
  void update_reading();
  void update_timer();
  void on_deadline();
  void end(std::optional<Error> why);

  std::unique_ptr<ByteStream> bytes_;
  std::unique_ptr<Codec> codec_;
  Options options_;
  Timer timer_;
  Address peer_address_;
  std::string sniffed_;          // server, until the protocol is known: at most the preface
  std::optional<Error> failure_;
  Bytes wire_;
  Instant opened_at_;
  Instant last_used_;
  Instant stalled_since_ = kNever;
  Codec::Waiting watching_ = Codec::Waiting::handlers;
  uint64_t streams_opened_ = 0;
  bool reading_ = true;
  bool retiring_ = false;
  bool input_ended_ = false;
  bool closing_ = false;
  bool over_ = false;
};

}  // namespace tulle
