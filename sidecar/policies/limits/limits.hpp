// limits: how many connections, waiting and running requests a cluster gets from this sidecar.
//
// Always on. The counts are in routing::Admission, shared by the workers; pools ask it for
// connections and for places in their queue, this policy for the requests.
#pragma once

#include <span>

#include "sidecar/policies/parse_inputs.hpp"
#include "sidecar/policies/policy.hpp"

namespace tulle::policies::limits {

struct Config final : PolicyConfig {
  routing::Admission::Limits limits;

  bool equals(const PolicyConfig& other) const override;
  std::string text() const override;
};

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& place);
std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site);
std::span<const config::SupportedFields> fields();

}  // namespace tulle::policies::limits
