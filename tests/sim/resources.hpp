// Configuration of the simulated mesh: proto3 JSON, compiled by the sidecar's own compile().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sidecar/config/compile.hpp"
#include "tests/sim/plan.hpp"

namespace tulle::sim {

enum class Side : uint8_t { a, b };  // A stands at the callers, B at the application
inline constexpr std::string_view kCallerIp = "10.0.0.9";
std::string_view ip_of(Side side);
Address listener_of(Side side);
std::string cluster_of(Side side);

// What may change during a run.
struct Setup {
  std::vector<bool> apps;  // which instances B knows
  bool second_route = false;
  uint64_t certificates = 0;  // how often A's and B's were renewed
};

// Fails the test when it does not compile.
std::shared_ptr<const config::Snapshot> compile_setup(Side side, const Plan& plan,
                                                      const Setup& setup,
                                                      const config::Snapshot* previous);

}  // namespace tulle::sim
