// Trace: which trace an exchange belongs to, and the spans it leaves behind.
//
// Owns nothing but numbers. Where no tracing is configured, and for requests that are not sampled, it
// does next to nothing: what came in goes on unchanged. A span per exchange (begin to the end of the
// exchange) and one per attempt; the attempt's is the parent of what the next hop makes.
#pragma once

#include <memory>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/base/rng.hpp"
#include "sidecar/exchange/summary.hpp"
#include "sidecar/tracing/collector.hpp"
#include "sidecar/tracing/span_buffer.hpp"

namespace tulle::exchange {

class Trace {
 public:
  // `tracing` may be null. A request of no trace begins one: its fields say so from now on, whether or
  // not it is sampled, because the decision holds for all hops.
  void begin(Fields& request, const std::shared_ptr<const tracing::Tracing>& tracing, Rng& rng);
  bool sampled() const { return to_ != nullptr; }

  void attempt_began(Rng& rng);
  // Fields of the request as it goes to the attempt's endpoint. `verified`: by TLS, so it is another
  // sidecar, or reads what every tracer reads.
  void stamp(Fields& onward, bool verified) const {
    if (attempt_ != 0) return tracing::write_trace_context(trace_, attempt_, true, onward);
    if (bare_ && verified) tracing::write_unsampled(onward);
  }

  // What is left behind; only when sampled().
  struct AttemptFacts {
    uint32_t number = 1;
    Duration after{};                   // the beginning of the exchange
    Duration took{};
    int status = 0;                     // 0: no answer
    const Error* failure = nullptr;
    const routing::Cluster* cluster = nullptr;
    const routing::Endpoint* endpoint = nullptr;
    std::string_view peer;              // verified identity
  };
  void attempt_ended(const AttemptFacts& facts, const Head& request, tracing::SpanBuffer& spans);
  void exchange_ended(const Summary& summary, tracing::SpanBuffer& spans) const;

 private:
  tracing::TraceId trace_;
  WallTime began_{};
  tracing::SpanId parent_ = 0;          // of the exchange's span
  tracing::SpanId span_ = 0;
  tracing::SpanId attempt_ = 0;         // 0: no attempt is under way
  bool bare_ = false;                   // not sampled, and the request id says which trace it is
  std::shared_ptr<const tracing::Tracing> to_;  // null: not sampled
};

}  // namespace tulle::exchange
