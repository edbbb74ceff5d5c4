// Roster: the connections of one owner, by where they stand.
//
// Owns them. They move themselves between its lists as their state changes, which is data, not a
// call; so nobody searches for an idle or an ended one.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "core/base/list.hpp"
#include "core/http/connection.hpp"

namespace tulle {

class Roster {
 public:
  using Connections = List<Connection, ConnectionTag>;
  Connections opening;           // connecting, handshaking, protocol not yet known
  Connections available;         // client: would give a stream now; most recently freed first
  Connections occupied;          // everything else that lives
  Connections over;              // to be reaped

  Roster() = default;
  ~Roster() { clear(); }
  Connection& add(std::unique_ptr<Connection> connection);
  void destroy_front(Connections& connections);
  void clear();                  // destroys all: streams fail, server handlers are destroyed

  // The owner is woken when a connection becomes available while `awaited`, or when more than
  // `keep_available` are.
  bool awaited = false;
  size_t keep_available = SIZE_MAX;
  size_t opening_count() const { return counts_[1]; }
  size_t available_count() const { return counts_[2]; }
  size_t over_count() const { return counts_[4]; }
  size_t count() const { return counts_[1] + counts_[2] + counts_[3] + counts_[4]; }

 private:
  friend class Connection;
  Connections* list_of(Connection::Standing standing);
  void move(Connection& connection, Connection::Standing to);  // `none`: it is being destroyed
  std::array<size_t, 5> counts_{};  // by Standing
};

}  // namespace tulle
