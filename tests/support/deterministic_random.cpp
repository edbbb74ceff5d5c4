// The interface that replaces the generator as a whole is deprecated in OpenSSL 3, and still the
// one that also reaches key generation and signatures.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tests/support/deterministic_random.hpp"

#include <openssl/rand.h>

#include <cstdio>
#include <cstdlib>

namespace tulle::testing {

namespace {

uint64_t state = 0;

// SplitMix64: any seed is a good one.
uint64_t next() {
  state += 0x9e3779b97f4a7c15;
  uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

int fill(unsigned char* out, int size) {
  for (int i = 0; i < size; ++i)
    out[i] = static_cast<unsigned char>(next() >> 32);
  return 1;
}

int ready() {
  return 1;
}

RAND_METHOD method = {nullptr, fill, nullptr, nullptr, fill, ready};
const RAND_METHOD* former = nullptr;

}  // namespace

DeterministicRandom::DeterministicRandom(uint64_t seed) {
  state = seed;
  former = RAND_get_rand_method();
  if (RAND_set_rand_method(&method) == 1)
    return;
  std::fputs("OpenSSL's generator cannot be replaced\n", stderr);
  std::abort();
}

DeterministicRandom::~DeterministicRandom() {
  RAND_set_rand_method(former);
}

}  // namespace tulle::testing
