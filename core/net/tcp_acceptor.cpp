#include "core/net/tcp_acceptor.hpp"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "core/base/log.hpp"
#include "core/net/tcp_stream.hpp"

namespace tulle {

namespace {

// Owners take everything in their next run; the bound is for one that does not.
constexpr size_t kQueue = 256;
constexpr int kAcceptsPerPoll = 64;
constexpr Duration kRetry = 100ms;
constexpr Duration kLogEvery = 1s;

// A quarter of the descriptors, within reason, stays for connections to upstreams, files, the
// control plane and the operator.
int accept_gate(const ListenOptions& options) {
  rlimit limit;
  if (options.privileged || getrlimit(RLIMIT_NOFILE, &limit) != 0) return INT_MAX;
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > INT_MAX) return INT_MAX;
  const rlim_t reserve = std::clamp<rlim_t>(limit.rlim_cur / 4, 16, 1024);
  return static_cast<int>(limit.rlim_cur - std::min(reserve, limit.rlim_cur / 2));
}

}  // namespace

TcpAcceptor::TcpAcceptor(Loop& loop, int socket, const Address& at, const ListenOptions& options,
                         Task& owner)
    : Task(loop), socket_(socket), at_(at), owner_(owner), gate_(accept_gate(options)) {
  cell_ = new Cell(loop, *this);
  ASSERT(uv_poll_init(uv_loop_of(loop), &cell_->handle, socket_) == 0);
  cell_->bind();
  if (options.reuse_port) membership_.emplace(*this);
  update_polling();
}

TcpAcceptor::~TcpAcceptor() {
  cell_->close();
  ::close(socket_);
}

std::unique_ptr<ByteStream> TcpAcceptor::accept() {
  if (queue_.empty()) return nullptr;
  AcceptedSocket accepted = std::move(queue_.front());
  queue_.pop_front();
  update_polling();
  auto* cell = new TcpCell(loop_, Origin::downstream, accepted.peer());
  cell->adopt(accepted.release());
  return std::make_unique<TcpStream>(*cell);
}

void TcpAcceptor::pause(bool paused) {
  paused_ = paused;
  update_polling();
}

void TcpAcceptor::update_polling() {
  const bool poll = !paused_ && !starving() && queue_.size() < kQueue;
  if (poll == polling_) return;
  polling_ = poll;
  if (membership_) membership_->set_taking(poll);
  if (!poll) {
    uv_poll_stop(&cell_->handle);
    return;
  }
  uv_poll_start(&cell_->handle, UV_READABLE, [](uv_poll_t* handle, int, int) {
    Cell& cell = Cell::of(handle);
    if (cell.owner == nullptr) return;
    cell.loop.freshen_now();
    cell.owner->take_from_kernel();
  });
}

void TcpAcceptor::take_from_kernel() {
  for (int i = 0; i < kAcceptsPerPoll && queue_.size() < kQueue && !starving(); ++i) {
    if (!take_one()) break;
  }
  if (!queue_.empty()) owner_.wake();
  update_polling();
}

// False: there are no more for now.
bool TcpAcceptor::take_one() {
  sockaddr_storage raw;
  socklen_t size = sizeof(raw);
  const int socket =
      ::accept4(socket_, reinterpret_cast<sockaddr*>(&raw), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket >= 0) {
    keep({socket, Address::from(reinterpret_cast<const sockaddr&>(raw)), loop_});
    if (socket >= gate_) starve("few file descriptors are left (ulimit -n)");
    return true;
  }
  switch (errno) {
    case EAGAIN:
      return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      starve(std::strerror(errno));
      return false;
    default:
      return true;  // this connection has died in the queue (ECONNABORTED, EPROTO, ...)
  }
}

void TcpAcceptor::keep(AcceptedSocket socket) {
  if (membership_ && membership_->hand_over(socket)) return;
  queue_.push_back(std::move(socket));
}

void TcpAcceptor::starve(const char* reason) {
  retry_.arm(kRetry);
  if (loop_.now() < log_from_) return;
  log_from_ = loop_.now() + kLogEvery;
  log::error("accepting is interrupted until there is room again listener=" + at_.to_string() +
             " reason=\"" + reason + "\"");
}

// The lowest free descriptor says how many are in use, before a connection has to be taken.
void TcpAcceptor::run() {
  if (!retry_.fired()) return;
  const int probe = ::dup(socket_);
  if (probe >= 0) ::close(probe);
  if (probe < 0 || probe >= gate_) {
    retry_.arm(kRetry);
  } else {
    retry_.disarm();
  }
  update_polling();
}

}  // namespace tulle
