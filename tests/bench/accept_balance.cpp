// How evenly few long-lived connections spread over workers: the kernel's SO_REUSEPORT hash against
// handing each to the worker with the fewest.
//
//   cmake --build build/release --target bench_accept_balance
//   build/release/bin/bench_accept_balance
//
// The hash is measured with real sockets (listeners of one port, connections from changing source
// ports); "fewest" is what it is by definition. "hottest" is the share of connections on the
// fullest worker: with h2 between sidecars a connection is a peer, and its worker does all of that
// peer's work.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/net/address.hpp"
#include "core/net/listen_socket.hpp"

namespace tulle {
namespace {

constexpr int kTrials = 2000;

struct Spread {
  double hottest = 0;  // mean share of the fullest worker
  double idle = 0;     // mean number of workers without any
  double all_on_one = 0;
};

Spread add_up(const std::vector<std::vector<int>>& trials, int connections) {
  Spread sum;
  for (const auto& counts : trials) {
    const int most = *std::max_element(counts.begin(), counts.end());
    sum.hottest += static_cast<double>(most) / connections;
    sum.idle += static_cast<double>(std::count(counts.begin(), counts.end(), 0));
    sum.all_on_one += most == connections ? 1 : 0;
  }
  const auto n = static_cast<double>(trials.size());
  return {sum.hottest / n, sum.idle / n, sum.all_on_one / n};
}

std::vector<int> open_listeners(int workers, Address& at) {
  ListenOptions options;
  options.reuse_port = true;
  std::vector<int> listeners;
  for (int i = 0; i < workers; ++i) {
    auto socket = listen_socket(at, options);
    if (!socket) std::abort();
    listeners.push_back(*socket);
  }
  return listeners;
}

// Connections end with a reset, so that no source port is kept in TIME_WAIT.
void close_hard(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  ::close(fd);
}

std::vector<int> one_trial(const std::vector<int>& listeners, const Address& at, int connections) {
  sockaddr_storage to;
  at.to(to);
  std::vector<int> clients, counts(listeners.size(), 0);
  for (int i = 0; i < connections; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(sockaddr_in)) != 0) std::abort();
    clients.push_back(fd);
  }
  for (size_t w = 0; w < listeners.size(); ++w) {
    for (int fd; (fd = ::accept(listeners[w], nullptr, nullptr)) >= 0; ::close(fd)) ++counts[w];
  }
  for (int fd : clients) close_hard(fd);
  return counts;
}

Spread hashed(int workers, int connections) {
  Address at = *Address::parse("127.0.0.1", 0);
  const std::vector<int> listeners = open_listeners(workers, at);
  std::vector<std::vector<int>> trials;
  for (int t = 0; t < kTrials; ++t) trials.push_back(one_trial(listeners, at, connections));
  for (int fd : listeners) ::close(fd);
  return add_up(trials, connections);
}

Spread fewest(int workers, int connections) {
  std::vector<int> counts(static_cast<size_t>(workers), 0);
  for (int i = 0; i < connections; ++i) ++*std::min_element(counts.begin(), counts.end());
  return add_up({counts}, connections);
}

}  // namespace
}  // namespace tulle

int main() {
  using namespace tulle;
  std::printf("%8s %12s | %-30s | %-30s\n", "", "", "SO_REUSEPORT hash", "worker with the fewest");
  std::printf("%8s %12s | %9s %9s %10s | %9s %9s %10s\n", "workers", "connections", "hottest",
              "idle", "all on one", "hottest", "idle", "all on one");
  for (const int workers : {2, 4}) {
    for (const int connections : {1, 2, 4, 8, 16, 64}) {
      const Spread a = hashed(workers, connections), b = fewest(workers, connections);
      std::printf("%8d %12d | %8.0f%% %9.2f %9.0f%% | %8.0f%% %9.2f %9.0f%%\n", workers,
                  connections, a.hottest * 100, a.idle, a.all_on_one * 100, b.hottest * 100, b.idle,
                  b.all_on_one * 100);
    }
  }
}
