#include "core/net/accept_group.hpp"

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tulle {

namespace {

struct AddressHash {
  size_t operator()(const Address& address) const { return address.hash(); }
};

struct Groups {
  std::mutex mutex;
  std::unordered_map<Address, std::vector<AcceptMember*>, AddressHash> members;
};

Groups& groups() {
  static Groups& instance = *new Groups;  // outlives every thread
  return instance;
}

// An eighth more is as even as it needs to be; a hand-over costs a wake-up of the other thread.
bool clearly_fewer(uint32_t theirs, uint32_t ours) { return ours > theirs + theirs / 8; }

}  // namespace

// The letter. Its member may have left when it arrives; then the socket closes with the letter.
class HandedSocket final : public Message {
 public:
  HandedSocket(AcceptMember& to, AcceptedSocket socket)
      : to_(&to), at_(to.at_), socket_(std::move(socket)) {}
  void deliver() override {
    if (still_there()) to_->take_over(std::move(socket_));
  }

 private:
  // Members leave on their loop's thread, which is this one: the answer stays true.
  bool still_there() const {
    const std::lock_guard lock(groups().mutex);
    const auto found = groups().members.find(at_);
    if (found == groups().members.end()) return false;
    return std::find(found->second.begin(), found->second.end(), to_) != found->second.end();
  }
  AcceptMember* to_;
  const Address at_;
  AcceptedSocket socket_;
};

AcceptedSocket::AcceptedSocket(int socket, const Address& peer, Loop& loop)
    : socket_(socket), peer_(peer), loop_(&loop) {
  loop_->accepted_opened();
}

AcceptedSocket::AcceptedSocket(AcceptedSocket&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), peer_(other.peer_), loop_(other.loop_) {}

AcceptedSocket::~AcceptedSocket() {
  if (socket_ < 0) return;
  ::close(socket_);
  loop_->accepted_closed();
}

void AcceptedSocket::move_to(Loop& loop) {
  loop_->accepted_closed();
  loop_ = &loop;
  loop_->accepted_opened();
}

int AcceptedSocket::release() { return std::exchange(socket_, -1); }

AcceptMember::AcceptMember(Loop& loop, const Address& at) : member_loop_(loop), at_(at) {
  const std::lock_guard lock(groups().mutex);
  groups().members[at_].push_back(this);
}

AcceptMember::~AcceptMember() {
  const std::lock_guard lock(groups().mutex);
  const auto found = groups().members.find(at_);
  std::erase(found->second, this);
  if (found->second.empty()) groups().members.erase(found);
}

// Posting under the lock: the member, and so its loop, cannot go meanwhile. The count moves at
// once, so that the next socket sees it.
bool AcceptMember::hand_over(AcceptedSocket& socket) {
  const std::lock_guard lock(groups().mutex);
  const std::vector<AcceptMember*>& members = groups().members.find(at_)->second;
  AcceptMember* fewest = this;
  uint32_t least = member_loop_.accepted() - 1;  // without this socket
  const uint32_t ours = least;
  for (AcceptMember* member : members) {
    const uint32_t theirs = member->member_loop_.accepted();
    if (member == this || theirs >= least || !member->taking_.load(std::memory_order_relaxed)) {
      continue;
    }
    fewest = member;
    least = theirs;
  }
  if (fewest == this || !clearly_fewer(least, ours)) return false;
  socket.move_to(fewest->member_loop_);
  fewest->member_loop_.post(std::make_unique<HandedSocket>(*fewest, std::move(socket)));
  return true;
}

}  // namespace tulle
