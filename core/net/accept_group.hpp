// AcceptGroup: the listeners of several loops on one port, and who gets an accepted socket.
// Only core/net/*.cpp includes this.
//
// SO_REUSEPORT spreads by a hash of addresses: of two connections over two workers, half of the
// time both are on one (tests/bench/accept_balance). With few long-lived connections, as between
// sidecars, that idles a core. So a socket that arrives on a loop that has clearly more accepted
// connections than another goes to the other. Loops count for themselves (Loop::accepted);
// listeners of one port find each other here, under one lock that only accepting takes.
#pragma once

#include <memory>

#include "core/net/address.hpp"
#include "core/net/loop.hpp"

namespace tulle {

// A socket between accept4() and its stream. Counts on the loop it is meant for; closes when lost.
class AcceptedSocket {
 public:
  AcceptedSocket(int socket, const Address& peer, Loop& loop);
  AcceptedSocket(AcceptedSocket&& other) noexcept;
  AcceptedSocket& operator=(AcceptedSocket&&) = delete;
  ~AcceptedSocket();

  void move_to(Loop& loop);
  int release();  // the stream closes it, and counts down (Loop::accepted_closed) when it does
  const Address& peer() const { return peer_; }

 private:
  int socket_;
  Address peer_;
  Loop* loop_;
};

// One listener's membership. Any thread may read `taking`; the rest is the group's.
class AcceptMember {
 public:
  AcceptMember(Loop& loop, const Address& at);  // joins
  virtual ~AcceptMember();                      // leaves

  void set_taking(bool taking) { taking_.store(taking, std::memory_order_relaxed); }
  // Posts the socket to the loop with the fewest when that has clearly fewer. True: it is gone.
  bool hand_over(AcceptedSocket& socket);
  virtual void take_over(AcceptedSocket socket) = 0;  // on its own loop's thread

 private:
  friend class HandedSocket;
  Loop& member_loop_;
  const Address at_;
  std::atomic<bool> taking_{true};
};

}  // namespace tulle
