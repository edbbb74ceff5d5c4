#include "sidecar/telemetry/request_stats.hpp"

#include "core/http/codec.hpp"

namespace tulle::telemetry {
namespace {

constexpr std::string_view kMethodNames[] = {"GET",     "HEAD",  "POST",  "PUT",    "DELETE",
                                             "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"};
constexpr std::string_view kClassNames[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

size_t class_of(int status) { return status < 100 || status > 599 ? 0 : status / 100; }

}  // namespace

uint32_t RequestStats::slot_of(Slots& slots, Labels labels) {
  const auto index = static_cast<uint32_t>(slots.list.size());
  const auto [place, fresh] = slots.by_labels.try_emplace(std::move(labels), index);
  if (fresh) {
    slots.list.push_back(std::make_unique<Slot>());
    slots.list.back()->labels = &place->first;
    slots.list.back()->durations.fill(kUnnamed);
  }
  return place->second;
}

uint32_t RequestStats::listener_slot(const std::string& name, const std::string& direction) {
  return slot_of(listeners_, {{"listener", name}, {"direction", direction}});
}

uint32_t RequestStats::cluster_slot(const std::string& name) {
  return slot_of(clusters_, {{"cluster", name}});
}

void RequestStats::observe(Slot& slot, std::string_view family, std::string_view help,
                           int status, const exchange::Summary& summary, Duration value) {
  const Method method = summary.request == nullptr ? Method::other : summary.request->method;
  const size_t status_class = class_of(status);
  StatId& id = slot.durations[static_cast<size_t>(method) * kClasses + status_class];
  if (id == kUnnamed) {
    Labels labels = *slot.labels;
    labels.emplace_back("http_request_method", kMethodNames[static_cast<size_t>(method)]);
    labels.emplace_back("status_class", kClassNames[status_class]);
    id = registry_.duration_histogram(family, help, std::move(labels));
  }
  shard_.observe(id, value);
}

void RequestStats::record(const exchange::Summary& summary, uint32_t cluster_slot) {
  observe(*listeners_.list[summary.listener_stat_slot], "http_server_request_duration_seconds",
          "Time from the complete request head to the last byte of the answer", summary.status,
          summary, summary.duration);
  if (summary.attempts == 0) return;
  const bool answered = summary.upstream_latency > Duration{0};
  observe(*clusters_.list[cluster_slot], "http_client_request_duration_seconds",
          "Time from the start of the last attempt to the head of its answer, or to its failure",
          answered ? summary.status : 0, summary,
          answered ? summary.upstream_latency : summary.duration);
}

void RequestStats::record(const exchange::RefusalSummary& summary) {
  Slot& slot = *listeners_.list[summary.listener_stat_slot];
  const Code code = summary.what->code;
  auto [place, fresh] = slot.refused.try_emplace(code, kUnnamed);
  if (fresh) {
    Labels labels = *slot.labels;
    labels.emplace_back("reason", to_string(code));
    place->second = registry_.counter(
        "tulle_http_refused_total",
        "Messages refused, and connections ended for what came, before there was an exchange",
        std::move(labels));
  }
  shard_.add(place->second);
}

}  // namespace tulle::telemetry
