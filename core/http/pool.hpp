// Pool: client connections to one address, and the queue of those who wait for a stream.
//
// Owns its connections. HTTP/1: one stream per connection, idle connections are kept newest first.
// HTTP/2: as few connections as needed; another one is opened when 80 % of the peer's stream limit
// is in use. A ticket's outcome is a stream, or an Error, as data; dropping the ticket leaves the
// queue. Limits that a person states (connections, pending) are asked of PoolLimits, because they
// count across workers. A pool without any connection may open one beyond the limit: otherwise
// other pools could hold all of them, and its tickets would wait for nobody.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>

#include "core/base/list.hpp"
#include "core/http/connection.hpp"
#include "core/http/roster.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"
#include "core/net/tls.hpp"

namespace tulle {

class Pool;
struct TicketTag {};

// A place in a pool's queue.
struct Ticket : ListNode<TicketTag> {
  explicit Ticket(Task& waiter_task) : waiter(waiter_task) {}
  ~Ticket();
  Task& waiter;  // woken when the outcome is there
  std::variant<std::monostate, StreamRef, Error> outcome;   // monostate: still waiting

 private:
  friend class Pool;
  Pool* queued_in_ = nullptr;
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
    Address from;                                              // to connect from; unset: any
    Protocol protocol = Protocol::negotiated;
    HttpLimits limits;
    std::shared_ptr<const TlsContext> tls;                     // null: plaintext
    Duration connect_timeout = std::chrono::seconds(1);
    Duration tls_handshake_timeout = std::chrono::seconds(5);
    size_t max_idle = 128;                                     // HTTP/1 connections kept for reuse
  };
  Pool(Loop& loop, Network& network, Options options, PoolLimits* limits);
  ~Pool() override;               // tickets that still wait fail

  void request(Ticket& ticket);   // may set the outcome before returning
  // No new streams; running ones finish, waiting tickets fail. idle() becomes true in the end.
  void retire();
  void set_tls(std::shared_ptr<const TlsContext> tls);  // new connections use it; old ones retire
  bool idle() const { return roster_.count() == 0 && waiting_count_ == 0; }
  size_t connections() const { return roster_.count(); }
  size_t waiting() const { return waiting_count_; }
  void set_owner(Task* owner) { owner_ = owner; }       // woken when idle() has become true

 private:
  friend struct Ticket;
  void run() override;
  bool try_serve(Ticket& ticket);
  Connection* choose();
  void serve_waiting();
  void leave(Ticket& ticket);
  void fail_waiting(size_t at_most, const Error& error);
  void open_as_needed();
  bool open_connection();
  size_t bereft_by_failed_connect() const;
  void retire_all();
  void reap();
  void trim_idle();
  size_t expected_streams() const;

  Network& network_;
  Options options_;
  PoolLimits* limits_;
  Roster roster_;
  List<Ticket, TicketTag> waiting_;
  Task* owner_ = nullptr;
  size_t waiting_count_ = 0;
  size_t beyond_limit_ = 0;                // connections that were opened without a permit: 0 or 1
  bool retired_ = false;
  bool multiplexed_;                       // expected at first, then learned: HTTP/2
};

}  // namespace tulle
