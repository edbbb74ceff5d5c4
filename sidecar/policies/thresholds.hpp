// Which entry of CircuitBreakers.thresholds counts. For the policies that read it.
#pragma once

namespace envoy::config::cluster::v3 {
class CircuitBreakers;
}
namespace tulle::config {
class Place;
}

namespace tulle::policies {

// The position of the entry of priority DEFAULT; -1: there is none.
int default_thresholds(const envoy::config::cluster::v3::CircuitBreakers& breakers);
// Reports other priorities, and DEFAULT given twice.
void check_priorities(const envoy::config::cluster::v3::CircuitBreakers& breakers,
                      const config::Place& place);

}  // namespace tulle::policies
