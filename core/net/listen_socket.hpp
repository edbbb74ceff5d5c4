// listen_socket: plain system calls that make a bound, listening socket, and the words for what
// can go wrong. Only core/net/*.cpp includes this.
#pragma once

#include "core/base/result.hpp"
#include "core/net/address.hpp"
#include "core/net/network.hpp"

namespace tulle {

// A bound socket (non-blocking, closed on exec). `at` gets the real port.
Result<int> bind_socket(Address& at, bool reuse_port, bool transparent = false);
// A bound and listening one, with the options that accepted sockets inherit.
Result<int> listen_socket(Address& at, const ListenOptions& options);

// Lets the socket have an address that is not ours: TPROXY. False: errno says why.
bool allow_foreign_address(int socket, bool ipv6);

// Probes a silent peer, so that a host which has vanished is noticed. Accepted sockets inherit it.
void keep_alive(int socket);

}  // namespace tulle
