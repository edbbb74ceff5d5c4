#include "core/net/tcp_stream.hpp"

#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/input_block.hpp"
#include "core/base/memory_budget.hpp"
#include "core/net/listen_socket.hpp"
#include "core/net/uv_cell.hpp"

namespace tulle {

namespace {

// One per thread and so one per loop; allocating it per read costs half as much again as the read.
// Nearly full it is shared with those who keep what came; less of it would pin too much.
InputBlock& read_block() {
  constexpr size_t kSize = 64 * 1024;
  static thread_local InputBlock block(kSize, kSize / 4 * 3);
  return block;
}

// libuv would read 2 MiB from one ready socket before it looks at the next.
constexpr uint32_t kReadPerPoll = 256 * 1024;

constexpr int kSlicesPerWrite = 64;

// An idle connection without TLS, with what stands on it: cell, connection, codec, allocator.
constexpr size_t kConnectionCharge = 2500;

int slices_of(const Bytes& bytes, uv_buf_t* out, size_t& total) {
  const size_t count = std::min<size_t>(bytes.slice_count(), kSlicesPerWrite);
  total = 0;
  for (size_t i = 0; i < count; ++i) {
    const ByteView slice = bytes.slice(i);
    out[i] = uv_buf_init(const_cast<char*>(slice.data()), static_cast<unsigned>(slice.size()));
    total += slice.size();
  }
  return static_cast<int>(count);
}

}  // namespace

// What libuv writes when the kernel takes no more. Exists only then: idle connections are many.
struct TcpCell::InFlight {
  uv_write_t request;
  Bytes bytes;
};

// Ends a finishing cell that takes too long, or whose peer goes on talking: what is on its way when it
// hears our last bytes is about a window; more than that is for nobody, and costs us.
class TcpCell::Linger final : private Task {
 public:
  static constexpr size_t kDiscarded = 1024 * 1024;

  Linger(TcpCell& cell, Duration at_most) : Task(cell.loop_), cell_(cell) { timer_.arm(at_most); }
  void disarm() { timer_.disarm(); }
  bool enough(size_t bytes) { return (discarded_ += bytes) > kDiscarded; }

 private:
  void run() override {
    if (timer_.fired()) cell_.close();
  }
  TcpCell& cell_;
  Timer timer_{*this};
  size_t discarded_ = 0;
};

TcpCell::TcpCell(Loop& loop, Origin peer_is, const Address& peer)
    : Flusher(loop, Stage::write), loop_(loop), peer_is_(peer_is), peer_(peer) {
  loop_.cell_opened();
  charge_memory(MemoryUse::connections, kConnectionCharge);
  uv_tcp_init(uv_loop_of(loop), &tcp_);  // makes no socket yet, so it cannot fail
  tcp_.data = this;
}

TcpCell::~TcpCell() {
  if (peer_is_ == Origin::downstream) loop_.accepted_closed();
  give_back_memory(MemoryUse::connections, kConnectionCharge);
  loop_.cell_closed();
}

// ---- beginning -----------------------------------------------------------------------------

// A status of libuv.
int TcpCell::bind_to(const ConnectOptions& options) {
  sockaddr_storage from;
  options.from.to(from);
  if (options.transparent) {
    // libuv makes the socket when it binds; the option must be there before.
    const int made = ::socket(from.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) return uv_translate_sys_error(errno);
    if (const int status = uv_tcp_open(&tcp_, made); status != 0) {
      ::close(made);
      return status;
    }
    if (!allow_foreign_address(made, options.from.is_ipv6())) return uv_translate_sys_error(errno);
  }
  return uv_tcp_bind(&tcp_, reinterpret_cast<const sockaddr*>(&from), 0);
}

void TcpCell::connect(const ConnectOptions& options) {
  sockaddr_storage to;
  peer_.to(to);
  if (options.from.is_set()) {
    if (const int status = bind_to(options); status != 0) {
      return fail(Code::connect_failed, "bind " + options.from.to_string() + " to connect", status);
    }
  }
  auto* request = new uv_connect_t;
  uv_tcp_nodelay(&tcp_, 1);
  const int status =
      uv_tcp_connect(request, &tcp_, reinterpret_cast<const sockaddr*>(&to), &TcpCell::on_connect);
  if (status == 0) return;
  delete request;
  fail(Code::connect_failed, "connect", status);
}

void TcpCell::on_connect(uv_connect_t* request, int status) {
  TcpCell& cell = of(request->handle);
  delete request;
  if (cell.phase_ == Phase::closed) return;
  cell.loop_.freshen_now();
  if (status != 0) {
    cell.fail(Code::connect_failed, "connect", status);
    cell.tell();
    return;
  }
  // A finishing owner has left while we connected; what it wrote still goes out.
  if (cell.phase_ == Phase::connecting) cell.phase_ = Phase::open;
  uv_os_fd_t socket = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&cell.tcp_), &socket) == 0) keep_alive(socket);
  cell.tell();
  cell.update_reading();
  cell.flush_later();
}

