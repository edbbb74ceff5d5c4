#include "sidecar/telemetry/tcp_stats.hpp"

namespace tulle::telemetry {

uint32_t TcpStats::listener_slot(const std::string& name, const std::string& direction) {
  const Labels labels{{"listener", name}, {"direction", direction}};
  const auto index = static_cast<uint32_t>(listeners_.size());
  const auto [place, fresh] = slots_.try_emplace(labels, index);
  if (!fresh) return place->second;
  auto listener = std::make_unique<Listener>();
  listener->labels = labels;
  listener->ended.fill(kUnnamed);
  listener->active = registry_.gauge("tulle_tcp_connections_active",
                                     "Opaque connections that have begun and not ended", labels);
  const auto bytes = [&](std::string flow) {
    Labels all = labels;
    all.emplace_back("flow", std::move(flow));
    return registry_.counter("tulle_tcp_bytes_total",
                             "Bytes of opaque connections, received from and sent to the client",
                             std::move(all));
  };
  listener->received = bytes("received");
  listener->sent = bytes("sent");
  listener->withdrawn = registry_.counter(
      "tulle_tcp_early_dials_withdrawn_total",
      "Upstream connections opened for a silent client that then turned out to speak HTTP", labels);
  listeners_.push_back(std::move(listener));
  return index;
}

void TcpStats::count(Outcomes& outcomes, const Error* why, std::string_view family,
                     std::string_view help, const Labels& labels) {
  const size_t place = why == nullptr ? 0 : 1 + static_cast<size_t>(why->code);
  ASSERT(place < kOutcomes);
  StatId& id = outcomes[place];
  if (id == kUnnamed) {
    Labels all = labels;
    all.emplace_back("outcome", why == nullptr ? "ok" : std::string(to_string(why->code)));
    id = registry_.counter(family, help, std::move(all));
  }
  shard_.add(id, 1);
}

void TcpStats::ended(uint32_t slot, const Error* why) {
  Listener& listener = *listeners_[slot];
  shard_.add(listener.active, -1);
  count(listener.ended, why, "tulle_tcp_connections_total", "Opaque connections that have ended",
        listener.labels);
}

void TcpStats::dialled(const std::string& cluster, const Error* why) {
  const auto [place, fresh] = clusters_.try_emplace(cluster);
  if (fresh) place->second.fill(kUnnamed);
  count(place->second, why, "tulle_tcp_upstream_connects_total",
        "Attempts to connect to an endpoint for an opaque connection", {{"cluster", cluster}});
}

void TcpStats::withdrawn(uint32_t slot) { shard_.add(listeners_[slot]->withdrawn, 1); }

}  // namespace tulle::telemetry
