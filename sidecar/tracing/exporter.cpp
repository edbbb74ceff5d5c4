#include "sidecar/tracing/exporter.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/log.hpp"
#include "core/http/pool.hpp"
#include "core/net/loop.hpp"
#include "sidecar/tracing/otlp.hpp"
#include "sidecar/tracing/zipkin.hpp"

namespace tulle::tracing {
namespace {

constexpr std::string_view kDropped = "tulle_trace_spans_dropped_total";

// OTLP: these may be tried again, the rest would be refused again.
bool may_come_right(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

}  // namespace

struct Exporter::Destination {
  Destination(Task& owner, Collector to) : collector(std::move(to)), timer(owner) {}

  const Collector collector;
  Address address;                      // that `pool` is for
  std::shared_ptr<const TlsContext> tls;
  std::unique_ptr<Pool> pool;
  std::deque<SpanBatch> waiting;
  size_t waiting_bytes = 0;
  std::vector<SpanBatch> sending;       // what `call` carries; kept until it is answered
  size_t sending_count = 0;             // spans in it
  std::unique_ptr<Call> call;
  int tries = 0;
  Duration next_pause = kFirstPause;
  Timer timer;
  bool complained = false;              // one line per outage
};

class Exporter::Wakening final : public Message {
 public:
  Wakening(Exporter& of, std::weak_ptr<bool> alive) : of_(of), alive_(std::move(alive)) {}
  void deliver() override {
    if (!alive_.expired()) of_.wake();
  }

