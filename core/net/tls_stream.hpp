// TlsStream: TLS in either role over any ByteStream.
//
// Owns: the inner stream, the SSL, ciphertext that OpenSSL has not seen yet (TlsWire) and plaintext
// that was not encrypted yet. Handshake steps happen in run() only, at most one per run and as many
// per turn as the loop grants. Encryption happens in the write stage only, so everything written in
// a turn shares records. Decryption happens where the bytes arrive, or in run() after a pause.
//
//   waiting -> handshaking -> open -> failed        (waiting, handshaking -> failed as well)
//
// The end of input is apart from the phase: after the peer's close_notify we may still write.
#pragma once

#include <memory>
#include <optional>

#include "core/net/byte_stream.hpp"
#include "core/net/task.hpp"
#include "core/net/tls_bio.hpp"
#include "core/net/tls_context.hpp"

namespace tulle {

class TlsStream final : public ByteStream,
                        private ByteStream::Reader,
                        private Task,
                        private Flusher {
 public:
  TlsStream(Loop& loop, std::unique_ptr<ByteStream> inner,
            std::shared_ptr<const OpenSslContext> context);
  ~TlsStream() override;

  void start(ByteStream::Reader& reader) override;
  void want_read(bool wanted) override;
  void limit_read(size_t most) override { inner_->limit_read(most); }
  void write(Bytes&& bytes) override;
  size_t backlog() const override;
  void shutdown() override;
  const Address& peer_address() const override { return inner_->peer_address(); }
  const Address& local_address() const override { return inner_->local_address(); }
  Address original_destination() const override { return inner_->original_destination(); }
  const PeerIdentity* peer_identity() const override;
  ByteView alpn() const override;

 private:
  enum class Phase { waiting, handshaking, open, failed };
  enum class Output { on, ending, over, handed_on };  // over: close_notify is made

  void finish_detached(Duration linger) override;
  void abort_detached() override { ByteStream::abort(std::move(inner_)); }

  void on_open() override;  // of the inner stream, as the next four
  void on_bytes(ByteView bytes) override;
  void on_end(std::optional<Error> why) override;
  void on_lost(Error why) override;
  void on_drain() override;
  void on_congested(bool congested) override;

  void run() override;    // Task
  void flush() override;  // Flusher

  // What a stream costs the memory budget, mostly in OpenSSL 3.0.
  static constexpr uint32_t kSilentCharge = 1024;          // nobody has spoken: there is no SSL
  static constexpr uint32_t kHandshakeCharge = 44 * 1024;  // half of it is one buffer for messages
  static constexpr uint32_t kOpenCharge = 15 * 1024;

  // tls_handshake.cpp
  void advance_handshake();
  void become_open();
  std::optional<Error> fault_of_open_session() const;
  Error handshake_failure();
  void fail(Error why);

  void account(uint32_t bytes);  // instead of what was charged until now
  void pull();
  bool reading_goes_on(int outcome);
  void hand_over(ByteView plain);
  void seal();
  void conclude();
  void note_end(std::optional<Error> why);
  void tell_open();
  void tell_end();
  void tell_lost();
  void tell_drain();
  bool has_undelivered() const;
  void update_inner_reading();
  void hand_on_records();

  std::unique_ptr<ByteStream> inner_;
  const std::shared_ptr<const OpenSslContext> context_;
  ByteStream::Reader* reader_ = nullptr;
  TlsWire wire_;
  TlsVerdict verdict_;
  SessionPointer session_;          // after wire_ and verdict_, which it points to
  Bytes plain_;                     // accepted, not encrypted
  std::optional<Error> end_why_;    // what on_end will say, once end_known_
  std::optional<Error> inner_why_;  // what the inner stream's on_end said
  Phase phase_ = Phase::waiting;
  Output output_ = Output::on;
  bool wanted_ = true;        // the reader's wish
  bool inner_wanted_ = true;  // what we have told the inner stream
  bool inner_ended_ = false;
  bool end_known_ = false;
  bool open_told_ = false;      // to the present reader
  bool end_told_ = false;       // to the present reader
  bool lost_told_ = false;      // to the present reader: an error
  bool heard_ = false;          // the first bytes were looked at
  bool step_deferred_ = false;  // a handshake step waits for the next turn
  bool above_mark_ = false;        // the reader is owed an on_drain()
  bool inner_above_mark_ = false;  // ... and the inner stream owes us one
  bool calling_reader_ = false;
  uint8_t dataless_records_ = 0;  // in a row
  uint32_t charged_ = 0;          // bytes of the memory budget
};

}  // namespace tulle
