// OpaqueClient: a connection that carries one tunnel and no HTTP: what a CONNECT ends in.
//
// Owns the one stream, and what the peer says before there is one. The stream's request head sends
// nothing: that the connection is there is its answer, and from then on bytes pass as they are.
#pragma once

#include "core/http/codec.hpp"

namespace tulle {

class OpaqueClient final : public Codec {
 public:
  explicit OpaqueClient(const HttpLimits& limits) : limits_(limits) {}

  Result<void> read(ByteView wire, Instant now) override;
  void end_of_input(const std::optional<Error>& why) override;
  void write(Bytes& wire, size_t limit) override;
  void resume_reading() override;
  bool wants_write() const override;
  Stream* accept() override { return nullptr; }
  Stream* open() override;
  size_t open_streams() const override { return stream_ != nullptr ? 1 : 0; }
  size_t stream_limit() const override { return used_ ? 0 : 1; }
  void retire() override;
  bool wants_read() const override { return !over_ && pending_.empty(); }
  bool finished() const override { return over_; }
  bool output_ended() const override { return !over_ && output_ended_; }
  bool owes_output() const override { return output_ended_; }
  Waiting waiting() const override;
  Version version() const override { return Version::http11; }
  DirtyStreams& dirty() override { return dirty_; }
  void timed_out(Waiting what) override;

 private:
  void begin();
  void write_some(Bytes& wire, size_t limit);
  void settle();
  void cut();

  const HttpLimits& limits_;
  DirtyStreams dirty_;
  Bytes pending_;              // input that waits for the stream, or for room in it
  Stream* stream_ = nullptr;
  bool used_ = false;
  bool begun_ = false;         // the request head is here, and answered
  bool input_ended_ = false;
  bool output_ended_ = false;
  bool over_ = false;
};

}  // namespace tulle
