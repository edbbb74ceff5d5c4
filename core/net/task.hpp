// Task: the only way anything makes progress. Waking is the only callback in this code base.
//
// wake() is idempotent and cheap (a pointer push). run() is called by the loop with nothing of the
// task on the stack; it looks at data, not at events, so a spurious wake is harmless. A task may
// die at any moment outside its own run(): its destructor leaves the queue.
#pragma once

#include <cstdint>

#include "core/base/list.hpp"

namespace tulle {

class Loop;

struct WorkTag {};
struct FlushTag {};

class Task : private ListNode<WorkTag> {
 public:
  explicit Task(Loop& loop) : loop_(loop) {}
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // Run me in this turn (or, outside a turn, in the next one). Loop thread only.
  void wake() {
    if (!linked()) enqueue();
  }
  // Run me in the next turn, after the sockets have been looked at again. For work that has used
  // its share of this turn. Replaces a wake(); a later wake() does not bring it forward.
  void defer();
  bool awake() const { return linked(); }
  Loop& loop() const { return loop_; }

 protected:
  Loop& loop_;

 private:
  friend class Loop;
  template <class T, class Tag>
  friend class List;
  virtual void run() = 0;  // bounded work
  void enqueue();
  uint32_t runs_this_turn_ = 0;  // spin guard
  uint32_t turn_ = 0;            // the turn (its low bits) that runs_this_turn_ belongs to
};

// Output of a turn. After the work queue is empty the loop lets every dirty flusher of the frame
// stage run (connections turn streams into frames), then repeats work; when nothing is left, the
// write stage runs once (TLS makes records, then sockets write). So each connection writes once per
// turn, whatever produced the bytes.
class Flusher : private ListNode<FlushTag> {
 public:
  enum class Stage { frame, write };
  Flusher(Loop& loop, Stage stage) : flush_loop_(loop), stage_(stage) {}
  virtual ~Flusher() = default;
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  void flush_later() {  // idempotent; loop thread only
    if (!linked()) enqueue();
  }

 private:
  friend class Loop;
  template <class T, class Tag>
  friend class List;
  virtual void flush() = 0;
  void enqueue();
  Loop& flush_loop_;
  const Stage stage_;
};

}  // namespace tulle
