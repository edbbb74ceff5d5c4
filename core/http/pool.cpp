#include "core/http/pool.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace tulle {
namespace {

// What a connection still to be opened is expected to carry when HTTP/2 is expected: the smallest
// stream limit that RFC 9113 recommends.
constexpr size_t kExpectedStreams = 100;

// Below 80 % of what the peer allows a connection takes more; above, another one is opened.
bool has_headroom(const Connection& connection) {
  return connection.open_streams() * 5 < connection.stream_limit() * 4;
}

// Of no use to anybody: it did not open, or it ended before it carried a single stream. A server
// that accepts and closes at once must not be dialled for ever.
bool came_to_nothing(const Connection& connection) {
  return connection.fresh() && !connection.retiring();
}

Error error_of(const Connection& connection, const Address& address) {
  if (!connection.opened() && connection.failure()) return *connection.failure();
  Error error{Code::connect_failed, Origin::upstream,
              address.to_string() + " closed the connection before it could be used"};
  if (connection.failure()) error.detail += ": " + connection.failure()->detail;
  return error;
}

}  // namespace

Ticket::~Ticket() {
  if (queued_in_ != nullptr) queued_in_->leave(*this);
}

Pool::Pool(Loop& loop, Network& network, Options options, PoolLimits* limits)
    : Task(loop),
      network_(network),
      options_(std::move(options)),
      limits_(limits),
      multiplexed_(options_.protocol == Protocol::http2 ||
                   (options_.protocol == Protocol::negotiated && options_.tls != nullptr)) {
  roster_.keep_available = options_.max_idle;
}

Pool::~Pool() {
  fail_waiting(SIZE_MAX, {Code::draining, Origin::local, "the pool is gone"});
  if (limits_ != nullptr) {
    for (size_t i = beyond_limit_; i < roster_.count(); ++i) limits_->give_connection();
  }
  roster_.clear();
}

// ---- tickets ---------------------------------------------------------------------------------

void Pool::request(Ticket& ticket) {
  ASSERT(ticket.queued_in_ == nullptr);
  if (retired_) {
    ticket.outcome = Error{Code::draining, Origin::local, "the endpoint has been removed"};
    return;
  }
  // Those who wait are older than we are.
  if (waiting_.empty() && try_serve(ticket)) return;
  if (limits_ != nullptr && !limits_->take_pending()) {
    ticket.outcome = Error{Code::overloaded, Origin::local,
                           "pending limit: too many requests wait for a connection"};
    return;
  }
  waiting_.push_back(ticket);
  ticket.queued_in_ = this;
  ++waiting_count_;
  roster_.awaited = true;
  open_as_needed();
}

bool Pool::try_serve(Ticket& ticket) {
  Connection* connection = choose();
  if (connection == nullptr) return false;
  StreamRef stream = connection->open();
  if (stream == nullptr) return false;
  multiplexed_ = connection->protocol() == Protocol::http2;
  ticket.outcome = std::move(stream);
  // Another connection is prepared while this one still has room, so that nobody waits for it.
  if (multiplexed_ && !has_headroom(*connection) && roster_.opening_count() == 0) {
    const Connection* next = choose();
    if (next == nullptr || !has_headroom(*next)) open_connection();
  }
  return true;
}

// HTTP/1: the idle connection that was used last, because it is the least likely to be closed by
// the peer. HTTP/2: the first with headroom; when none has any, the first that has room at all.
Connection* Pool::choose() {
  if (roster_.available.empty()) return nullptr;
  for (Connection& connection : roster_.available) {
    if (has_headroom(connection)) return &connection;
  }
  return &roster_.available.front();
}

// Takes the ticket out of the queue, for whatever reason.
void Pool::leave(Ticket& ticket) {
  ticket.unlink();
  ticket.queued_in_ = nullptr;
  --waiting_count_;
  roster_.awaited = !waiting_.empty();
  if (limits_ != nullptr) limits_->give_pending();
}

void Pool::serve_waiting() {
  while (!waiting_.empty()) {
    Ticket& ticket = waiting_.front();
    if (!try_serve(ticket)) break;
    leave(ticket);
    ticket.waiter.wake();
  }
}

void Pool::fail_waiting(size_t at_most, const Error& error) {
  for (size_t i = 0; i < at_most && !waiting_.empty(); ++i) {
    Ticket& ticket = waiting_.front();
    leave(ticket);
    ticket.outcome = error;
    ticket.waiter.wake();
  }
}

// ---- connections -----------------------------------------------------------------------------

size_t Pool::expected_streams() const { return multiplexed_ ? kExpectedStreams : 1; }

// As many connections as those who wait will need, no more.
void Pool::open_as_needed() {
  if (retired_) return;
  while (roster_.opening_count() * expected_streams() < waiting_count_) {
    if (!open_connection()) return;
  }
}

bool Pool::open_connection() {
  if (limits_ != nullptr && !limits_->take_connection()) {
    if (roster_.count() > 0) return false;
    ++beyond_limit_;
  }
  Connection::Options options;
  options.role = Codec::Role::client;
  options.protocol = options_.protocol;
  options.limits = &options_.limits;
  options.scheme = options_.tls != nullptr ? "https" : "http";
  options.owner = this;
  options.open_timeout = options_.connect_timeout;
  options.tls = options_.tls;
  options.tls_handshake_timeout = options_.tls_handshake_timeout;
  roster_.add(std::make_unique<Connection>(
      loop_, network_.connect(options_.address, {.from = options_.from}), std::move(options)));
  return true;
}

void Pool::run() {
  const bool was_idle = idle();
  serve_waiting();  // first: nobody fails while a connection is there for him
  reap();
  open_as_needed();
  trim_idle();
  if (owner_ != nullptr && !was_idle && idle()) owner_->wake();
}

// How many of the oldest who wait fail with a connection that came to nothing: those it was opened
// for, unless other connects under way suffice for all. Without any nobody is left to serve them.
size_t Pool::bereft_by_failed_connect() const {
  const size_t under_way = roster_.opening_count() * expected_streams();
  if (under_way == 0) return waiting_count_;
  return std::min(expected_streams(), waiting_count_ - std::min(waiting_count_, under_way));
}

void Pool::reap() {
  while (!roster_.over.empty()) {
    const Connection& ended = roster_.over.front();
    if (came_to_nothing(ended)) {
      fail_waiting(bereft_by_failed_connect(), error_of(ended, options_.address));
    }
    roster_.destroy_front(roster_.over);
    if (beyond_limit_ > 0) {
      --beyond_limit_;
    } else if (limits_ != nullptr) {
      limits_->give_connection();
    }
  }
}

// The connections that have been idle for longest are let go.
void Pool::trim_idle() {
  while (roster_.available_count() > options_.max_idle) {
    Connection& oldest = roster_.available.back();
    if (oldest.open_streams() > 0) return;  // HTTP/2: in use
    oldest.retire();
  }
}

void Pool::retire_all() {
  // A retired connection moves to the front of `occupied`, where the first loop has been.
  for (Connection& connection : roster_.occupied) connection.retire();
  for (Connection& connection : roster_.available) connection.retire();
  for (Connection& connection : roster_.opening) connection.retire();
}

void Pool::retire() {
  if (retired_) return;
  retired_ = true;
  fail_waiting(SIZE_MAX, {Code::draining, Origin::local, "the endpoint has been removed"});
  retire_all();
}

void Pool::set_tls(std::shared_ptr<const TlsContext> tls) {
  options_.tls = std::move(tls);
  retire_all();
  wake();  // those who wait need new connections
}

}  // namespace tulle
