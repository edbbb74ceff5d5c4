// Pool: client connections to one address, and the queue of those who wait for a stream.
//
// Owns its connections. HTTP/1: one stream per connection, idle connections are kept newest first.
// HTTP/2: as few connections as needed; another one is opened when 80 % of the peer's stream limit
// is in use. A ticket's outcome is a stream, or an Error, as data; dropping the ticket leaves the
// queue. Limits that a person states (connections, pending) are asked of PoolLimits, because they
// count across workers.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>

#include "core/base/list.hpp"
#include "core/http/connection.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"
#include "core/net/tls.hpp"

namespace tulle {

struct TicketTag {};

// A place in a pool's queue.
struct Ticket : ListNode<TicketTag> {
  explicit Ticket(Task& waiter_task) : waiter(waiter_task) {}
  Task& waiter;  // woken when the outcome is there
  std::variant<std::monostate, StreamRef, Error> outcome;   // monostate: still waiting
};

// Counts that hold for the whole process: one relaxed atomic per limit.
class PoolLimits {
 public:
  virtual ~PoolLimits() = default;
  virtual bool take_connection() = 0;   // false: the limit is reached
  virtual void give_connection() = 0;
  virtual bool take_pending() = 0;
  virtual void give_pending() = 0;
};

class Pool : private Task {
 public:
  struct Options {
    Address address;
    Protocol protocol = Protocol::negotiated;
    HttpLimits limits;
    std::shared_ptr<const TlsContext> tls;                     // null: plaintext
    Duration connect_timeout = std::chrono::seconds(1);
    Duration tls_handshake_timeout = std::chrono::seconds(5);
    size_t max_idle = 128;                                     // HTTP/1 connections kept for reuse
  };
  Pool(Loop& loop, Network& network, Options options, PoolLimits* limits);
  ~Pool() override;

  void request(Ticket& ticket);   // may set the outcome before returning
  // No new streams; running ones finish, waiting tickets fail. idle() becomes true in the end.
  void retire();
  void set_tls(std::shared_ptr<const TlsContext> tls);  // new connections use it; old ones retire
  bool idle() const;              // no connection, no ticket
  size_t connections() const { return connections_; }
  size_t waiting() const { return waiting_count_; }

 private:
  void run() override;
  bool try_serve(Ticket& ticket);
  void serve_waiting();
  void open_connection();
  void reap();

  Network& network_;
  Options options_;
  PoolLimits* limits_;
  List<Connection, ConnectionTag> live_;   // most recently used first
  List<Ticket, TicketTag> waiting_;
  size_t connections_ = 0;
  size_t connecting_ = 0;
  size_t waiting_count_ = 0;
  bool retired_ = false;
  bool multiplexed_ = false;               // learned: the peer speaks HTTP/2
};

}  // namespace tulle
