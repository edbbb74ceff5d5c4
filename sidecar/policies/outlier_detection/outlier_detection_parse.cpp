// OutlierDetection to Config, and back to text.
#include <algorithm>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/config/supported_fields.hpp"
#include "sidecar/policies/outlier_detection/outlier_detection.hpp"

namespace tulle::policies::outlier_detection {
namespace {

using config::Place;
using google::protobuf::UInt32Value;
using Source = envoy::config::cluster::v3::OutlierDetection;

const config::SupportedFields kFields[] = {
    {"envoy.config.cluster.v3.Cluster", {"outlier_detection"}},
    {"envoy.config.cluster.v3.OutlierDetection",
     {"consecutive_5xx", "enforcing_consecutive_5xx", "consecutive_gateway_failure",
      "enforcing_consecutive_gateway_failure", "consecutive_local_origin_failure",
      "enforcing_consecutive_local_origin_failure", "split_external_local_origin_errors",
      "interval", "base_ejection_time", "max_ejection_time", "max_ejection_percent",
      "enforcing_success_rate", "enforcing_local_origin_success_rate",
      "enforcing_failure_percentage", "enforcing_failure_percentage_local_origin",
      "always_eject_one_host"}},
};

constexpr uint32_t kMostInARow = 1'000'000;

void read_detector(bool has_count, const UInt32Value& count, bool has_enforcing,
                   const UInt32Value& enforcing, Detector& into, const Place& place,
                   const std::string& name) {
  if (has_count) config::read_number(count, 0, kMostInARow, into.in_a_row, place.field(name));
  if (has_enforcing) {
    config::read_number(enforcing, 0, 100, into.enforced_percent, place.field("enforcing_" + name));
  }
}

void read_time(bool has, const google::protobuf::Duration& value, Duration& into,
               const Place& place) {
  if (!has) return;
  const auto time = config::positive_duration_of(value, place);
  if (time) into = *time;
}

// Detectors that we do not have may be named, to say that they are off.
void check_off(bool has, const UInt32Value& value, const Place& place) {
  if (has && value.value() != 0) place.unsupported("only 0 is supported yet");
}

}  // namespace

std::string Config::text() const {
  const auto seconds = [](Duration time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) + "ms";
  };
  std::string out;
  const auto add = [&](const char* name, const Detector& detector) {
    if (detector.in_a_row == 0) return;
    out.append(name).append("=").append(std::to_string(detector.in_a_row)).append(" ");
  };
  add("gateway_failures", gateway);
  add("server_errors", server);
  add("local_failures", local);
  return out + "ejection=" + seconds(base) + ".." + seconds(most) +
         " most=" + std::to_string(most_percent) + "%";
}

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const Place& cluster_place) {
  const auto& cluster = dynamic_cast<const envoy::config::cluster::v3::Cluster&>(message);
  if (!cluster.has_outlier_detection()) return nullptr;
  const Source& source = cluster.outlier_detection();
  const Place place = cluster_place.field("outlier_detection");
  auto parsed = std::make_shared<Config>();
  read_detector(source.has_consecutive_gateway_failure(), source.consecutive_gateway_failure(),
                source.has_enforcing_consecutive_gateway_failure(),
                source.enforcing_consecutive_gateway_failure(), parsed->gateway, place,
                "consecutive_gateway_failure");
  read_detector(source.has_consecutive_5xx(), source.consecutive_5xx(),
                source.has_enforcing_consecutive_5xx(), source.enforcing_consecutive_5xx(),
                parsed->server, place, "consecutive_5xx");
  read_detector(source.has_consecutive_local_origin_failure(),
                source.consecutive_local_origin_failure(),
                source.has_enforcing_consecutive_local_origin_failure(),
                source.enforcing_consecutive_local_origin_failure(), parsed->local, place,
                "consecutive_local_origin_failure");
  parsed->split = source.split_external_local_origin_errors();
  read_time(source.has_base_ejection_time(), source.base_ejection_time(), parsed->base,
            place.field("base_ejection_time"));
  parsed->most = std::max<Duration>(300s, parsed->base);
  read_time(source.has_max_ejection_time(), source.max_ejection_time(), parsed->most,
            place.field("max_ejection_time"));
  read_time(source.has_interval(), source.interval(), parsed->forgets, place.field("interval"));
  if (source.has_max_ejection_percent()) {
    config::read_number(source.max_ejection_percent(), 0, 100, parsed->most_percent,
                        place.field("max_ejection_percent"));
  }
  parsed->always_one = source.always_eject_one_host().value();
  check_off(source.has_enforcing_success_rate(), source.enforcing_success_rate(),
            place.field("enforcing_success_rate"));
  check_off(source.has_enforcing_local_origin_success_rate(),
            source.enforcing_local_origin_success_rate(),
            place.field("enforcing_local_origin_success_rate"));
  check_off(source.has_enforcing_failure_percentage(), source.enforcing_failure_percentage(),
            place.field("enforcing_failure_percentage"));
  check_off(source.has_enforcing_failure_percentage_local_origin(),
            source.enforcing_failure_percentage_local_origin(),
            place.field("enforcing_failure_percentage_local_origin"));
  const bool on = parsed->gateway.in_a_row != 0 || parsed->server.in_a_row != 0 ||
                  (parsed->split && parsed->local.in_a_row != 0);
  return on ? parsed : nullptr;
}

std::span<const config::SupportedFields> fields() { return kFields; }

}  // namespace tulle::policies::outlier_detection
