// retry_budget: how many retries towards a cluster may run at once, as a share of what runs.
//
// Always on. Counted per sidecar in routing::Admission. It has the last word on what retry wants.
#pragma once

#include <optional>
#include <span>

#include "sidecar/policies/parse_inputs.hpp"
#include "sidecar/policies/policy.hpp"

namespace tulle::policies::retry_budget {

struct Config final : PolicyConfig {
  double percent = 20;                 // of the cluster's running requests
  uint32_t least = 3;                  // allowed however few run
  std::optional<uint32_t> fixed;       // instead of both

  // How many retries may run beside so many requests.
  uint32_t most(uint32_t requests) const;
  bool equals(const PolicyConfig& other) const override;
  std::string text() const override;
};

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& place);
std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site);
std::span<const config::SupportedFields> fields();

}  // namespace tulle::policies::retry_budget
