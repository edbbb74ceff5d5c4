#include "control-plane/build/collector.hpp"

#include <algorithm>

namespace tulle::build {

namespace {

constexpr std::string_view kScheme = "http://";

Error unusable(std::string_view url, const std::string& why) {
  return {Code::invalid_config, Origin::local, "\"" + std::string(url) + "\" " + why};
}

}  // namespace

Result<Collector> read_collector(Collector::Format format, std::string_view url) {
  const bool zipkin = format == Collector::Format::zipkin;
  if (!url.starts_with(kScheme)) return unusable(url, "must begin with http://");
  const std::string_view rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  Collector collector;
  collector.format = format;
  collector.authority = rest.substr(0, slash);
  collector.path = rest.substr(slash);
  if (collector.path.empty() || collector.path == "/") {
    collector.path = zipkin ? "/api/v2/spans" : "/v1/traces";
  }
  const Result<Address> address = Address::parse(collector.authority);
  if (!address || address->port() == 0) {
    return unusable(url, "must name an IP address and a port, such as http://127.0.0.1:" +
                             std::string(zipkin ? "9411" : "4318") +
                             ": names are not looked up here");
  }
  collector.address = *address;
  if (!std::ranges::all_of(collector.path, [](char c) { return c > ' ' && c < 0x7f; })) {
    return unusable(url, "has a path with characters that no URL has");
  }
  return collector;
}

}  // namespace tulle::build
