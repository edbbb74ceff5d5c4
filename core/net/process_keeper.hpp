// ProcessKeeper: ends the process groups of this program when it can no longer do so itself.
//
// Owns a tiny process that waits at the end of a pipe. It is told the groups that run; when the
// pipe closes, because the program has ended in whatever way (kill -9 included), it kills those
// that are left and ends. Make it before any thread and any loop: it is a bare fork().
#pragma once

#include <memory>

#include "core/base/result.hpp"

namespace tulle {

class ProcessKeeper {
 public:
  static constexpr int kMostGroups = 4096;  // a program that starts more is not kept beyond them

  static Result<std::unique_ptr<ProcessKeeper>> start();
  ~ProcessKeeper();  // groups still known are killed
  ProcessKeeper(const ProcessKeeper&) = delete;
  ProcessKeeper& operator=(const ProcessKeeper&) = delete;

  void keep(int group);
  void forget(int group);  // it has ended
  int id() const { return id_; }

 private:
  ProcessKeeper(int id, int pipe) : id_(id), pipe_(pipe) {}
  void tell(int number);

  const int id_;
  const int pipe_;
};

}  // namespace tulle
