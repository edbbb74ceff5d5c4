// How long the first answer takes when many sockets are ready at once, with and without the turn
// that is held every 64 read callbacks.
//
//   cmake --build build/release --target bench_first_answer
//   build/release/bin/bench_first_answer
//
// 1,000 connections of one loop have sent 1 KiB each before the loop polls; a task per connection
// then works for 0 or 10 microseconds and answers. The clients are plain sockets that this thread
// looks at only after the loop has answered all; so what is measured is when the server wrote.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/net/loop.hpp"
#include "core/net/network.hpp"

namespace tulle {
namespace {

constexpr int kConnections = 1000;
constexpr int kRounds = 30;

void work_for(Duration span) {
  const Instant end = monotonic_now() + span;
  while (monotonic_now() < end) {
  }
}

class Server;

// Reads, works and answers. The write time of an answer is when the next turn's first task runs, at
// the latest; so a Flusher of the write stage, made dirty after the socket's, takes the time.
class Session : public Task, public ByteStream::Reader {
 public:
  Session(Loop& loop, Server& server, std::unique_ptr<ByteStream> stream);
  void on_bytes(ByteView) override { wake(); }
  void on_end(std::optional<Error>) override {}

 private:
  void run() override;
  Server& server_;
  std::unique_ptr<ByteStream> stream_;
};

class Server : public Task {
 public:
  Server(Loop& loop, Network& network) : Task(loop), written_(*this) {
    auto listening = network.listen(*Address::parse("127.0.0.1", 0), {}, *this);
    if (!listening) std::abort();
    acceptor_ = std::move(*listening);
  }
  uint16_t port() const { return acceptor_->local_address().port(); }
  size_t sessions() const { return sessions_.size(); }

  void answered() {
    ++unwritten_;
    written_.flush_later();
  }
  void begin_round() { times_.clear(); }
  const std::vector<Instant>& times() const { return times_; }

  Duration work = 10us;

 private:
  class Written : public Flusher {
   public:
    explicit Written(Server& server) : Flusher(server.loop(), Stage::write), server_(server) {}

   private:
    // The first pass only queues behind the sockets of this turn.
    void flush() override {
      if (!std::exchange(second_pass_, !second_pass_)) return flush_later();
      server_.times_.insert(server_.times_.end(), server_.unwritten_, monotonic_now());
      server_.unwritten_ = 0;
      if (server_.times_.size() >= kConnections) server_.loop().stop();
    }
    Server& server_;
    bool second_pass_ = false;
  };

  void run() override {
    while (auto stream = acceptor_->accept()) {
      sessions_.push_back(std::make_unique<Session>(loop_, *this, std::move(stream)));
    }
    if (sessions_.size() == kConnections && times_.empty()) loop_.stop();
  }
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Instant> times_;
  size_t unwritten_ = 0;
  Written written_;
};

Session::Session(Loop& loop, Server& server, std::unique_ptr<ByteStream> stream)
    : Task(loop), server_(server), stream_(std::move(stream)) {
  stream_->start(*this);
}

void Session::run() {
  work_for(server_.work);
  stream_->write(Bytes("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
  server_.answered();
}

std::vector<int> connect_clients(uint16_t port) {
  std::vector<int> clients;
  sockaddr_storage to;
  Address::parse("127.0.0.1", port)->to(to);
  for (int i = 0; i < kConnections; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(sockaddr_in)) != 0) std::abort();
    clients.push_back(fd);
  }
  return clients;
}

void measure(const char* name, uint32_t reads_per_turn, Duration work) {
  Loop loop(make_uv_engine());
  loop.set_reads_per_turn(reads_per_turn);
  auto network = make_uv_network(loop);
  Server server(loop, *network);
  server.work = work;
  const std::vector<int> clients = connect_clients(server.port());
  loop.run();
  const std::string request(1024, 'x');
  std::vector<int64_t> first, median, last;
  for (int round = 0; round < kRounds; ++round) {
    for (int fd : clients) {
      if (::write(fd, request.data(), request.size()) < 0) std::abort();
    }
    server.begin_round();
    const Instant start = monotonic_now();
    loop.run();
    const auto& times = server.times();
    first.push_back((times.front() - start).count() / 1000);
    median.push_back((times[times.size() / 2] - start).count() / 1000);
    last.push_back((times.back() - start).count() / 1000);
    char sink[4096];
    for (int fd : clients) {
      if (::read(fd, sink, sizeof(sink)) <= 0) std::abort();
    }
  }
  for (int fd : clients) ::close(fd);
  const auto middle = [](std::vector<int64_t>& v) {
    std::sort(v.begin(), v.end());
    return static_cast<long long>(v[v.size() / 2]);
  };
  std::printf("%-28s %6lld %12lld %12lld %12lld\n", name,
              static_cast<long long>(work.count() / 1000), middle(first), middle(median),
              middle(last));
}

}  // namespace
}  // namespace tulle

int main() {
  using namespace tulle;
  std::printf("%d sockets ready at once; microseconds until an answer is written\n", kConnections);
  std::printf("%-28s %6s %12s %12s %12s\n", "turn held", "work", "first", "median", "last");
  for (const Duration work : {Duration(0us), Duration(10us)}) {
    measure("after all reads", UINT32_MAX, work);
    measure("every 256 reads", 256, work);
    measure("every 64 reads", 64, work);
    measure("every 16 reads", 16, work);
  }
}
