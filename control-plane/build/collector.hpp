// Collector: where the spans of all sidecars go, as a person states it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/net/address.hpp"

namespace tulle::build {

struct Collector {
  enum class Format : uint8_t { otlp, zipkin };
  Format format = Format::otlp;
  Address address;
  std::string authority;  // "127.0.0.1:4318"
  std::string path;
  double sampling_percent = 1;  // of requests that begin a trace; what others decided holds
};

// Of a URL such as http://127.0.0.1:4318. Without a path it is the format's usual one.
Result<Collector> read_collector(Collector::Format format, std::string_view url);

inline constexpr std::string_view kCollectorCluster = "tracing-collector";

}  // namespace tulle::build
