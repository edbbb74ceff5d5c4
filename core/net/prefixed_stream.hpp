// PrefixedStream: a stream some of whose bytes have been read already and are to be read again.
//
// Owns the inner stream and those bytes. Its reader hears on_open, then the prefix, then what the
// inner stream has; nothing is copied twice. What is written passes straight through. For a
// connection that was looked at before it was known who serves it.
#pragma once

#include <memory>
#include <optional>

#include "core/net/byte_stream.hpp"
#include "core/net/task.hpp"

namespace tulle {

class PrefixedStream final : public ByteStream, private ByteStream::Reader, private Task {
 public:
  // `inner` is open; who read the prefix from it hears nothing more.
  PrefixedStream(Loop& loop, std::unique_ptr<ByteStream> inner, Bytes prefix);

  void start(ByteStream::Reader& reader) override;
  void want_read(bool wanted) override;
  void write(Bytes&& bytes) override { inner_->write(std::move(bytes)); }
  size_t backlog() const override { return inner_->backlog(); }
  void shutdown() override { inner_->shutdown(); }
  const Address& peer_address() const override { return inner_->peer_address(); }
  const Address& local_address() const override { return inner_->local_address(); }
  Address original_destination() const override { return inner_->original_destination(); }
  const PeerIdentity* peer_identity() const override { return inner_->peer_identity(); }
  ByteView alpn() const override { return inner_->alpn(); }

 private:
  void on_bytes(ByteView bytes) override;
  void on_end(std::optional<Error> why) override;
  void on_lost(Error why) override;
  void on_drain() override;
  void on_congested(bool congested) override;

  void run() override;
  void finish_detached(Duration linger) override {
    ByteStream::finish(std::move(inner_), linger);
  }
  void abort_detached() override { ByteStream::abort(std::move(inner_)); }
  void tell_end();

  std::unique_ptr<ByteStream> inner_;
  ByteStream::Reader* reader_ = nullptr;
  Bytes prefix_;
  std::optional<Error> end_why_;
  bool ended_ = false;      // the inner stream has
  bool wanted_ = true;
  bool open_told_ = false;  // to the present reader, as the next
  bool end_told_ = false;
};

}  // namespace tulle