// Non-blocking, TCP_NODELAY and keepalive are inherited from the listening socket (see there).
void TcpCell::adopt(int socket) {
  phase_ = Phase::open;
  const int status = uv_tcp_open(&tcp_, socket);
  if (status == 0) return;
  ::close(socket);
  fail(Code::io_error, "accept", status);
}

void TcpCell::start(Reader& reader) {
  reader_ = &reader;
  open_told_ = false;
  end_told_ = false;
  lost_told_ = false;
  congested_told_ = false;
  update_reading();
  if (phase_ != Phase::connecting) flush_later();  // the write stage tells it what there is to tell
}

// ---- input ---------------------------------------------------------------------------------

bool TcpCell::may_read() const {
  if (input_ended_) return false;
  if (phase_ == Phase::finishing) return true;
  return phase_ == Phase::open && reader_ != nullptr && read_wanted_;
}

void TcpCell::want_read(bool wanted) {
  read_wanted_ = wanted;
  update_reading();
}

// Only starts. Stopping happens in on_read, when input has really come that nobody wants: most
// pauses end before that, and then they cost no system call.
void TcpCell::update_reading() {
  if (reading_ || !may_read() || !uv_is_readable(stream())) return;
  if (const int status = uv_read_start(stream(), &TcpCell::on_alloc, &TcpCell::on_read);
      status != 0) {
    fail(Code::io_error, "read", status);
    return flush_later();
  }
  reading_ = true;
}

// No buffer makes libuv leave the socket until it polls again. That is all it takes to stop at the
// share: the next poll, at least one turn later, reports the socket once more.
void TcpCell::on_alloc(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  TcpCell& cell = of(handle);
  if (cell.read_poll_ != cell.loop_.poll_number()) {
    cell.read_poll_ = cell.loop_.poll_number();
    cell.read_in_poll_ = 0;
  }
  const bool stop = cell.read_in_poll_ >= kReadPerPoll || !cell.may_read();
  if (stop) {
    *buffer = uv_buf_init(nullptr, 0);
  } else {
    InputBlock& block = read_block();
    const size_t size = std::min(block.size(), cell.most_per_read_);
    *buffer = uv_buf_init(block.begin(), static_cast<unsigned>(size));
  }
}

void TcpCell::on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  TcpCell& cell = of(stream);
  if (count == 0) return;  // EAGAIN
  Loop& loop = cell.loop_;
  loop.freshen_now();
  if (count == UV_ENOBUFS && buffer->base == nullptr) {  // on_alloc gave none
    if (cell.may_read()) return;
    uv_read_stop(stream);
    cell.reading_ = false;
    return;
  }
  if (count > 0) {
    cell.deliver({buffer->base, static_cast<size_t>(count)});
    loop.count_read(static_cast<size_t>(count));  // last: the turn may end in anything
    return;
  }
  cell.reading_ = false;
  const int why = count == UV_EOF ? cell.why_ended() : static_cast<int>(count);
  if (cell.lost_output_ != 0) {
    cell.fail(Code::io_error, "write", cell.lost_output_);
    return cell.tell();
  }
  if (why == UV_EOF) return cell.end_input();
  cell.fail(Code::io_error, "read", why);
  cell.tell();
}

