// outlier_detection: endpoints that keep failing are left out for a while, then looked at again.
//
// Each worker counts what it sees; an ejection and a readmission are told to all workers of the
// sidecar. The counts are in the endpoint's EndpointHealth, so they outlive configuration changes.
#pragma once

#include <cstdint>
#include <span>

#include "sidecar/policies/parse_inputs.hpp"
#include "sidecar/policies/policy.hpp"

namespace tulle::policies::outlier_detection {

// Failures of one kind in a row that eject; 0: the kind does not count.
struct Detector {
  uint32_t in_a_row = 0;
  uint32_t enforced_percent = 100;  // how often reaching it really ejects
  friend bool operator==(const Detector&, const Detector&) = default;
};

struct Config final : PolicyConfig {
  Detector gateway;                 // answers 502, 503, 504 and, unless split, no answer at all
  Detector server;                  // answers 5xx and, unless split, no answer at all
  Detector local;                   // when split: no answer at all
  bool split = false;
  Duration base = 30s;              // of the first ejection; each further one doubles it
  Duration most = 300s;
  Duration forgets = 10s;           // of good conduct take one ejection off the record
  uint32_t most_percent = 10;       // of the endpoints may be ejected
  bool always_one = false;          // one may be, however few there are

  Duration ejection_time(uint32_t ejections) const;  // of the n-th in close succession, from 1
  bool equals(const PolicyConfig& other) const override;
  std::string text() const override;
};

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& place);
std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site);
std::span<const config::SupportedFields> fields();

}  // namespace tulle::policies::outlier_detection
