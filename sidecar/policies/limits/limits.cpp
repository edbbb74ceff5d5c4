#include "sidecar/policies/limits/limits.hpp"

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/config/supported_fields.hpp"
#include "sidecar/policies/thresholds.hpp"

namespace tulle::policies::limits {
namespace {

using envoy::config::cluster::v3::CircuitBreakers;
using envoy::config::cluster::v3::Cluster;

const config::SupportedFields kFields[] = {
    {"envoy.config.cluster.v3.Cluster", {"circuit_breakers"}},
    {"envoy.config.cluster.v3.CircuitBreakers", {"thresholds"}},
    {"envoy.config.cluster.v3.CircuitBreakers.Thresholds",
     {"priority", "max_connections", "max_pending_requests", "max_requests"},
     {"track_remaining"}},
};

class LimitsPolicy final : public Policy {
 public:
  LimitsPolicy(const Config& config, const Site& site) : host_(site.host), cluster_(*site.cluster) {
    cluster_.admission().set(config.limits);
    requests_ = reached("requests");
    waiting_ = reached("pending_requests");
  }

 private:
  Verdict on_request(Request& request) override {
    if (request.permits.take_request(cluster_.admission())) return {};
    host_.count(requests_, 1);
    return Verdict::reply({Code::circuit_open, Origin::local,
                           "cluster " + cluster_.name() + " has reached max_requests"});
  }
  void on_outcome(Request&, const Outcome& outcome, RetryPlan&) override {
    if (outcome.end == End::limited) host_.count(waiting_, 1);
  }

  StatId reached(std::string_view limit) {
    return host_.counter("tulle_limit_reached_total",
                         "Requests that were refused because a limit of the cluster was reached",
                         {{"cluster", cluster_.name()}, {"limit", std::string(limit)}});
  }

  PolicyHost& host_;
  PolicyCluster& cluster_;
  StatId requests_{};
  StatId waiting_{};
};

}  // namespace

bool Config::equals(const PolicyConfig& other) const {
  return limits == static_cast<const Config&>(other).limits;
}

std::string Config::text() const {
  return "max_connections=" + std::to_string(limits.max_connections) +
         " max_pending_requests=" + std::to_string(limits.max_pending_requests) +
         " max_requests=" + std::to_string(limits.max_requests);
}

// Limits of 0 would be a cluster that never works; nobody means that.
std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& cluster_place) {
  const auto& breakers = dynamic_cast<const Cluster&>(message).circuit_breakers();
  const config::Place place = cluster_place.field("circuit_breakers");
  auto parsed = std::make_shared<Config>();
  check_priorities(breakers, place);
  const int index = default_thresholds(breakers);
  if (index < 0) return parsed;
  const CircuitBreakers::Thresholds& entry = breakers.thresholds(index);
  const config::Place at = place.field("thresholds").at(static_cast<size_t>(index));
  const auto read = [&](const google::protobuf::UInt32Value& value, uint32_t& into,
                        std::string_view name) {
    config::read_number(value, 1, UINT32_MAX, into, at.field(name));
  };
  if (entry.has_max_connections()) {
    read(entry.max_connections(), parsed->limits.max_connections, "max_connections");
  }
  if (entry.has_max_pending_requests()) {
    read(entry.max_pending_requests(), parsed->limits.max_pending_requests, "max_pending_requests");
  }
  if (entry.has_max_requests()) {
    read(entry.max_requests(), parsed->limits.max_requests, "max_requests");
  }
  return parsed;
}

std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site) {
  return std::make_shared<LimitsPolicy>(static_cast<const Config&>(*config), site);
}

std::span<const config::SupportedFields> fields() { return kFields; }

}  // namespace tulle::policies::limits
