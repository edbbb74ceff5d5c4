#include "core/http/roster.hpp"

#include <utility>

namespace tulle {

Connection& Roster::add(std::unique_ptr<Connection> connection) {
  Connection& added = *connection.release();  // the lists hold it from here on
  ASSERT(added.roster_ == nullptr);
  added.roster_ = this;
  const Connection::Standing standing = std::exchange(added.standing_, Connection::Standing::none);
  move(added, standing);
  added.standing_ = standing;
  return added;
}

void Roster::destroy_front(Connections& connections) {
  const std::unique_ptr<Connection> last_owner(&connections.front());
}

void Roster::clear() {
  for (Connections* connections : {&opening, &available, &occupied, &over}) {
    while (!connections->empty()) destroy_front(*connections);
  }
}

Roster::Connections* Roster::list_of(Connection::Standing standing) {
  switch (standing) {
    case Connection::Standing::none: return nullptr;
    case Connection::Standing::opening: return &opening;
    case Connection::Standing::available: return &available;
    case Connection::Standing::occupied: return &occupied;
    case Connection::Standing::over: return &over;
  }
  UNREACHABLE();
}

void Roster::move(Connection& connection, Connection::Standing to) {
  static_cast<ListNode<ConnectionTag>&>(connection).unlink();
  const auto from = static_cast<size_t>(connection.standing_);
  if (connection.standing_ != Connection::Standing::none) --counts_[from];
  if (to == Connection::Standing::none) return;
  ++counts_[static_cast<size_t>(to)];
  list_of(to)->push_front(connection);
}

}  // namespace tulle
