#include "control-plane/push/push_stats.hpp"

namespace tulle::push {

PushStats::PushStats(StatRegistry& registry)
    : registry_(registry),
      sessions_(registry.gauge("tulle_control_plane_sessions", "Connected sidecars.", {})),
      refused_(registry.counter("tulle_control_plane_sessions_refused_total",
                                "Streams ended because of who they were or wanted.", {})),
      rejected_(registry.counter("tulle_control_plane_rejections_total",
                                 "Responses that a sidecar refused (NACK).", {})),
      responses_(registry.counter("tulle_control_plane_responses_total",
                                  "Discovery responses sent.", {})),
      bytes_(registry.counter("tulle_control_plane_response_bytes_total",
                              "Bytes of discovery responses sent.", {})),
      builds_(registry.counter("tulle_control_plane_builds_total", "Resources built.", {})),
      delay_(registry.duration_histogram(
          "tulle_control_plane_push_delay_seconds",
          "From a change until the last sidecar it concerns was served.", {})) {
  registry_.attach(shard_);
}

PushStats::~PushStats() { registry_.detach(shard_); }

}  // namespace tulle::push
