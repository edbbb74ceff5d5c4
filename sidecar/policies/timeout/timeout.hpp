// timeout: how long a request may take in all, and each attempt of it.
//
// See README.md. State: none.
#pragma once

#include <span>

#include "sidecar/policies/parse_inputs.hpp"
#include "sidecar/policies/policy.hpp"

namespace tulle::policies::timeout {

struct Config final : PolicyConfig {
  Duration request{0};  // of all attempts together; zero: none
  Duration attempt{0};  // until the head of the answer; zero: none

  bool equals(const PolicyConfig& other) const override;
  std::string text() const override;
};

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& place);
std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site);
std::span<const config::SupportedFields> fields();

}  // namespace tulle::policies::timeout
