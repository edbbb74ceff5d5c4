#include "sidecar/tracing/span_buffer.hpp"

#include <utility>

#include "sidecar/tracing/otlp.hpp"
#include "sidecar/tracing/zipkin.hpp"

namespace tulle::tracing {

SpanBuffer::SpanBuffer(Loop& loop, SpanSink* sink, std::string service)
    : Task(loop), sink_(sink), service_(std::move(service)), timer_(*this) {}

SpanBuffer::~SpanBuffer() { hand_over(); }

SpanWriter& SpanBuffer::writer(const std::shared_ptr<const Tracing>& to) {
  // Listeners of one sidecar mostly have the same collector: that is one batch.
  const bool same = batch_.of == to ||
                    (batch_.of != nullptr && batch_.of->collector == to->collector);
  if (!same) {
    hand_over();
    batch_.of = to;
    if (to->collector.format == Collector::Format::zipkin) {
      writer_ = std::make_unique<ZipkinSpanWriter>(
          to->collector.service.empty() ? service_ : to->collector.service);
    } else {
      writer_ = std::make_unique<OtlpSpanWriter>();
    }
  }
  return *writer_;
}

void SpanBuffer::written() {
  ++batch_.count;
  if (batch_.count >= kSpans || batch_.spans.size() >= kBytes) return hand_over();
  if (!timer_.armed()) timer_.arm(kDelay);
}

void SpanBuffer::run() {
  if (timer_.fired()) hand_over();
}

void SpanBuffer::hand_over() {
  timer_.disarm();
  if (batch_.count == 0) return;
  SpanBatch full{batch_.of, std::move(batch_.spans), std::exchange(batch_.count, 0)};
  batch_.spans.clear();
  batch_.spans.reserve(full.spans.size());  // the next one will be much the same
  if (sink_ != nullptr) sink_->submit(std::move(full));
}

}  // namespace tulle::tracing