// libuv takes a hang-up after a short read for the end. It may have been a reset, and what came
// before it is not all there was: the socket knows.
int TcpCell::why_ended() {
  char unused;
  const ssize_t count = ::recv(socket(), &unused, sizeof(unused), MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && errno != EAGAIN ? -errno : UV_EOF;
}

void TcpCell::deliver(ByteView bytes) {
  read_in_poll_ += static_cast<uint32_t>(bytes.size());
  if (phase_ != Phase::open) {  // finishing: read so that the peer sees no reset, and ignored
    if (linger_ != nullptr && linger_->enough(bytes.size()) && output_ended_) close();
    return;
  }
  tell();
  reader_->on_bytes(bytes);
}

void TcpCell::end_input() {
  input_ended_ = true;
  tell();
  close_when_finished();
}

// ---- what the reader hears besides bytes -----------------------------------------------------

// Looks at the state and tells what the present reader does not know yet.
void TcpCell::tell() {
  if (reader_ == nullptr) return;
  if (end_told_) return tell_lost();
  if (!open_told_ && phase_ == Phase::open) {
    open_told_ = true;
    reader_->on_open();
  }
  if (failure_ == nullptr && !input_ended_) return;
  end_told_ = true;
  lost_told_ = failure_ != nullptr;
  reader_->on_end(failure_ != nullptr ? std::optional(*failure_) : std::nullopt);
}

void TcpCell::tell_lost() {
  if (lost_told_ || failure_ == nullptr) return;
  lost_told_ = true;
  reader_->on_lost(*failure_);
}

void TcpCell::tell_drained() {
  if (!drain_due_ || backlog() >= ByteStream::kBacklogMark / 2) return;
  drain_due_ = false;
  if (reader_ != nullptr) reader_->on_drain();
}

void TcpCell::tell_congested() {
  const bool congested = in_flight_ != nullptr;
  if (congested == congested_told_ || reader_ == nullptr) return;
  congested_told_ = congested;
  reader_->on_congested(congested);
}

// Records only; callers in a libuv callback tell() next, others leave it to the write stage.
void TcpCell::fail(Code code, std::string_view what, int status) {
  if (phase_ == Phase::finishing) return close();
  if (phase_ == Phase::failed || phase_ == Phase::closed) return;
  phase_ = Phase::failed;
  pending_.clear();
  if (reading_) uv_read_stop(stream());
  reading_ = false;
  std::string words = std::string(what) + " " + peer_.to_string() + ": " + uv_strerror(status);
  failure_ = std::make_unique<Error>(Error{code, peer_is_, std::move(words)});
}

// ---- output --------------------------------------------------------------------------------

size_t TcpCell::backlog() const {
  const auto* stream = reinterpret_cast<const uv_stream_t*>(&tcp_);
  return pending_.size() + uv_stream_get_write_queue_size(stream);
}

void TcpCell::write(Bytes&& bytes) {
  if (phase_ == Phase::failed || output_ending_) return bytes.clear();
  pending_.append(std::move(bytes));
  if (backlog() >= ByteStream::kBacklogMark) drain_due_ = true;
  if (phase_ != Phase::connecting && in_flight_ == nullptr) flush_later();
}

void TcpCell::shutdown() {
  output_ending_ = true;
  if (phase_ != Phase::connecting) flush_later();
}

void TcpCell::flush() {
  if (phase_ == Phase::closed) return;
  tell();
  if (phase_ == Phase::failed || !uv_is_writable(stream())) return;
  write_pending();
  if (phase_ == Phase::failed) return tell();
  if (phase_ == Phase::closed) return;
  tell_drained();
  tell_congested();
  close_when_finished();
}

void TcpCell::write_pending() {
  if (lost_output_ != 0) return pending_.clear();
  while (in_flight_ == nullptr && !pending_.empty()) {
    uv_buf_t slices[kSlicesPerWrite];
    size_t total;
    const int count = slices_of(pending_, slices, total);
    const int written = uv_try_write(stream(), slices, static_cast<unsigned>(count));
    if (written < 0 && written != UV_EAGAIN) return lose_output(written);
    if (written > 0) pending_.drop(static_cast<size_t>(written));
    if (written < 0 || static_cast<size_t>(written) < total) queue_rest();
  }
  const bool usable = phase_ == Phase::open || phase_ == Phase::finishing;
  if (usable && output_ending_ && in_flight_ == nullptr) end_output();
}

// The kernel is full: libuv waits for room and writes this part; its callback goes on with more.
void TcpCell::queue_rest() {
  uv_buf_t slices[kSlicesPerWrite];
  size_t total;
  const int count = slices_of(pending_, slices, total);
  in_flight_ = std::make_unique<InFlight>();
  in_flight_->bytes = pending_.take(total);
  in_flight_->request.data = this;
  const int status = uv_write(&in_flight_->request, stream(), slices, static_cast<unsigned>(count),
                              &TcpCell::on_written);
  if (status == 0) return;
  in_flight_ = nullptr;
  fail(Code::io_error, "write", status);
}

void TcpCell::on_written(uv_write_t* request, int status) {
  TcpCell& cell = *static_cast<TcpCell*>(request->data);
  cell.in_flight_ = nullptr;  // the request was in there
  if (cell.phase_ == Phase::closed || cell.phase_ == Phase::failed) return;
  cell.loop_.freshen_now();
  if (status != 0) {
    cell.lose_output(status);
    cell.tell_congested();
    return cell.tell();
  }
  cell.tell_drained();
  if (cell.pending_.empty()) cell.tell_congested();  // else the write stage will see
  cell.flush_later();
}

// The peer takes nothing more. What it said before may still lie in the socket, such as the answer to a
// request that it did not want to hear to its end: whoever reads hears that first, then the failure.
void TcpCell::lose_output(int status) {
  if (phase_ != Phase::open || !reading_ || input_ended_) return fail(Code::io_error, "write", status);
  lost_output_ = status;
  pending_.clear();
}

// Everything has been written, so the plain system call does; libuv's request would cost a block
// and another round through its queues.
void TcpCell::end_output() {
  if (output_ended_) return;
  output_ended_ = true;
  if (phase_ == Phase::finishing && input_ended_) return;  // closing says the same
  ::shutdown(socket(), SHUT_WR);
}

// ---- end -----------------------------------------------------------------------------------

void TcpCell::finish(Duration linger) {
  reader_ = nullptr;
  if (phase_ == Phase::failed) return close();
  const bool connecting = phase_ == Phase::connecting;
  phase_ = Phase::finishing;
  output_ending_ = true;
  linger_ = std::make_unique<Linger>(*this, linger);
  if (connecting) return;
  update_reading();
  if (phase_ != Phase::closed) flush_later();
}

// Lingering for no time makes the kernel drop what it holds and send a reset.
void TcpCell::abort() {
  const linger none{.l_onoff = 1, .l_linger = 0};
  if (phase_ != Phase::closed) ::setsockopt(socket(), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  close();
}

void TcpCell::close_when_finished() {
  if (phase_ == Phase::finishing && input_ended_ && output_ended_) close();
}

void TcpCell::close() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  reader_ = nullptr;
  pending_.clear();
  if (linger_ != nullptr) linger_->disarm();  // it may be what calls us: it goes with the cell
  uv_close(reinterpret_cast<uv_handle_t*>(&tcp_), [](uv_handle_t* handle) { delete &of(handle); });
}

// ---- facts ---------------------------------------------------------------------------------

int TcpCell::socket() {
  uv_os_fd_t fd = -1;
  uv_fileno(reinterpret_cast<const uv_handle_t*>(&tcp_), &fd);
  return fd;
}

// Asked for by few, so read when asked for.
const Address& TcpCell::local_address() {
  if (!local_.is_set()) {
    sockaddr_storage raw;
    int size = sizeof(raw);
    if (uv_tcp_getsockname(&tcp_, reinterpret_cast<sockaddr*>(&raw), &size) == 0) {
      local_ = Address::from(reinterpret_cast<const sockaddr&>(raw));
    }
  }
  return local_;
}

Address TcpCell::original_destination() {
  sockaddr_storage raw;
  socklen_t size = sizeof(raw);
  constexpr int kIp6OriginalDst = 80;  // IP6T_SO_ORIGINAL_DST; its header clashes with the IPv4 one
  const bool six = local_address().is_ipv6();
  const int status = six ? getsockopt(socket(), SOL_IPV6, kIp6OriginalDst, &raw, &size)
                         : getsockopt(socket(), SOL_IP, SO_ORIGINAL_DST, &raw, &size);
  return status == 0 ? Address::from(reinterpret_cast<const sockaddr&>(raw)) : Address{};
}

}  // namespace tulle
