// Collector: where the spans of a listener go and how many there are, compiled. Immutable.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/clock.hpp"
#include "sidecar/routing/route.hpp"

namespace tulle::tracing {

struct Collector {
  enum class Format : uint8_t { otlp, zipkin };
  Format format = Format::otlp;
  routing::ClusterIndex cluster = 0;
  std::string authority;
  std::string path;            // "/v1/traces"
  std::string service;         // whose spans these are; empty: the node's cluster
  Duration timeout = std::chrono::seconds(10);

  friend bool operator==(const Collector&, const Collector&) = default;
};

// What a listener does about traces.
struct Tracing {
  Collector collector;
  uint32_t sampled_per_million = 0;    // of requests that belong to no trace yet
};

}  // namespace tulle::tracing
