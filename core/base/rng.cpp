#include "core/base/rng.hpp"

#include "core/base/assert.hpp"

namespace tulle {

namespace {

uint64_t rotate_left(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

}  // namespace

// splitmix64 spreads the seed, so that seeds 1, 2, 3 give unrelated sequences and none is all zero.
Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

uint64_t Rng::next() {
  const uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = rotate_left(state_[3], 45);
  return result;
}

// Lemire's method: a multiplication instead of a division, and a second draw only in the rare case
// that the first would favour some results.
uint64_t Rng::below(uint64_t bound) {
  ASSERT(bound > 0);
  __extension__ using Wide = unsigned __int128;
  Wide product = Wide{next()} * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = (0 - bound) % bound;
    while (static_cast<uint64_t>(product) < threshold) product = Wide{next()} * bound;
  }
  return static_cast<uint64_t>(product >> 64);
}

bool Rng::chance(double probability) { return unit() < probability; }

double Rng::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

}  // namespace tulle
