// retry: whether an attempt that went wrong is made again, and when.
//
// See README.md for the words of retry_on and for what is safe. State: none; how many may run at
// once is the cluster's retry_budget.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sidecar/policies/parse_inputs.hpp"
#include "sidecar/policies/policy.hpp"

namespace tulle::policies::retry {

// The words of retry_on, a bit each.
enum class On : uint32_t {
  connect_failure = 1u << 0,
  refused_stream = 1u << 1,
  reset_before_request = 1u << 2,
  reset = 1u << 3,
  gateway_error = 1u << 4,
  server_error = 1u << 5,  // 5xx
  conflict = 1u << 6,      // retriable-4xx: 409
  status_codes = 1u << 7,
  cancelled = 1u << 8,
  deadline_exceeded = 1u << 9,
  internal = 1u << 10,
  resource_exhausted = 1u << 11,
  unavailable = 1u << 12,
};

struct Config final : PolicyConfig {
  uint32_t on = 0;
  std::vector<uint32_t> status_codes;
  uint32_t retries = 1;             // beyond the first attempt
  Duration base = 25ms;             // of the back-off; see pause_before()
  Duration most = 250ms;

  bool has(On word) const { return (on & static_cast<uint32_t>(word)) != 0; }
  bool equals(const PolicyConfig& other) const override;
  std::string text() const override;
};

// Body bytes of a request that are kept so that it can be sent again. More is not retried: 1,024
// requests of a cluster then hold at most 64 MiB.
inline constexpr size_t kReplayBytes = 64 * 1024;

// Full jitter: uniform in [0, (2^n - 1) x base), at most `most`; n is the number of the retry.
Duration pause_before(uint32_t retry, const Config& config, Rng& rng);

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& place);
std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site);
std::span<const config::SupportedFields> fields();

}  // namespace tulle::policies::retry
