// SourceEnvironment: what a source that speaks with the control plane stands on. Everything outlives
// it.
#pragma once

#include <cstdint>

#include "core/base/stats.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"

namespace tulle::source {

struct SourceEnvironment {
  Loop& loop;
  Network& network;
  StatRegistry& stats;
  StatShard& shard;
  Task& owner;    // woken when advance() has something to do
  uint64_t seed;
};

}  // namespace tulle::source
