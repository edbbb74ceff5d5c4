// TcpAcceptor: a listening socket that queues accepted sockets until its owner takes them.
// Only core/net/*.cpp includes this.
//
// Accepts by itself instead of by uv_listen, because libuv answers a lack of descriptors by closing
// connections silently. Here accepting stops before the limit (descriptors are numbered from the
// lowest free one, so the number of an accepted socket tells how many are in use), the peers wait
// in the kernel's queue, and a timer looks every 100 ms whether there are some again. With
// reuse_port it is a member of its port's AcceptGroup, which may hand a socket to another loop.
#pragma once

#include <uv.h>

#include <deque>
#include <memory>
#include <optional>

#include "core/net/accept_group.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "core/net/uv_cell.hpp"

namespace tulle {

class TcpAcceptor final : public Acceptor, private Task {
 public:
  TcpAcceptor(Loop& loop, int socket, const Address& at, const ListenOptions& options, Task& owner);
  ~TcpAcceptor() override;

  std::unique_ptr<ByteStream> accept() override;
  void pause(bool paused) override;
  const Address& local_address() const override { return at_; }

 private:
  using Cell = UvCell<uv_poll_t, TcpAcceptor>;
  struct Membership final : AcceptMember {
    explicit Membership(TcpAcceptor& acceptor)
        : AcceptMember(acceptor.loop_, acceptor.at_), by(acceptor) {}
    void take_over(AcceptedSocket socket) override {
      by.queue_.push_back(std::move(socket));
      by.owner_.wake();
    }
    TcpAcceptor& by;
  };

  void run() override;  // the retry timer
  void take_from_kernel();
  bool take_one();
  void keep(AcceptedSocket socket);
  void starve(const char* reason);
  bool starving() const { return retry_.armed(); }
  void update_polling();

  const int socket_;
  const Address at_;
  Task& owner_;
  Cell* cell_;
  int gate_;              // descriptors from this number on are kept back
  bool paused_ = false;
  bool polling_ = false;
  Instant log_from_;      // not to log a shortage more than once a second
  Timer retry_{*this};
  std::deque<AcceptedSocket> queue_;
  std::optional<Membership> membership_;  // of a shared port
};

}  // namespace tulle
