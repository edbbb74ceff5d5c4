// WorkerThread: a Worker on a thread and a libuv loop of its own, commanded by messages.
//
// Created and joined by the main thread. The worker itself is made and destroyed on its thread.
// Answers come back as messages on the main loop, which wake the owner.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "sidecar/worker.hpp"

namespace tulle {

class WorkerThread {
 public:
  // `owner` lives on `main` and is woken after every answer.
  WorkerThread(const WorkerEnvironment& environment, uint64_t seed, Loop& main, Task& owner);
  ~WorkerThread();  // stops and joins

  void adopt(std::shared_ptr<const config::Snapshot> snapshot, BoundAddresses bound);
  void drain();
  void stop();

  // Answers so far; main thread only.
  uint64_t adoptions() const { return adoptions_; }
  std::optional<std::string> take_problem() { return std::exchange(problem_, std::nullopt); }
  bool drained() const { return drained_; }
  size_t exchanges() const { return exchanges_.load(std::memory_order_relaxed); }

 private:
  class Body;
  class Command;
  class Answer;
  void post(std::unique_ptr<Message> message);

  Loop& main_;
  Task& owner_;
  std::unique_ptr<Body> body_;   // made and destroyed on the thread; posting needs only its loop
  std::thread thread_;
  uint64_t adoptions_ = 0;
  std::optional<std::string> problem_;
  bool drained_ = false;
  std::atomic<size_t> exchanges_{0};
};

}  // namespace tulle
