// Writer: runs an engine's commits, on a thread of its own when the engine waits for a disk.
//
// One batch at a time. The owner is woken when finished() has something; loop thread only.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "control-plane/store/engine.hpp"

namespace tulle::store {

using Committed = Result<std::vector<std::optional<Record>>>;

class Writer {
 public:
  Writer(Loop& loop, Engine& engine, Task& owner);
  ~Writer();  // waits for the batch that runs

  bool busy() const { return busy_; }
  void start(std::vector<Operation> batch);     // !busy()
  std::optional<Committed> finished();          // once per batch; busy() until it was taken

 private:
  class Done;
  struct Bell {
    Writer* writer = nullptr;  // null: gone; loop thread only
  };
  void serve();

  Loop& loop_;
  Engine& engine_;
  Task& owner_;
  bool busy_ = false;
  std::optional<Committed> result_;     // loop thread
  std::shared_ptr<Bell> bell_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::optional<std::vector<Operation>> batch_;  // guarded by mutex_
  bool stopping_ = false;                        // guarded by mutex_
  std::thread thread_;
};

}  // namespace tulle::store
