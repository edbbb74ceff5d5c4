// Side: one of a relay's two connections: its byte stream, what came from it and was not passed on
// yet, and how it ended. Records and wakes; the relay decides.
//
// Invariant: `pending` stays below kHeld plus one read: then reading pauses by itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "core/net/byte_stream.hpp"
#include "core/net/task.hpp"

namespace tulle::tcp {

class Side final : public ByteStream::Reader {
 public:
  // What may lie here while the other side takes nothing; then the sender is held back.
  static constexpr size_t kHeld = 128 * 1024;

  explicit Side(Task& relay) : relay_(relay) {}
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  void begin(std::unique_ptr<ByteStream> bytes) {
    bytes_ = std::move(bytes);
    open_ = ended_ = false;  // both are said again
    reading_ = true;
    bytes_->start(*this);
  }
  bool has_stream() const { return bytes_ != nullptr; }
  ByteStream& stream() { return *bytes_; }
  std::unique_ptr<ByteStream> take_stream() { return std::move(bytes_); }

  bool open() const { return open_; }
  bool ended() const { return ended_; }                       // nothing more will come
  const std::optional<Error>& failure() const { return failure_; }
  bool spoke() const { return received_ > 0 || ended_; }
  uint64_t received() const { return received_; }
  Bytes& pending() { return pending_; }
  // Nothing more comes from here and all of it has been passed on.
  bool drained() const { return ended_ && pending_.empty(); }
  bool output_ended() const { return output_ended_; }
  void end_output() {
    if (std::exchange(output_ended_, true)) return;
    bytes_->shutdown();
  }
  void want_read(bool wanted) {
    if (reading_ == wanted) return;
    reading_ = wanted;
    bytes_->want_read(wanted);
  }
  // TLS begins on what has connected.
  void forget_open() { open_ = false; }
  // For the next attempt.
  void reset() {
    bytes_.reset();
    pending_.clear();
    failure_.reset();
    received_ = 0;
    open_ = ended_ = output_ended_ = false;
    reading_ = true;
  }

 private:
  void on_open() override {
    open_ = true;
    relay_.wake();
  }
  void on_bytes(ByteView bytes) override {
    pending_.append(bytes);
    received_ += bytes.size();
    if (pending_.size() >= kHeld) want_read(false);
    relay_.wake();
  }
  void on_end(std::optional<Error> why) override {
    ended_ = true;
    failure_ = std::move(why);
    relay_.wake();
  }
  void on_lost(Error why) override {
    failure_ = std::move(why);
    relay_.wake();
  }
  void on_drain() override { relay_.wake(); }

  Task& relay_;
  std::unique_ptr<ByteStream> bytes_;
  Bytes pending_;
  std::optional<Error> failure_;
  uint64_t received_ = 0;
  bool open_ = false;
  bool ended_ = false;
  bool output_ended_ = false;
  bool reading_ = true;
};

}  // namespace tulle::tcp
