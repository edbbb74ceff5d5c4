// Loop: one thread's turns, timers and mailbox, over an engine (libuv, or the simulator).
//
// Owns: the run queue, the two flush queues, the timer wheel, the mailbox and the engine.
// A turn: adopt mail, then rounds of {work queue, frame stage} until quiet or the turn's budget is
// used, then the write stage. The engine calls turn() after timers and after polling, and also
// every 64 read callbacks (or 256 KiB, or 128 requests), so that the first answer does not wait for
// the last of 1,000 sockets, and what 1,000 sockets ask for at once is not all held at once.
// When the budget is used the engine polls without waiting and the next turn goes on.
// Everything is loop-thread only, except post() and stop_from_anywhere().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/list.hpp"
#include "core/net/task.hpp"

namespace tulle {

class TimerWheel;

// Mail from another thread. deliver() runs on the loop's thread at the top of a turn.
class Message {
 public:
  virtual ~Message() = default;
  virtual void deliver() = 0;
};

// What drives a loop. Two exist: UvEngine (core/net/uv_engine.cpp) and the simulator's.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual void run(Loop& loop) = 0;             // returns after Loop::stop()
  virtual Instant now() = 0;                    // reads the clock
  virtual void wake_at(Instant when) = 0;       // kNever: no timer. Only the latest call counts
  virtual void poll_without_waiting() = 0;      // there is work left: do not block next time
  virtual void interrupt() = 0;                 // any thread: end the current wait
  virtual void stop() = 0;
  virtual void* native() { return nullptr; }    // uv_loop_t* of the libuv engine; core/net only
};

std::unique_ptr<Engine> make_uv_engine();

class Loop {
 public:
  explicit Loop(std::unique_ptr<Engine> engine);
  ~Loop();  // runs the engine until all cells are closed; asserts that no task is queued
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();                    // until stop()
  void stop();                   // loop thread
  Instant now() const { return now_; }  // read once per turn (and when a wait ends)
  TimerWheel& timers() { return *timers_; }
  Engine& engine() { return *engine_; }

  void post(std::unique_ptr<Message> message);  // any thread; messages after the end are dropped
  void stop_from_anywhere();                    // any thread: stop() by mail

  // For the engine and for core/net.
  void turn();                   // one turn; never nested
  void refresh_now();            // the engine calls this when a wait has ended
  // Before a wait the engine marks the time as old; the first callback after it reads the clock.
  void mark_now_old() {
    now_is_old_ = true;
    ++poll_number_;
  }
  void freshen_now() {
    if (now_is_old_) refresh_now();
  }
  // Every 64th call holds a turn (not while one is running), and so does every 256 KiB: what was
  // read is then written while the processor's cache still has it. Anything may be destroyed in a
  // turn: this is the last thing that a read callback does.
  void count_read(size_t bytes = 0) {
    bytes_read_ += bytes;
    const bool enough = ++reads_ >= reads_per_turn_ || bytes_read_ >= kBytesPerTurn;
    if (enough && !in_turn_) turn();
  }
  // Input began `requests`: what each makes us hold counts like 2 KiB that were read, so that a burst
  // of short ones is answered, or refused, in portions. The next count_read() looks at it.
  void count_requests(size_t requests) { bytes_read_ += requests * kBytesPerRequest; }
  void set_reads_per_turn(uint32_t reads) { reads_per_turn_ = reads; }
  bool idle() const;             // nothing queued: for the engine and for quiescence checks
  bool in_turn() const { return in_turn_; }
  uint32_t turn_number() const { return turn_number_; }  // differs from one turn to the next
  uint32_t poll_number() const { return poll_number_; }  // and from one wait to the next

  // Expensive steps (TLS handshakes) that are limited per turn; see HandshakeGate in tls_stream.
  bool take_handshake_step();    // false: the turn's share is used; Task::defer() and retry then
  static constexpr uint32_t kHandshakeStepsPerTurn = 2;

  // A task that is run 1,000 times in one turn is a bug. Where tests run (sanitizer builds) it
  // aborts; elsewhere it is logged once and the task waits for the next turn.
  enum class Spin { abort, defer };
  void set_spin(Spin spin) { spin_ = spin; }

  struct Counters {
    uint64_t turns = 0;
    uint64_t runs = 0;
    uint64_t wakes = 0;
    uint64_t flushes = 0;
    uint64_t full_turns = 0;     // turns that used their budget
  };
  const Counters& counters() const { return counters_; }

  // Cells: blocks that libuv may touch after their owner is gone. Counted; zero at the end.
  void cell_opened() { ++cells_; }
  void cell_closed() {
    if (--cells_ == 0 && closing_) engine_->stop();
  }
  size_t cells() const { return cells_; }

  // Accepted connections of this loop that live. Counted by core/net; read by any thread.
  uint32_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  void accepted_opened() { accepted_.fetch_add(1, std::memory_order_relaxed); }
  void accepted_closed() { accepted_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  friend class Task;
  friend class Flusher;
  void deliver_mail();
  void run_rounds();
  uint32_t run_work(uint32_t budget);
  void run_task(Task& task);
  void spinning(Task& task);
  void flush_all(List<Flusher, FlushTag>& dirty);
  void update_timer();
  void trim_when_idle();
  void check_thread() const {
    ASSERT(thread_ == std::thread::id() || thread_ == std::this_thread::get_id());
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<TimerWheel> timers_;
  List<Task, WorkTag> work_;
  List<Task, WorkTag> deferred_;  // for the next turn
  List<Flusher, FlushTag> frame_;
  List<Flusher, FlushTag> write_;
  Instant now_;
  Instant engine_deadline_ = kNever;  // what the engine's timer is set to
  Instant trim_at_ = kNever;          // when to look whether pooled memory can go
  uint64_t runs_at_trim_ = 0;
  std::thread::id thread_;            // set by run()
  bool in_turn_ = false;
  bool now_is_old_ = false;
  bool closing_ = false;
  bool spin_logged_ = false;
  Spin spin_;
  uint32_t turn_number_ = 0;
  uint32_t poll_number_ = 0;
  uint32_t reads_ = 0;
  static constexpr size_t kBytesPerTurn = 256 * 1024;
  static constexpr size_t kBytesPerRequest = 2 * 1024;  // a stream with its handler
  size_t bytes_read_ = 0;
  uint32_t reads_per_turn_ = 64;
  uint32_t handshake_steps_ = 0;
  size_t cells_ = 0;
  std::atomic<uint32_t> accepted_{0};
  Counters counters_;

  std::mutex mail_mutex_;
  std::vector<std::unique_ptr<Message>> mail_;  // guarded by mail_mutex_
  std::vector<std::unique_ptr<Message>> opened_;  // keeps its capacity between turns
  std::atomic<bool> has_mail_{false};             // spares the lock in turns without mail
};

}  // namespace tulle
