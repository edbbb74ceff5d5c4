// Rng: a small seeded generator (xoshiro256**), one per worker, so that a seed replays a run.
// Not for secrets; keys and tokens come from OpenSSL.
#pragma once

#include <cstdint>

namespace tulle {

class Rng {
 public:
  explicit Rng(uint64_t seed);
  uint64_t next();
  uint64_t below(uint64_t bound);        // uniform in [0, bound); bound > 0
  bool chance(double probability);       // true with the given probability
  double unit();                         // uniform in [0, 1)

 private:
  uint64_t state_[4];
};

}  // namespace tulle
