#include "sidecar/policies/retry_budget/retry_budget.hpp"

#include <algorithm>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/config/supported_fields.hpp"
#include "sidecar/policies/thresholds.hpp"

namespace tulle::policies::retry_budget {
namespace {

using envoy::config::cluster::v3::CircuitBreakers;
using envoy::config::cluster::v3::Cluster;

const config::SupportedFields kFields[] = {
    {"envoy.config.cluster.v3.Cluster", {"circuit_breakers"}},
    {"envoy.config.cluster.v3.CircuitBreakers", {"thresholds"}},
    {"envoy.config.cluster.v3.CircuitBreakers.Thresholds", {"max_retries", "retry_budget"}},
    {"envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
     {"budget_percent", "min_retry_concurrency"}},
    {"envoy.type.v3.Percent", {"value"}},
};

class RetryBudget final : public Policy {
 public:
  RetryBudget(const Config& config, const Site& site)
      : config_(config), host_(site.host), cluster_(*site.cluster) {
    const Labels labels{{"cluster", cluster_.name()}};
    retries_ = host_.counter("tulle_retries_total", "Attempts that were made again", labels);
    refused_ = host_.counter("tulle_retries_refused_total",
                             "Retries that the budget of the cluster did not allow", labels);
  }

 private:
  // A retry counts from the decision until its own outcome: its pause is time in which it is due.
  void on_outcome(Request& request, const Outcome&, RetryPlan& plan) override {
    request.permits.give_retry();
    if (!plan.wanted) return;
    routing::Admission& shared = cluster_.admission();
    if (request.permits.take_retry(shared, config_.most(shared.requests()))) {
      host_.count(retries_, 1);
      return;
    }
    plan.wanted = false;
    request.exhausted = true;
    host_.count(refused_, 1);
  }

  const Config config_;
  PolicyHost& host_;
  PolicyCluster& cluster_;
  StatId retries_{};
  StatId refused_{};
};

}  // namespace

uint32_t Config::most(uint32_t requests) const {
  if (fixed) return *fixed;
  return std::max(least, static_cast<uint32_t>(requests * percent / 100));
}

bool Config::equals(const PolicyConfig& other) const {
  const auto& that = static_cast<const Config&>(other);
  return percent == that.percent && least == that.least && fixed == that.fixed;
}

std::string Config::text() const {
  if (fixed) return "max_retries=" + std::to_string(*fixed);
  return "percent=" + std::to_string(static_cast<int>(percent)) + " least=" + std::to_string(least);
}

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& cluster_place) {
  const auto& breakers = dynamic_cast<const Cluster&>(message).circuit_breakers();
  auto parsed = std::make_shared<Config>();
  const int index = default_thresholds(breakers);
  if (index < 0) return parsed;
  const CircuitBreakers::Thresholds& entry = breakers.thresholds(index);
  if (entry.has_max_retries()) parsed->fixed = entry.max_retries().value();
  if (!entry.has_retry_budget()) return parsed;
  parsed->fixed.reset();
  const CircuitBreakers::Thresholds::RetryBudget& budget = entry.retry_budget();
  if (budget.has_budget_percent()) {
    parsed->percent = budget.budget_percent().value();
    if (!(parsed->percent >= 0 && parsed->percent <= 100)) {
      cluster_place.field("circuit_breakers").field("thresholds").at(static_cast<size_t>(index))
          .field("retry_budget").field("budget_percent").invalid("must be from 0 to 100");
    }
  }
  if (budget.has_min_retry_concurrency()) parsed->least = budget.min_retry_concurrency().value();
  return parsed;
}

std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site) {
  return std::make_shared<RetryBudget>(static_cast<const Config&>(*config), site);
}

std::span<const config::SupportedFields> fields() { return kFields; }

}  // namespace tulle::policies::retry_budget
