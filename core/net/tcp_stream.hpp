// TcpStream and its cell: a TCP socket on libuv. Only core/net/tcp_*.cpp includes this.
//
// The TcpCell owns the uv_tcp_t, what waits to be written and the one write that libuv has in
// flight; it lives until uv_close's callback. The TcpStream is the owner's handle to it: destroying
// it closes the cell, finish() lets the cell flush and close by itself.
//
//   connecting --> open --> finishing --> closed
//        |          |            |
//        +----------+--> failed -+      failed: the reader knows, or will when it starts
//
// Invariants: one write in flight at most. The reader is called from libuv's callbacks or from the
// write stage only. No system call but reads and writes of payload happens per message.
#pragma once

#include <uv.h>

#include <memory>
#include <optional>
#include <utility>

#include "core/net/byte_stream.hpp"
#include "core/net/loop.hpp"
#include "core/net/network.hpp"
#include "core/net/timer.hpp"

namespace tulle {

class TcpCell final : private Flusher {
 public:
  using Reader = ByteStream::Reader;

  TcpCell(Loop& loop, Origin peer_is, const Address& peer);
  ~TcpCell() override;

  void connect(const ConnectOptions& options);
  void adopt(int socket);  // an accepted one; the cell owns it from now on

  void start(Reader& reader);
  void want_read(bool wanted);
  void limit_read(size_t most) { most_per_read_ = most; }
  void write(Bytes&& bytes);
  void shutdown();
  void finish(Duration linger);
  void abort();
  void close();

  size_t backlog() const;
  const Address& peer_address() const { return peer_; }
  const Address& local_address();
  Address original_destination();

 private:
  enum class Phase : uint8_t { connecting, open, failed, finishing, closed };
  struct InFlight;
  class Linger;

  static TcpCell& of(void* handle) {
    return *static_cast<TcpCell*>(static_cast<uv_handle_t*>(handle)->data);
  }
  static void on_alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buffer);
  static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer);
  static void on_connect(uv_connect_t* request, int status);
  static void on_written(uv_write_t* request, int status);

  void flush() override;
  void write_pending();
  void queue_rest();
  int bind_to(const ConnectOptions& options);
  void end_output();
  void deliver(ByteView bytes);
  void tell();
  void tell_lost();
  void tell_drained();
  void tell_congested();
  void fail(Code code, std::string_view what, int status);
  int why_ended();
  void lose_output(int status);
  void end_input();
  void update_reading();
  bool may_read() const;
  void close_when_finished();
  int socket();
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp_); }

  Loop& loop_;
  Reader* reader_ = nullptr;
  const Origin peer_is_;
  Phase phase_ = Phase::connecting;
  bool open_told_ = false;      // to the present reader
  bool end_told_ = false;       // to the present reader
  bool lost_told_ = false;      // to the present reader: the failure
  bool read_wanted_ = true;
  bool reading_ = false;        // libuv watches for input
  int lost_output_ = 0;         // why the peer takes nothing more; what it has said is read to its end
  bool input_ended_ = false;
  bool output_ending_ = false;  // shutdown() was called
  bool output_ended_ = false;   // and carried out
  bool drain_due_ = false;      // the backlog has been above its mark
  bool congested_told_ = false; // to the present reader
  uint32_t read_poll_ = 0;      // the poll that read_in_poll_ belongs to
  uint32_t read_in_poll_ = 0;
  size_t most_per_read_ = SIZE_MAX;
  Bytes pending_;
  std::unique_ptr<InFlight> in_flight_;
  std::unique_ptr<Error> failure_;
  std::unique_ptr<Linger> linger_;
  Address peer_;
  Address local_;
  uv_tcp_t tcp_;
};

class TcpStream final : public ByteStream {
 public:
  explicit TcpStream(TcpCell& cell) : cell_(&cell) {}
  ~TcpStream() override {
    if (cell_ != nullptr) cell_->close();
  }
  void start(Reader& reader) override { cell_->start(reader); }
  void want_read(bool wanted) override { cell_->want_read(wanted); }
  void limit_read(size_t most) override { cell_->limit_read(most); }
  void write(Bytes&& bytes) override { cell_->write(std::move(bytes)); }
  size_t backlog() const override { return cell_->backlog(); }
  void shutdown() override { cell_->shutdown(); }
  const Address& peer_address() const override { return cell_->peer_address(); }
  const Address& local_address() const override { return cell_->local_address(); }
  Address original_destination() const override { return cell_->original_destination(); }

 private:
  void finish_detached(Duration linger) override { std::exchange(cell_, nullptr)->finish(linger); }
  void abort_detached() override { std::exchange(cell_, nullptr)->abort(); }
  TcpCell* cell_;
};

}  // namespace tulle
