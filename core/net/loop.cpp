#include "core/net/loop.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <string>
#include <typeinfo>
#include <utility>

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/base/memory_budget.hpp"
#include "core/net/timer.hpp"

namespace tulle {

namespace {

// A turn's budget. What is left waits until the sockets have been looked at again, so that a busy
// exchange cannot starve accepting and reading.
constexpr int kRoundsPerTurn = 4;
constexpr uint32_t kRunsPerTurn = 2000;
constexpr uint32_t kSpinLimit = 1000;

// TLS makes records in the first pass of the write stage, the socket below it writes in the next.
constexpr int kWritePasses = 4;

constexpr Duration kTrimAfter = 5s;
constexpr size_t kTrimFrom = 256 * 1024;
constexpr size_t kTrimTo = 64 * 1024;
constexpr uint64_t kTrimQuiet = 100;  // fewer runs than this in kTrimAfter: the loop is idle

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr Loop::Spin kSpinDefault = Loop::Spin::abort;
#else
constexpr Loop::Spin kSpinDefault = Loop::Spin::defer;
#endif

std::string type_name(const Task& task) {
  const char* mangled = typeid(task).name();
  char* readable = abi::__cxa_demangle(mangled, nullptr, nullptr, nullptr);
  std::string name = readable != nullptr ? readable : mangled;
  std::free(readable);
  return name;
}

class StopMessage : public Message {
 public:
  explicit StopMessage(Loop& loop) : loop_(loop) {}
  void deliver() override { loop_.stop(); }

 private:
  Loop& loop_;
};

// Destroying a loop waits for its cells: a stream that outlives its loop would make that endless.
class ClosingWatch final : public Task {
 public:
  explicit ClosingWatch(Loop& loop) : Task(loop) {
    loop.refresh_now();
    timer_.arm(kSayEvery);
  }

