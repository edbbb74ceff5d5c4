#include "sidecar/policies/thresholds.hpp"

#include "envoy/config/cluster/v3/circuit_breaker.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "sidecar/config/problem.hpp"

namespace tulle::policies {

using envoy::config::cluster::v3::CircuitBreakers;
using envoy::config::core::v3::RoutingPriority;

int default_thresholds(const CircuitBreakers& breakers) {
  for (int i = 0; i < breakers.thresholds_size(); ++i) {
    if (breakers.thresholds(i).priority() == RoutingPriority::DEFAULT) return i;
  }
  return -1;
}

void check_priorities(const CircuitBreakers& breakers, const config::Place& place) {
  const int counts = default_thresholds(breakers);
  for (int i = 0; i < breakers.thresholds_size(); ++i) {
    const config::Place at = place.field("thresholds").at(static_cast<size_t>(i)).field("priority");
    if (breakers.thresholds(i).priority() != RoutingPriority::DEFAULT) {
      at.unsupported("only DEFAULT is supported yet");
    } else if (i != counts) {
      at.invalid("is given twice");
    }
  }
}

}  // namespace tulle::policies
