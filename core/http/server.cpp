#include "core/http/server.hpp"

#include <utility>

#include "core/base/memory_budget.hpp"

namespace tulle {
namespace {

// How many arrivals one run takes: a storm of new connections must not delay those that are served.
constexpr int kArrivalsPerRun = 64;

}  // namespace

Server::Server(Loop& loop, Service& service, Options options)
    : Task(loop), service_(service), options_(std::move(options)), tls_(options_.tls) {}

Server::~Server() { roster_.clear(); }

Result<void> Server::listen(Network& network, const Address& at, const ListenOptions& options) {
  Result<std::unique_ptr<Acceptor>> acceptor = network.listen(at, options, *this);
  if (!acceptor) return std::move(acceptor.error());
  acceptor_ = std::move(*acceptor);
  local_address_ = acceptor_->local_address();
  return {};
}

void Server::adopt(std::unique_ptr<ByteStream> bytes, const Address& captured) {
  add(std::move(bytes), captured);
  if (owner_ != nullptr) owner_->wake();
}

void Server::add(std::unique_ptr<ByteStream> bytes, const Address& captured) {
  Connection::Options options;
  options.role = Codec::Role::server;
  options.protocol = options_.protocol;
  options.limits = &options_.limits;
  options.scheme = tls_ != nullptr ? "https" : "http";
  options.service = &service_;
  options.owner = this;
  if (captured.is_set()) {
    options.original = std::make_unique<OriginalDestination>(
        OriginalDestination{captured, captured.to_string()});
  }
  if (tls_ != nullptr) {
    options.open_timeout = options_.tls_handshake_timeout;
    bytes = make_tls_stream(loop_, std::move(bytes), tls_);
  }
  Connection& added = roster_.add(std::make_unique<Connection>(loop_, std::move(bytes), std::move(options)));
  if (draining_) added.retire();
}

void Server::set_tls(std::shared_ptr<const TlsContext> tls) { tls_ = std::move(tls); }

void Server::hold_accepting(bool held) {
  if (std::exchange(held_, held) == held) return;
  if (held) MemoryBudget::of_process().count(Shed::accepting);
  wake();
}

void Server::stop_accepting() { acceptor_.reset(); }

void Server::drain() {
  stop_accepting();
  draining_ = true;
  // A retired connection may move to the front of `occupied`, where this loop has been.
  for (Connection& connection : roster_.occupied) connection.retire();
  for (Connection& connection : roster_.opening) connection.retire();
}

void Server::close_all(Code why) {
  drain();
  for (Connection& connection : roster_.occupied) connection.close_now(why);
  for (Connection& connection : roster_.opening) connection.close_now(why);
}

void Server::run() {
  const size_t before = roster_.count();
  while (!roster_.over.empty()) roster_.destroy_front(roster_.over);
  take_arrivals();
  if (owner_ != nullptr && roster_.count() != before) owner_->wake();
}

void Server::take_arrivals() {
  if (acceptor_ == nullptr) return;
  for (int taken = 0; !held_ && roster_.count() < options_.max_connections; ++taken) {
    if (taken == kArrivalsPerRun) return defer();
    std::unique_ptr<ByteStream> bytes = acceptor_->accept();
    if (bytes == nullptr) break;
    add(std::move(bytes));
  }
  const bool full = held_ || roster_.count() >= options_.max_connections;
  if (full == paused_) return;
  paused_ = full;
  acceptor_->pause(full);
}

}  // namespace tulle
