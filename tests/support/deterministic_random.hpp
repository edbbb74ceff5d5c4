// DeterministicRandom: while it lives, OpenSSL's random numbers come from a seed, so that keys,
// signatures and so the sizes of handshake messages repeat when a simulated run is replayed.
//
// For the whole process; one at a time. Never outside tests.
#pragma once

#include <cstdint>

namespace tulle::testing {

class DeterministicRandom {
 public:
  explicit DeterministicRandom(uint64_t seed);
  ~DeterministicRandom();
  DeterministicRandom(const DeterministicRandom&) = delete;
  DeterministicRandom& operator=(const DeterministicRandom&) = delete;
};

}  // namespace tulle::testing
