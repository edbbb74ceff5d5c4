#include "core/net/listen_socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace tulle {

namespace {

// A peer that has vanished without a word is noticed after 60 + 3 x 10 seconds, also on a stream
// that has nothing to say: the system's own numbers would take twelve minutes.
constexpr int kKeepaliveIdle = 60;
constexpr int kKeepaliveInterval = 10;
constexpr int kKeepaliveProbes = 3;

Error listen_error(const Address& at, int number) {
  const std::string lead = "listen " + at.to_string() + ": ";
  const std::string port = std::to_string(at.port());
  switch (number) {
    case EADDRINUSE:
      return {Code::address_in_use, Origin::local,
              lead + "address already in use; to see by whom: ss -ltnp 'sport = :" + port + "'"};
    case EACCES:
      return {Code::io_error, Origin::local,
              lead + "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE"};
    case EADDRNOTAVAIL:
      return {Code::io_error, Origin::local, lead + "this machine does not have that address"};
    default:
      return {Code::io_error, Origin::local, lead + std::strerror(number)};
  }
}

// Options that cannot fail for reasons outside this program.
void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof(value));
}

Error give_up(int fd, const Address& at) {
  const int number = errno;
  ::close(fd);
  return listen_error(at, number);
}

void read_back_port(int fd, Address& at) {
  sockaddr_storage raw;
  socklen_t size = sizeof(raw);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &size) != 0) return;
  const auto& in = reinterpret_cast<const sockaddr_in&>(raw);  // the port is at the same place
  at = at.with_port(ntohs(in.sin_port));
}

// Sockets of claimed ports: bound, never listening, so the kernel gives them no connection.
struct Claims {
  std::mutex mutex;
  std::vector<std::pair<Address, int>> sockets;
};

Claims& claims() {
  static Claims& instance = *new Claims;  // outlives every thread
  return instance;
}

}  // namespace

bool allow_foreign_address(int socket, bool ipv6) {
  const int on = 1;
  return ipv6 ? ::setsockopt(socket, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof(on)) == 0
              : ::setsockopt(socket, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) == 0;
}

Result<int> bind_socket(Address& at, bool reuse_port, bool transparent) {
  const int family = at.is_ipv6() ? AF_INET6 : AF_INET;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return listen_error(at, errno);
  // Connections of a former process that linger in TIME_WAIT must not keep the port.
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (reuse_port) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  // `::` serves both families, whatever the system's default is.
  if (at.is_ipv6()) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, at.ip() == "::" ? 0 : 1);
  if (transparent && !allow_foreign_address(fd, at.is_ipv6())) {
    const int number = errno;
    ::close(fd);
    return Error{Code::io_error, Origin::local,
                 "listen " + at.to_string() + ": " + std::strerror(number) +
                     "; transparent needs CAP_NET_ADMIN"};
  }
  sockaddr_storage raw;
  at.to(raw);
  const socklen_t size = at.is_ipv6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&raw), size) != 0) return give_up(fd, at);
  read_back_port(fd, at);
  return fd;
}

void keep_alive(int socket) {
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdle);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveInterval);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
}

// Linux hands these options down to accepted sockets: no system call per connection.
Result<int> listen_socket(Address& at, const ListenOptions& options) {
  auto bound = bind_socket(at, options.reuse_port, options.transparent);
  if (!bound) return bound;
  set_option(*bound, IPPROTO_TCP, TCP_NODELAY, 1);
  keep_alive(*bound);
  if (::listen(*bound, options.backlog) != 0) return give_up(*bound, at);
  return bound;
}

// The socket is bound alone first: that fails when anybody listens there, even one who would share.
// Sharing is switched on afterwards on the same socket, so there is no moment in which the port is
// free. Without SO_REUSEADDR from here on, a second process cannot claim it either, although
// nobody listens yet.
Result<void> claim_port(Address& at) {
  const std::lock_guard lock(claims().mutex);
  for (const auto& [claimed, fd] : claims().sockets) {
    if (claimed == at) return {};
  }
  auto bound = bind_socket(at, false);
  if (!bound) return bound.error();
  set_option(*bound, SOL_SOCKET, SO_REUSEADDR, 0);
  set_option(*bound, SOL_SOCKET, SO_REUSEPORT, 1);
  claims().sockets.emplace_back(at, *bound);
  return {};
}

void release_port(const Address& at) {
  const std::lock_guard lock(claims().mutex);
  std::erase_if(claims().sockets, [&](const auto& claim) {
    if (claim.first != at) return false;
    ::close(claim.second);
    return true;
  });
}

}  // namespace tulle
