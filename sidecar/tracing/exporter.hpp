// Exporter: takes the spans of all workers to their collectors, on the main thread.
//
// Owns the queue between the threads, and per collector its address, its pool and the one request
// that is on its way. Traffic never waits for it: the queue is bounded, what does not fit is dropped
// and counted by reason. A collector that fails is tried again with growing pauses, and the spans
// that wait for it are bounded too; what is too old makes room for what is new.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/rng.hpp"
#include "core/base/stats.hpp"
#include "core/http/client.hpp"
#include "core/net/network.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/tracing/span_buffer.hpp"

namespace tulle::tracing {

class Exporter final : public SpanSink, private Task {
 public:
  struct Identity {
    std::string service;   // where the configuration does not say
    std::string instance;  // tells sidecars of one service apart
  };
  Exporter(Loop& loop, Network& network, StatRegistry& stats, StatShard& shard, Identity identity,
           uint64_t seed);
  ~Exporter() override;

  void submit(SpanBatch&& batch) override;                        // any thread
  void adopt(std::shared_ptr<const config::Snapshot> snapshot);   // where collectors are now
  // The end: what waits is sent once more, for at most a second. True: nothing is left, or it was
  // given up. `owner` is woken when that becomes true. Nothing may be submitted after the first call.
  bool finish(Task& owner);

 private:
  // Between the threads: two seconds of a busy sidecar that samples everything.
  static constexpr size_t kQueuedBytes = 8 * 1024 * 1024;
  // For one collector that does not answer. What is sent at once is one request of it.
  static constexpr size_t kWaitingBytes = 4 * 1024 * 1024;
  static constexpr size_t kRequestBytes = 512 * 1024;
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(30);
  static constexpr int kTries = 5;    // of one request; then its spans are given up
  static constexpr Duration kLastWords = std::chrono::seconds(1);

  struct Destination;                 // a collector and what is under way to it
  class Wakening;                     // mail from a worker

  void run() override;
  Task& task() { return *this; }
  void take_queued();
  Destination& destination_of(const SpanBatch& batch);
  void make_room(Destination& destination);
  static void fill(Destination& destination);
  bool find_pool(Destination& destination);
  void send(Destination& destination);
  void take_answer(Destination& destination);
  void give_up(Destination& destination, StatId reason);
  void pause(Destination& destination);
  bool idle() const;
  void abandon();

  Network& network_;
  StatShard& shard_;
  const Identity identity_;
  Rng rng_;
  StatId exported_, dropped_full_, dropped_unavailable_, dropped_refused_, failures_;
  std::shared_ptr<const config::Snapshot> snapshot_;
  std::list<Destination> destinations_;
  Task* finishing_ = nullptr;         // whom to wake; null: this is not the end
  Timer last_words_;

  std::mutex mutex_;
  std::vector<SpanBatch> queued_;     // guarded by mutex_
  size_t queued_bytes_ = 0;           // guarded by mutex_
  uint64_t overflowed_ = 0;           // guarded by mutex_: spans that found no room
  bool told_ = false;                 // guarded by mutex_: a wakening is on its way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for mail that outlives us
};

}  // namespace tulle::tracing