 private:
  static constexpr Duration kSayEvery = 10s;
  void run() override {
    if (!timer_.fired()) return;
    timer_.arm(kSayEvery);
    log::error("a loop ends slowly: connections or watches of it still live cells=" +
               std::to_string(loop_.cells()));
  }
  Timer timer_{*this};
};

}  // namespace

Loop::Loop(std::unique_ptr<Engine> engine)
    : engine_(std::move(engine)),
      timers_(std::make_unique<TimerWheel>(engine_->now())),
      now_(engine_->now()),
      spin_(kSpinDefault) {
  MemoryMeter::of_thread().trimmed();  // what the thread did before is not this loop's to tidy up
}

Loop::~Loop() {
  closing_ = true;
  if (cells_ > 0) {
    ClosingWatch watch(*this);
    while (cells_ > 0) engine_->run(*this);
  }
  ASSERT(work_.empty() && deferred_.empty() && frame_.empty() && write_.empty());
}

void Loop::run() {
  thread_ = std::this_thread::get_id();
  refresh_now();
  engine_->run(*this);
  thread_ = std::thread::id();  // whoever joined this thread may destroy the loop
}

void Loop::stop() { engine_->stop(); }

void Loop::post(std::unique_ptr<Message> message) {
  bool first;
  {
    const std::lock_guard lock(mail_mutex_);
    first = mail_.empty();
    mail_.push_back(std::move(message));
    has_mail_.store(true, std::memory_order_release);
  }
  if (first) engine_->interrupt();
}

void Loop::stop_from_anywhere() { post(std::make_unique<StopMessage>(*this)); }

void Loop::refresh_now() {
  now_ = engine_->now();
  now_is_old_ = false;
}

bool Loop::idle() const {
  return work_.empty() && deferred_.empty() && frame_.empty() && write_.empty();
}

bool Loop::take_handshake_step() {
  if (handshake_steps_ >= kHandshakeStepsPerTurn) return false;
  ++handshake_steps_;
  return true;
}

void Loop::turn() {
  ASSERT(!in_turn_);
  in_turn_ = true;
  ++turn_number_;
  reads_ = 0;
  bytes_read_ = 0;
  handshake_steps_ = 0;
  const bool mail = has_mail_.load(std::memory_order_acquire);
  // So it is before nearly every wait: the turn after the last one has left nothing to do.
  if (idle() && !mail && now_ < std::min(timers_->next_deadline(), trim_at_)) {
    in_turn_ = false;
    return update_timer();
  }
  const uint64_t before = counters_.runs + counters_.flushes;
  work_.splice_back(deferred_);
  if (mail) deliver_mail();
  timers_->advance(now_);
  const auto flush_writes = [this] {
    for (int pass = 0; pass < kWritePasses && !write_.empty(); ++pass) flush_all(write_);
  };
  run_rounds();
  const bool all_done = work_.empty() && frame_.empty();
  flush_writes();
  // Whom the write stage has woken may have to say that they want no more. The next poll would read it.
  if (all_done && !(work_.empty() && frame_.empty())) {
    run_rounds();
    flush_writes();
  }
  in_turn_ = false;
  const bool worked = counters_.runs + counters_.flushes != before;
  counters_.turns += worked ? 1 : 0;
  if (worked || now_ >= trim_at_) trim_when_idle();
  if (!idle()) engine_->poll_without_waiting();
  update_timer();
}

void Loop::deliver_mail() {
  {
    const std::lock_guard lock(mail_mutex_);
    opened_.swap(mail_);
    has_mail_.store(false, std::memory_order_relaxed);
  }
  // Once the loop is being destroyed, those whom the mail was for are gone.
  if (!closing_) {
    for (auto& message : opened_) message->deliver();
  }
  opened_.clear();
}

// Work and frames in alternation until there is neither, because frames make room and room wakes
// tasks. The last frame stage always runs: what was produced within the budget goes out.
void Loop::run_rounds() {
  uint32_t budget = kRunsPerTurn;
  for (int round = 0; round < kRoundsPerTurn && budget > 0; ++round) {
    budget = run_work(budget);
    flush_all(frame_);
    if (work_.empty() && frame_.empty()) return;
  }
  ++counters_.full_turns;
}

// Returns what is left of the budget.
uint32_t Loop::run_work(uint32_t budget) {
  for (; budget > 0; --budget) {
    Task* task = work_.pop_front();
    if (task == nullptr) return budget;
    run_task(*task);
  }
  return 0;
}

void Loop::run_task(Task& task) {
  if (task.turn_ != turn_number_) {
    task.turn_ = turn_number_;
    task.runs_this_turn_ = 0;
  }
  if (++task.runs_this_turn_ >= kSpinLimit) return spinning(task);
  ++counters_.runs;
  task.run();
}

void Loop::spinning(Task& task) {
  if (spin_ == Spin::abort || !spin_logged_) {
    spin_logged_ = true;
    log::error("a task spins, please report this as a bug task=" + type_name(task) +
               " runs=" + std::to_string(kSpinLimit));
  }
  ASSERT(spin_ != Spin::abort);
  task.defer();
}

// One pass: what a flush makes dirty again waits for the next pass. Flushers that die meanwhile
// leave the local list by themselves.
void Loop::flush_all(List<Flusher, FlushTag>& dirty) {
  if (dirty.empty()) return;
  List<Flusher, FlushTag> pass;
  pass.splice_back(dirty);
  while (Flusher* flusher = pass.pop_front()) {
    ++counters_.flushes;
    flusher->flush();
  }
}

// The engine's timer is only ever moved to an earlier time. One that comes too early costs one
// wake-up; moving it with every request would cost more.
void Loop::update_timer() {
  const Instant next = std::min(timers_->next_deadline(), trim_at_);
  if (engine_deadline_ <= now_) engine_deadline_ = kNever;  // it has fired, or is about to
  if (next >= engine_deadline_) return;
  engine_deadline_ = next;
  engine_->wake_at(next);
}

// Memory that a burst has left in pools goes back when nothing much happens any more.
void Loop::trim_when_idle() {
  if (trim_at_ != kNever && now_ < trim_at_) return;
  const bool quiet = counters_.runs - runs_at_trim_ < kTrimQuiet;
  if (trim_at_ != kNever && quiet) {
    trim_chunk_pool(kTrimTo);
    trim_thread_memory();
  }
  const bool again = chunk_pool_stats().bytes_pooled > kTrimFrom ||
                     MemoryMeter::of_thread().worth_trimming();
  trim_at_ = again ? now_ + kTrimAfter : kNever;
  runs_at_trim_ = counters_.runs;
}

}  // namespace tulle
