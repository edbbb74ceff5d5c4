// Network: where connections come from. The seam between real sockets and the simulator.
//
// UvNetwork (core/net/uv_network.cpp) makes TCP sockets on a loop of the libuv engine;
// SimulatedNetwork makes in-memory connections with seeded delays and cuts.
#pragma once

#include <memory>

#include "core/base/result.hpp"
#include "core/net/address.hpp"
#include "core/net/byte_stream.hpp"

namespace tulle {

class Loop;
class Task;

// A listening socket. Accepted streams queue here (bounded) until the owner takes them.
class Acceptor {
 public:
  virtual ~Acceptor() = default;                        // stops listening
  virtual std::unique_ptr<ByteStream> accept() = 0;     // null: none waiting
  virtual void pause(bool paused) = 0;                  // stop taking from the kernel: limits
  virtual const Address& local_address() const = 0;     // with the real port when 0 was asked for
};

struct ListenOptions {
  int backlog = 4096;
  // Several workers share the port; claim it first (claim_port), so that its use by somebody else
  // (another sidecar of the same user included) is noticed. A connection that the kernel gave to a
  // loop with clearly more of them than another is handed to the one with the fewest.
  bool reuse_port = false;
  // Near the limit of file descriptors ordinary listeners stop accepting; those that an operator
  // needs then (admin, health) may use what was kept back.
  bool privileged = false;
  // Takes connections that the packet filter hands over by TPROXY: their local address is where the
  // peer wanted to go. Needs CAP_NET_ADMIN.
  bool transparent = false;
};

struct ConnectOptions {
  // The address to connect from; unset: the system chooses. Port 0: any.
  Address from;
  // `from` need not be ours (TPROXY, to show the application its real peer). Needs CAP_NET_ADMIN.
  bool transparent = false;
};

class Network {
 public:
  virtual ~Network() = default;
  virtual Result<std::unique_ptr<Acceptor>> listen(const Address& at, const ListenOptions& options,
                                                   Task& owner) = 0;  // owner is woken per arrival
  // Starts to connect; on_open or on_end(Error{connect_failed}) follows. Time limits are the
  // caller's.
  virtual std::unique_ptr<ByteStream> connect(const Address& to, const ConnectOptions& options) = 0;
  std::unique_ptr<ByteStream> connect(const Address& to) { return connect(to, {}); }
};

std::unique_ptr<Network> make_uv_network(Loop& loop);

// Checks that `at` is free and keeps it for this process, so that N workers can listen on it with
// reuse_port afterwards. Port 0 becomes the port that was found. Claiming twice is fine. Errors:
// address_in_use with address, and what to do. `::` means both IPv6 and IPv4.
Result<void> claim_port(Address& at);
// Gives it back; listeners that are open stay open.
void release_port(const Address& at);

}  // namespace tulle
