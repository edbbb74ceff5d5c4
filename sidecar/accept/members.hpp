// Members<T>: the objects of one owner that end by themselves. Owns them.
//
// A member cannot destroy itself while it runs: it says end(), and the owner reaps.
#pragma once

#include <cstddef>
#include <memory>

#include "core/base/list.hpp"

namespace tulle::accept {

template <class T, class Tag>
class Members {
 public:
  Members() = default;
  ~Members() { clear(); }
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;

  T& add(std::unique_ptr<T> member) {
    living_.push_back(*member);
    ++count_;
    return *member.release();
  }
  void end(T& member) {
    static_cast<ListNode<Tag>&>(member).unlink();
    ended_.push_back(member);
  }
  void reap() {
    while (T* member = ended_.pop_front()) {
      --count_;
      delete member;
    }
  }
  void clear() {
    while (T* member = living_.pop_front()) end(*member);
    reap();
  }
  size_t count() const { return count_; }  // ended ones included, until they are reaped
  List<T, Tag>& living() { return living_; }
  List<T, Tag>& ended() { return ended_; }  // for members that move there by themselves

 private:
  List<T, Tag> living_;
  List<T, Tag> ended_;
  size_t count_ = 0;
};

}  // namespace tulle::accept
