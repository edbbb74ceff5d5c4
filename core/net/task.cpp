#include "core/net/task.hpp"

#include "core/net/loop.hpp"

namespace tulle {

void Task::enqueue() {
  loop_.check_thread();
  ++loop_.counters_.wakes;
  loop_.work_.push_back(*this);
}

void Task::defer() {
  loop_.check_thread();
  unlink();
  loop_.deferred_.push_back(*this);
  // Inside a turn its end sees to that; outside, nothing else may be left to end the wait.
  if (!loop_.in_turn_) loop_.engine_->poll_without_waiting();
}

void Flusher::enqueue() {
  flush_loop_.check_thread();
  (stage_ == Stage::frame ? flush_loop_.frame_ : flush_loop_.write_).push_back(*this);
}

}  // namespace tulle
