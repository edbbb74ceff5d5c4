// SignalWatch: POSIX signals as a flag and a wake, on the loop of the main thread.
#pragma once

#include <memory>

namespace tulle {

class Loop;
class Task;

class SignalWatch {
 public:
  virtual ~SignalWatch() = default;
  virtual bool take() = 0;  // true once per arrival since the last call
};
// Wakes `owner` when `signal_number` arrives.
std::unique_ptr<SignalWatch> watch_signal(Loop& loop, int signal_number, Task& owner);

}  // namespace tulle
