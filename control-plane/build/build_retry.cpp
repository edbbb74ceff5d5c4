// Retries: what the mesh does by itself, and what a route asks for.
#include <algorithm>

#include "control-plane/build/build_parts.hpp"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"

namespace tulle::build {

namespace {

// Failures after which the request has certainly, or may be repeated as if it had, not been served.
constexpr const char* kConnectionErrors = "connect-failure,refused-stream,reset";
constexpr const char* kWithStatusCodes =
    "connect-failure,refused-stream,reset,retriable-status-codes";
constexpr uint32_t kRetries = 2;
constexpr Duration kLeastBackoff = 25ms;
constexpr Duration kMostBackoff = 250ms;
constexpr int kBackoffGrowth = 10;  // at most so many times the least, where a route says the least
constexpr int64_t kOtherEndpoints = 5;  // picks, to find one that has not failed already

}  // namespace

void build_retry(const model::Retry* wanted, const model::Timeouts& timeouts,
                 envoy::config::route::v3::RetryPolicy& policy) {
  const bool codes = wanted != nullptr && !wanted->codes.empty();
  policy.set_retry_on(codes ? kWithStatusCodes : kConnectionErrors);
  if (codes) {
    for (const uint16_t code : wanted->codes) policy.add_retriable_status_codes(code);
  }
  const bool counted = wanted != nullptr && wanted->attempts.has_value();
  policy.mutable_num_retries()->set_value(counted ? *wanted->attempts : kRetries);
  const bool paced = wanted != nullptr && wanted->backoff && *wanted->backoff > 0s;
  const Duration least = paced ? *wanted->backoff : kLeastBackoff;
  set_duration(least, *policy.mutable_retry_back_off()->mutable_base_interval());
  set_duration(std::max(kMostBackoff, paced ? least * kBackoffGrowth : kMostBackoff),
               *policy.mutable_retry_back_off()->mutable_max_interval());
  auto& predicate = *policy.add_retry_host_predicate();
  predicate.set_name("envoy.retry_host_predicates.previous_hosts");
  pack(envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate(),
       *predicate.mutable_typed_config());
  policy.set_host_selection_retry_max_attempts(kOtherEndpoints);
  if (timeouts.backend_request && *timeouts.backend_request > 0s) {
    set_duration(*timeouts.backend_request, *policy.mutable_per_try_timeout());
  }
}

}  // namespace tulle::build
