// EndpointHealth: what a worker knows about the health of an endpoint. It lives in the endpoint.
//
// Policies count in it what they saw; whether it takes requests is changed through PolicyCluster
// alone, which keeps the list that the balancer picks from.
#pragma once

#include <cstdint>

#include "core/base/clock.hpp"
#include "core/net/address.hpp"

namespace tulle::policies {

struct EndpointHealth {
  const Address address;

  // Failures in a row, by kind.
  uint32_t gateway_failures = 0;
  uint32_t server_errors = 0;
  uint32_t local_failures = 0;

  uint32_t ejections = 0;       // how often of late: each doubles the time of the next
  Instant ejected_until{};      // when ejected: from then on one request may look again
  Instant readmitted_at{};
  bool ejected = false;
  bool probing = false;         // ejected, and that request is on its way
};

}  // namespace tulle::policies
