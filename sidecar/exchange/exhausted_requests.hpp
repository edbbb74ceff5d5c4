// ExhaustedRequests: which requests of this sidecar have used up their retries a moment ago.
//
// When a call that a workload made has exhausted its retries, the answer to the request that the
// workload was serving says so (`tulle-retried`), and the hop above does not try again. The two are
// known to belong together by trace id and request id; without both the budgets alone hold.
// One per process, shared by its workers; bounded: the oldest are forgotten.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "core/base/clock.hpp"
#include "core/http/head.hpp"

namespace tulle::exchange {

class ExhaustedRequests {
 public:
  void note(const Head& request, Instant now);
  // Only where something went wrong anyway is this asked.
  bool knows(const Head& request, Instant now);

 private:
  // Answers to workloads that call on are on their way within seconds.
  static constexpr Duration kRemembered = 30s;
  static constexpr size_t kKept = 1024;  // failures of a second or so under load
  struct Mark {
    uint64_t key = 0;  // 0: free
    Instant at{};
  };

  std::mutex mutex_;
  std::array<Mark, kKept> marks_{};   // a ring; guarded by mutex_
  size_t next_ = 0;                   // guarded by mutex_
  std::atomic<bool> any_{false};      // spares the lock where retries are never exhausted
};

}  // namespace tulle::exchange
