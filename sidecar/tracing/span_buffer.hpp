// SpanBuffer: a worker's spans, already in the collector's format, until there are enough of them.
//
// Loop thread only. Handing over takes a lock and may wake another thread, so it is done for a batch
// at a time: when it is full, or half a second after its first span.
#pragma once

#include <memory>
#include <string>

#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "sidecar/tracing/collector.hpp"
#include "sidecar/tracing/span.hpp"

namespace tulle::tracing {

// Spans of one collector, as they will be sent.
struct SpanBatch {
  std::shared_ptr<const Tracing> of;
  std::string spans;
  size_t count = 0;
};

// Takes batches from any thread. Never waits: what there is no room for is dropped and counted.
class SpanSink {
 public:
  virtual void submit(SpanBatch&& batch) = 0;

 protected:
  ~SpanSink() = default;
};

class SpanBuffer final : private Task {
 public:
  // `service` is whose spans these are where the configuration does not say. Null sink: nothing is kept.
  SpanBuffer(Loop& loop, SpanSink* sink, std::string service);
  ~SpanBuffer() override;

  // A writer for one span to that collector: begin() ... end(), then written().
  SpanWriter& writer(const std::shared_ptr<const Tracing>& to);
  std::string& out() { return batch_.spans; }
  void written();
  void hand_over();   // now, whatever there is

 private:
  static constexpr size_t kSpans = 256;
  static constexpr size_t kBytes = 128 * 1024;
  static constexpr Duration kDelay = std::chrono::milliseconds(500);

  void run() override;

  SpanSink* const sink_;
  const std::string service_;
  SpanBatch batch_;
  std::unique_ptr<SpanWriter> writer_;   // for batch_.of
  Timer timer_;
};

}  // namespace tulle::tracing
