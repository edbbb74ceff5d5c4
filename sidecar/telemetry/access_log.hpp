// AccessLog: one JSON line per exchange, written by a thread of its own.
//
// Workers render lines into a buffer of their own (AccessLogBuffer) and hand it over once per turn.
// The queue to the writer is bounded: when the disk is slower than the traffic, lines are dropped
// and counted, requests never wait. With the filter `failures` a worker writes at most so many lines
// a second, so that a flood of bad requests fills no disk; one line then says how many were left out.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/base/result.hpp"
#include "core/net/task.hpp"
#include "sidecar/config/bootstrap.hpp"
#include "sidecar/exchange/summary.hpp"

namespace tulle::telemetry {

class AccessLog {
 public:
  // Opens the file for appending; an empty path is standard output.
  static Result<std::unique_ptr<AccessLog>> open(const config::AccessLog& options);
  ~AccessLog();  // writes what is queued

  config::AccessLogFilter filter() const { return filter_.load(std::memory_order_relaxed); }
  void set_filter(config::AccessLogFilter filter) { filter_ = filter; }
  void submit(std::string&& lines);                // any thread; may drop
  uint64_t dropped_bytes() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  AccessLog(int fd, config::AccessLogFilter filter);
  void write_queued();

  static constexpr size_t kMaxQueued = 4 * 1024 * 1024;  // seconds of lines at full load

  const int fd_;
  std::atomic<config::AccessLogFilter> filter_;
  std::atomic<uint64_t> dropped_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string queued_;    // guarded by mutex_
  bool stopping_ = false; // guarded by mutex_
  std::thread writer_;
};

// One worker's side. Loop thread only.
class AccessLogBuffer final : private Flusher {
 public:
  AccessLogBuffer(Loop& loop, AccessLog* log);  // null log: nothing is written
  void record(const exchange::Summary& summary);
  // Costs a sender nothing to provoke, so under a flood only some get a line; the counter has all.
  void record(const exchange::RefusalSummary& summary, Instant now);

  static constexpr int kFailuresPerSecond = 1000;

 private:
  void flush() override;
  bool may_write_failure();
  void begin_second(Instant now);
  bool may_log_refusal(Instant now);

  static constexpr uint32_t kRefusalBurst = 100;
  static constexpr Duration kRefusalEvery = 100ms;

  AccessLog* log_;
  std::string lines_;
  // Lines about refusals that may still be written, one more every kRefusalEvery.
  uint32_t refusal_lines_ = kRefusalBurst;
  Instant refusals_counted_{};
  uint64_t refusals_left_out_ = 0;  // since the last line
  Loop& log_loop_;
  Instant second_;       // when the present second began
  int written_ = 0;      // failures, in it
  uint64_t left_out_ = 0;
};

// One line with its newline, appended to `out`.
void render_access_line(const exchange::Summary& summary, WallTime now, std::string& out);
// `left_out`: so many refusals before it got no line.
void render_refusal_line(const exchange::RefusalSummary& summary, uint64_t left_out, WallTime now,
                         std::string& out);

}  // namespace tulle::telemetry
