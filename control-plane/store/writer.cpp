#include "control-plane/store/writer.hpp"

#include <utility>

#include "core/base/assert.hpp"
#include "core/net/loop.hpp"
#include "core/net/task.hpp"

namespace tulle::store {

// The bell outlives the writer: mail may still be under way when the store ends.
class Writer::Done final : public Message {
 public:
  Done(std::shared_ptr<Bell> bell, Committed result)
      : bell_(std::move(bell)), result_(std::move(result)) {}
  void deliver() override {
    if (bell_->writer == nullptr) return;
    bell_->writer->result_ = std::move(result_);
    bell_->writer->owner_.wake();
  }

 private:
  std::shared_ptr<Bell> bell_;
  Committed result_;
};

Writer::Writer(Loop& loop, Engine& engine, Task& owner)
    : loop_(loop), engine_(engine), owner_(owner), bell_(std::make_shared<Bell>()) {
  bell_->writer = this;
  if (engine_.waits()) thread_ = std::thread([this] { serve(); });
}

Writer::~Writer() {
  bell_->writer = nullptr;
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  thread_.join();
}

void Writer::start(std::vector<Operation> batch) {
  ASSERT(!busy_);
  busy_ = true;
  if (!thread_.joinable()) {
    result_ = engine_.commit(batch);
    owner_.wake();
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    batch_ = std::move(batch);
  }
  work_.notify_one();
}

std::optional<Committed> Writer::finished() {
  if (!result_) return std::nullopt;
  busy_ = false;
  return std::exchange(result_, std::nullopt);
}

void Writer::serve() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stopping_ || batch_.has_value(); });
    if (!batch_) return;
    const std::vector<Operation> batch = std::move(*batch_);
    batch_.reset();
    lock.unlock();
    Committed result = engine_.commit(batch);
    loop_.post(std::make_unique<Done>(bell_, std::move(result)));
    lock.lock();
  }
}

}  // namespace tulle::store
