// Broadcast: notes of a policy in one worker to the same policy of the same cluster in the others.
//
// One per process. Workers join and leave on their own threads; a note travels as a message of the
// receiving worker's loop, and one that comes after its worker has left is dropped.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sidecar/policies/policy.hpp"

namespace tulle::policies {

class Broadcast {
 public:
  class Receiver {
   public:
    virtual void take(const std::string& cluster, const PolicyType& type, const Note& note) = 0;

   protected:
    ~Receiver() = default;
  };

  void join(Receiver& receiver, Loop& loop);
  void leave(Receiver& receiver);
  void post(const Receiver& from, const std::string& cluster, const PolicyType& type,
            std::shared_ptr<const Note> note);

 private:
  class Letter;
  struct Member {
    Receiver* receiver;
    Loop* loop;
    uint64_t number;   // never used again, unlike an address
  };
  Receiver* find(uint64_t number);

  std::mutex mutex_;
  std::vector<Member> members_;  // guarded by mutex_
  uint64_t joined_ = 0;          // guarded by mutex_
};

}  // namespace tulle::policies