 private:
  Exporter& of_;
  const std::weak_ptr<bool> alive_;
};

Exporter::Exporter(Loop& loop, Network& network, StatRegistry& stats, StatShard& shard,
                   Identity identity, uint64_t seed)
    : Task(loop),
      network_(network),
      shard_(shard),
      identity_(std::move(identity)),
      rng_(seed),
      exported_(stats.counter("tulle_trace_spans_exported_total", "Spans that a collector has taken", {})),
      dropped_full_(stats.counter(kDropped, "Spans that were given up", {{"reason", "queue_full"}})),
      dropped_unavailable_(stats.counter(kDropped, "", {{"reason", "collector_unavailable"}})),
      dropped_refused_(stats.counter(kDropped, "", {{"reason", "refused"}})),
      failures_(stats.counter("tulle_trace_export_failures_total",
                              "Requests to a collector that were not answered well", {})),
      last_words_(*this) {}

Exporter::~Exporter() = default;

void Exporter::submit(SpanBatch&& batch) {
  bool tell = false;
  {
    std::lock_guard lock(mutex_);
    if (queued_bytes_ + batch.spans.size() > kQueuedBytes) {
      overflowed_ += batch.count;
    } else {
      queued_bytes_ += batch.spans.size();
      queued_.push_back(std::move(batch));
    }
    tell = !std::exchange(told_, true);
  }
  if (tell) loop_.post(std::make_unique<Wakening>(*this, alive_));
}

void Exporter::adopt(std::shared_ptr<const config::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  wake();
}

void Exporter::run() {
  take_queued();
  for (Destination& destination : destinations_) {
    if (destination.call != nullptr && destination.call->done()) take_answer(destination);
    if (destination.timer.fired()) destination.timer.disarm();
    if (destination.call == nullptr && !destination.timer.armed()) send(destination);
  }
  if (finishing_ == nullptr) return;
  if (last_words_.fired()) abandon();
  if (idle()) finishing_->wake();
}

bool Exporter::finish(Task& owner) {
  if (finishing_ == nullptr) {
    finishing_ = &owner;
    take_queued();
    for (Destination& destination : destinations_) destination.timer.disarm();
    if (!idle()) {
      last_words_.arm(kLastWords);
      wake();
    }
  }
  return idle();
}

bool Exporter::idle() const {
  return std::all_of(destinations_.begin(), destinations_.end(), [](const Destination& each) {
    return each.call == nullptr && each.sending.empty() && each.waiting.empty();
  });
}

void Exporter::abandon() {
  size_t lost = 0;
  for (Destination& destination : destinations_) {
    lost += destination.sending_count;
    for (const SpanBatch& batch : destination.waiting) lost += batch.count;
    destination.call.reset();
    destination.sending.clear();
    destination.sending_count = 0;
    destination.waiting.clear();
    destination.waiting_bytes = 0;
  }
  if (lost == 0) return;
  shard_.add(dropped_unavailable_, static_cast<int64_t>(lost));
  log::warn("stopping: no collector has taken the last spans count=" + std::to_string(lost));
}

void Exporter::take_queued() {
  std::vector<SpanBatch> batches;
  uint64_t overflowed = 0;
  {
    std::lock_guard lock(mutex_);
    told_ = false;
    batches.swap(queued_);
    queued_bytes_ = 0;
    overflowed = std::exchange(overflowed_, 0);
  }
  if (overflowed > 0) shard_.add(dropped_full_, static_cast<int64_t>(overflowed));
  for (SpanBatch& batch : batches) {
    Destination& destination = destination_of(batch);
    destination.waiting_bytes += batch.spans.size();
    destination.waiting.push_back(std::move(batch));
    make_room(destination);
  }
}

// Collectors that nothing goes to any more stay in the list; there are as many as configurations of
// this process have named.
Exporter::Destination& Exporter::destination_of(const SpanBatch& batch) {
  const auto found =
      std::find_if(destinations_.begin(), destinations_.end(),
                   [&](const Destination& each) { return each.collector == batch.of->collector; });
  if (found != destinations_.end()) return *found;
  return destinations_.emplace_back(task(), batch.of->collector);
}

void Exporter::make_room(Destination& destination) {
  while (destination.waiting_bytes > kWaitingBytes && destination.waiting.size() > 1) {
    const SpanBatch& oldest = destination.waiting.front();
    shard_.add(dropped_unavailable_, static_cast<int64_t>(oldest.count));
    destination.waiting_bytes -= oldest.spans.size();
    destination.waiting.pop_front();
  }
}

// What failed goes first, as it was.
void Exporter::fill(Destination& destination) {
  if (!destination.sending.empty()) return;
  for (size_t bytes = 0; !destination.waiting.empty() && bytes < kRequestBytes;) {
    SpanBatch& next = destination.waiting.front();
    bytes += next.spans.size();
    destination.waiting_bytes -= next.spans.size();
    destination.sending_count += next.count;
    destination.sending.push_back(std::move(next));
    destination.waiting.pop_front();
  }
}

// The pool to one of the collector's endpoints as they are now. False: there is none.
bool Exporter::find_pool(Destination& destination) {
  const Collector& collector = destination.collector;
  const config::ClusterConfig* cluster = collector.cluster < snapshot_->clusters.size()
                                             ? snapshot_->clusters[collector.cluster].get()
                                             : nullptr;
  if (cluster == nullptr || cluster->endpoints.empty()) return false;
  const Address& address = cluster->endpoints[rng_.below(cluster->endpoints.size())].address;
  if (destination.pool != nullptr && destination.address == address &&
      destination.tls == cluster->tls) {
    return true;
  }
  Pool::Options options{.address = address, .limits = cluster->http, .tls = cluster->tls};
  if (cluster->protocol == config::UpstreamProtocol::http2) options.protocol = Protocol::http2;
  destination.pool = std::make_unique<Pool>(loop_, network_, std::move(options), nullptr);
  destination.address = address;
  destination.tls = cluster->tls;
  return true;
}

// One request at a time.
void Exporter::send(Destination& destination) {
  fill(destination);
  if (destination.sending.empty() || snapshot_ == nullptr) return;
  if (!find_pool(destination)) return pause(destination);
  const Collector& collector = destination.collector;
  const bool zipkin = collector.format == Collector::Format::zipkin;
  CallRequest request;
  request.head = request_head(Method::post, "POST", collector.authority, collector.path);
  request.head.fields.add(FieldId::content_type,
                          zipkin ? "application/json" : "application/x-protobuf");
  const std::string& service = collector.service.empty() ? identity_.service : collector.service;
  WrittenSpans spans;
  for (const SpanBatch& batch : destination.sending) spans.emplace_back(batch.spans);
  request.body = zipkin ? zipkin_request(spans) : otlp_request(service, identity_.instance, spans);
  request.timeout = collector.timeout;
  request.max_body = 64 * 1024;
  ++destination.tries;
  destination.call = std::make_unique<Call>(loop_, *destination.pool, std::move(request), task());
}

void Exporter::take_answer(Destination& destination) {
  const std::unique_ptr<Call> call = std::move(destination.call);
  const Result<CallAnswer>& outcome = call->outcome();
  const int status = outcome ? outcome->head.status : 0;
  if (status / 100 == 2) {
    const bool zipkin = destination.collector.format == Collector::Format::zipkin;
    const uint64_t rejected =
        zipkin ? 0 : std::min<uint64_t>(otlp_rejected(outcome->body), destination.sending_count);
    shard_.add(exported_, static_cast<int64_t>(destination.sending_count - rejected));
    if (rejected > 0) shard_.add(dropped_refused_, static_cast<int64_t>(rejected));
    if (std::exchange(destination.complained, false)) {
      log::info("the trace collector answers again cluster_address=" + destination.address.to_string());
    }
    destination.sending.clear();
    destination.sending_count = 0;
    destination.tries = 0;
    destination.next_pause = kFirstPause;
    return;
  }
  shard_.add(failures_);
  if (!std::exchange(destination.complained, true)) {
    log::warn("spans wait: the trace collector at " + destination.address.to_string() + " " +
              (outcome ? "answered " + std::to_string(status)
                       : "did not answer: " + outcome.error().detail));
  }
  const bool hopeless = outcome && !may_come_right(status);
  if (hopeless || destination.tries >= kTries) {
    give_up(destination, hopeless ? dropped_refused_ : dropped_unavailable_);
  }
  pause(destination);
}

void Exporter::give_up(Destination& destination, StatId reason) {
  shard_.add(reason, static_cast<int64_t>(destination.sending_count));
  destination.sending.clear();
  destination.sending_count = 0;
  destination.tries = 0;
}

// At the end nobody waits for a better time.
void Exporter::pause(Destination& destination) {
  if (finishing_ != nullptr) return abandon();
  destination.timer.arm(destination.next_pause);
  destination.next_pause = std::min(destination.next_pause * 2, kLongestPause);
}

}  // namespace tulle::tracing
