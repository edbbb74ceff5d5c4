#include "core/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace tulle {

// Uses nothing but stdio: the logger itself may be what is broken.
void assertion_failed(const char* text, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
  std::fflush(stderr);
  std::abort();
}

}  // namespace tulle
