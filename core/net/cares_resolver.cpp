#include <ares.h>
#include <netdb.h>
#include <sys/select.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/net/resolver.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "core/net/uv_cell.hpp"

namespace tulle {
namespace {

constexpr size_t kMostAddresses = 16;
// The first try; c-ares doubles it for the second. A name server that is slower than this serves
// nobody who waits for a request.
constexpr int kTryMilliseconds = 1500;
constexpr int kTries = 2;

// What c-ares refers to. It lives until c-ares has answered, which it always does.
class PendingLookup;
struct Query {
  PendingLookup* lookup;  // null: given up
};

class PendingLookup final : public Lookup {
 public:
  explicit PendingLookup(Task& owner) : owner_(owner), query_(new Query{this}) {}
  ~PendingLookup() override {
    if (query_ != nullptr) query_->lookup = nullptr;
  }
  bool done() const override { return outcome_.has_value(); }
  const Result<ResolvedHost>& outcome() const override { return *outcome_; }

  Query* query() { return query_; }
  void answer(Result<ResolvedHost> outcome) {
    query_ = nullptr;
    outcome_ = std::move(outcome);
    owner_.wake();
  }

 private:
  Task& owner_;
  Query* query_;
  std::optional<Result<ResolvedHost>> outcome_;
};

Result<ResolvedHost> read_answer(int status, const ares_addrinfo* found) {
  if (status != ARES_SUCCESS) {
    const bool absent = status == ARES_ENOTFOUND || status == ARES_ENODATA;
    return Error{absent ? Code::not_found : Code::io_error, Origin::upstream,
                 ares_strerror(status)};
  }
  ResolvedHost host;
  int lowest = -1;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    if (host.addresses.size() == kMostAddresses) break;
    const Address address = Address::from(*node->ai_addr);
    if (!address.is_set() || std::ranges::find(host.addresses, address) != host.addresses.end()) {
      continue;
    }
    host.addresses.push_back(address);
    if (node->ai_ttl > 0 && (lowest < 0 || node->ai_ttl < lowest)) lowest = node->ai_ttl;
  }
  if (host.addresses.empty()) {
    return Error{Code::not_found, Origin::upstream, "the host has no address"};
  }
  host.time_to_live = std::chrono::seconds(std::max(lowest, 0));
  return host;
}

class CaresResolver final : public Resolver, private Task {
 public:
  explicit CaresResolver(Loop& loop) : Task(loop), timeout_(*this) {}

  ~CaresResolver() override {
    // Answers everything that is open, and says of every socket that it is unused.
    if (channel_ != nullptr) ares_destroy(channel_);
    ASSERT(sockets_.empty());
  }

  Result<void> open() {
    const int library = ares_library_init(ARES_LIB_INIT_ALL);
    ares_options options{};
    options.timeout = kTryMilliseconds;
    options.tries = kTries;
    options.sock_state_cb = &CaresResolver::on_socket;
    options.sock_state_cb_data = this;
    const int status =
        library != ARES_SUCCESS
            ? library
            : ares_init_options(&channel_, &options,
                                ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status == ARES_SUCCESS) return {};
    channel_ = nullptr;
    return Error{Code::io_error, Origin::local,
                 std::string("the resolver does not start: ") + ares_strerror(status)};
  }

  std::unique_ptr<Lookup> look_up(const std::string& host, uint16_t port, Task& owner) override {
    auto lookup = std::make_unique<PendingLookup>(owner);
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NUMERICSERV;
    const std::string service = std::to_string(port);
    ares_getaddrinfo(channel_, host.c_str(), service.c_str(), &hints, &CaresResolver::on_answer,
                     lookup->query());
    rearm();
    return lookup;
  }

 private:
  using Cell = UvCell<uv_poll_t, CaresResolver>;

  void run() override {
    if (!timeout_.fired()) return;
    timeout_.disarm();
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    rearm();
  }

  void rearm() {
    timeval left{};
    const timeval* wait = ares_timeout(channel_, nullptr, &left);
    if (wait == nullptr) return timeout_.disarm();
    timeout_.arm(std::max<Duration>(
        1ms, std::chrono::seconds(wait->tv_sec) + std::chrono::microseconds(wait->tv_usec)));
  }

  // c-ares says which of its sockets it wants to hear of; neither: it is about to close it.
  static void on_socket(void* self, ares_socket_t socket, int readable, int writable) {
    static_cast<CaresResolver*>(self)->watch(socket, readable != 0, writable != 0);
  }

  void watch(ares_socket_t socket, bool readable, bool writable) {
    const auto known = sockets_.find(socket);
    if (!readable && !writable) {
      if (known == sockets_.end()) return;
      uv_poll_stop(&known->second->handle);
      known->second->close();
      sockets_.erase(known);
      return;
    }
    Cell* cell = known != sockets_.end() ? known->second : nullptr;
    if (cell == nullptr) {
      cell = new Cell(loop_, *this);
      const int status = uv_poll_init(uv_loop_of(loop_), &cell->handle, socket);
      ASSERT(status == 0);
      cell->bind();
      sockets_.emplace(socket, cell);
    }
    const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    uv_poll_start(&cell->handle, events, &CaresResolver::on_ready);
  }

  static void on_ready(uv_poll_t* handle, int status, int events) {
    Cell& cell = Cell::of(handle);
    CaresResolver* self = cell.owner;
    if (self == nullptr) return;
    cell.loop.freshen_now();
    uv_os_fd_t socket = -1;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &socket) != 0) return;
    const bool broken = status < 0;  // c-ares finds out why
    ares_process_fd(self->channel_,
                    broken || (events & UV_READABLE) != 0 ? socket : ARES_SOCKET_BAD,
                    broken || (events & UV_WRITABLE) != 0 ? socket : ARES_SOCKET_BAD);
    self->rearm();
  }

  static void on_answer(void* argument, int status, int, ares_addrinfo* found) {
    const std::unique_ptr<Query> query(static_cast<Query*>(argument));
    if (query->lookup != nullptr) query->lookup->answer(read_answer(status, found));
    if (found != nullptr) ares_freeaddrinfo(found);
  }

  ares_channel channel_ = nullptr;
  std::map<ares_socket_t, Cell*> sockets_;
  Timer timeout_;
};

}  // namespace

Result<std::unique_ptr<Resolver>> make_resolver(Loop& loop) {
  auto resolver = std::make_unique<CaresResolver>(loop);
  Result<void> opened = resolver->open();
  if (!opened) return opened.error();
  return std::unique_ptr<Resolver>(std::move(resolver));
}

}  // namespace tulle
