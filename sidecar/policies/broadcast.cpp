#include "sidecar/policies/broadcast.hpp"

#include <utility>

#include "core/net/loop.hpp"

namespace tulle::policies {

class Broadcast::Letter final : public Message {
 public:
  Letter(Broadcast& broadcast, uint64_t to, std::string cluster, const PolicyType& type,
         std::shared_ptr<const Note> note)
      : broadcast_(broadcast),
        to_(to),
        cluster_(std::move(cluster)),
        type_(type),
        note_(std::move(note)) {}

  // On the receiver's thread, which is also where it leaves: it cannot go meanwhile.
  void deliver() override {
    Receiver* receiver = broadcast_.find(to_);
    if (receiver != nullptr) receiver->take(cluster_, type_, *note_);
  }

 private:
  Broadcast& broadcast_;
  const uint64_t to_;
  const std::string cluster_;
  const PolicyType& type_;
  const std::shared_ptr<const Note> note_;
};

void Broadcast::join(Receiver& receiver, Loop& loop) {
  std::lock_guard lock(mutex_);
  members_.push_back({&receiver, &loop, ++joined_});
}

void Broadcast::leave(Receiver& receiver) {
  std::lock_guard lock(mutex_);
  std::erase_if(members_, [&](const Member& member) { return member.receiver == &receiver; });
}

Broadcast::Receiver* Broadcast::find(uint64_t number) {
  std::lock_guard lock(mutex_);
  for (const Member& member : members_) {
    if (member.number == number) return member.receiver;
  }
  return nullptr;
}

void Broadcast::post(const Receiver& from, const std::string& cluster, const PolicyType& type,
                     std::shared_ptr<const Note> note) {
  std::lock_guard lock(mutex_);
  for (const Member& member : members_) {
    if (member.receiver == &from) continue;
    member.loop->post(std::make_unique<Letter>(*this, member.number, cluster, type, note));
  }
}

}  // namespace tulle::policies
