// MemoryStream: one end of a connected pair of byte streams on one loop, without any delay.
//
// For unit tests. Owns: what it has not sent yet and what the other end has sent to it. Bytes leave
// in the write stage and are delivered in a later turn, never from inside a call. Room on the way
// is bounded, so back-pressure is as real as with sockets. An end that goes away while it holds
// undelivered bytes resets the connection, as a kernel would. Works on every engine.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/net/byte_stream.hpp"
#include "core/net/task.hpp"

namespace tulle {

struct MemoryStreamOptions {
  size_t capacity = 256 * 1024;  // bytes on the way, per direction
  size_t slice = SIZE_MAX;       // the most that one on_bytes call gets
};

class MemoryStream final : public ByteStream, private Task, private Flusher {
 public:
  using Pair = std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>>;
  // The first end is the connecting one: its errors have Origin::upstream.
  static Pair pair(Loop& loop, const MemoryStreamOptions& options = {});
  ~MemoryStream() override;

  void start(Reader& reader) override;
  void want_read(bool wanted) override;
  void write(Bytes&& bytes) override;
  size_t backlog() const override { return unsent_.size(); }
  void shutdown() override;
  const Address& peer_address() const override { return peer_address_; }
  const Address& local_address() const override { return local_address_; }
  Address original_destination() const override { return original_destination_; }

  // For tests.
  void set_slice(size_t slice) { slice_ = slice; }
  void set_original_destination(const Address& to) { original_destination_ = to; }
  void tap(std::string* copy) { tap_ = copy; }  // everything this end sends is appended to it
  void reset();                                 // both ends hear of a reset connection
  size_t writes_sent() const { return writes_sent_; }  // write stages that had something to send
  size_t undelivered() const { return inbox_.size(); }

 private:
  MemoryStream(Loop& loop, const MemoryStreamOptions& options, Origin peer_is);
  void run() override;
  void flush() override;
  void finish_detached(Duration linger) override;
  void abort_detached() override;
  void send(size_t max);
  void leave();
  void fail();
  bool deliver();
  void tell_open();
  void tell_end();
  void tell_lost();
  void tell_congested();

  MemoryStream* peer_ = nullptr;  // null once it has gone, or we have
  Reader* reader_ = nullptr;
  std::string* tap_ = nullptr;
  Bytes unsent_;
  Bytes inbox_;
  std::optional<Error> failure_;
  Address peer_address_;
  Address local_address_;
  Address original_destination_;
  const Origin peer_is_;
  const size_t capacity_;
  size_t slice_;
  size_t writes_sent_ = 0;
  bool wanted_ = true;
  bool open_told_ = false;
  bool end_told_ = false;
  bool lost_told_ = false;
  bool abandoned_ = false;            // the other end was destroyed: what is written is answered by a reset
  bool input_ended_ = false;  // after what is in the inbox
  bool output_ending_ = false;
  bool output_ended_ = false;
  bool above_mark_ = false;
  bool congested_told_ = false;
};

}  // namespace tulle
