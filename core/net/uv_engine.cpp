// UvEngine: drives a Loop with libuv.
//
// Owns: the uv_loop_t and five handles. Timers and prepare hold a turn before each wait, check
// holds one after it. While a turn has left work over, an idle handle keeps the wait at zero, and
// the next turn is the one after polling, so that sockets get their share in between.
#include <uv.h>

#include <csignal>

#include "core/net/loop.hpp"

namespace tulle {

namespace {

constexpr int64_t kMillisecond = 1'000'000;

class UvEngine : public Engine {
 public:
  UvEngine();
  ~UvEngine() override;

  void run(Loop& loop) override;
  Instant now() override { return monotonic_now(); }
  void wake_at(Instant when) override;
  void poll_without_waiting() override;
  void interrupt() override { uv_async_send(&async_); }
  void stop() override { uv_stop(&uv_); }
  void* native() override { return &uv_; }

 private:
  void on_timer();
  void before_wait();
  void after_wait();
  template <class Handle>
  static UvEngine& of(Handle* handle) {
    return *static_cast<UvEngine*>(handle->data);
  }

  uv_loop_t uv_;
  uv_timer_t timer_;
  uv_prepare_t prepare_;
  uv_check_t check_;
  uv_idle_t idle_;
  uv_async_t async_;
  Loop* loop_ = nullptr;
  Instant deadline_ = kNever;
  bool work_left_ = false;
};

UvEngine::UvEngine() {
  // libuv writes to sockets with write(2); without this a peer that is gone would end the process.
  std::signal(SIGPIPE, SIG_IGN);
  ASSERT(uv_loop_init(&uv_) == 0);
  uv_timer_init(&uv_, &timer_);
  uv_prepare_init(&uv_, &prepare_);
  uv_check_init(&uv_, &check_);
  uv_idle_init(&uv_, &idle_);
  // The callback has nothing to do: the turn after the wait looks into the mailbox.
  ASSERT(uv_async_init(&uv_, &async_, [](uv_async_t*) {}) == 0);
  timer_.data = prepare_.data = check_.data = idle_.data = async_.data = this;
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) { of(handle).before_wait(); });
  uv_check_start(&check_, [](uv_check_t* handle) { of(handle).after_wait(); });
}

UvEngine::~UvEngine() {
  for (void* handle : {static_cast<void*>(&timer_), static_cast<void*>(&prepare_),
                       static_cast<void*>(&check_), static_cast<void*>(&idle_),
                       static_cast<void*>(&async_)}) {
    uv_close(static_cast<uv_handle_t*>(handle), nullptr);
  }
  uv_run(&uv_, UV_RUN_DEFAULT);
  ASSERT(uv_loop_close(&uv_) == 0);  // fails when somebody left a handle open
}

void UvEngine::run(Loop& loop) {
  loop_ = &loop;
  uv_run(&uv_, UV_RUN_DEFAULT);
  loop_ = nullptr;
}

// libuv counts whole milliseconds on the same clock, so its timer is never early by rounding up.
void UvEngine::wake_at(Instant when) {
  deadline_ = when;
  if (when == kNever) {
    uv_timer_stop(&timer_);
    return;
  }
  const int64_t due = when.ns / kMillisecond + (when.ns % kMillisecond != 0 ? 1 : 0);
  const int64_t wait = due - static_cast<int64_t>(uv_now(&uv_));
  uv_timer_start(&timer_, [](uv_timer_t* handle) { of(handle).on_timer(); },
                 wait > 0 ? static_cast<uint64_t>(wait) : 0, 0);
}

// The turn before the next wait does the rest.
void UvEngine::on_timer() {
  if (loop_ == nullptr) return;
  loop_->refresh_now();
  if (loop_->now() < deadline_) wake_at(deadline_);
}

void UvEngine::poll_without_waiting() {
  if (work_left_) return;
  work_left_ = true;
  uv_idle_start(&idle_, [](uv_idle_t*) {});
}

void UvEngine::before_wait() {
  if (loop_ == nullptr) return;
  if (!work_left_) loop_->turn();
  loop_->mark_now_old();
}

void UvEngine::after_wait() {
  if (loop_ == nullptr) return;
  loop_->freshen_now();
  const bool had_work_left = work_left_;
  work_left_ = false;
  loop_->turn();
  if (had_work_left && !work_left_) uv_idle_stop(&idle_);
}

}  // namespace

std::unique_ptr<Engine> make_uv_engine() { return std::make_unique<UvEngine>(); }

}  // namespace tulle
