// ASSERT and UNREACHABLE: checks for our own bugs, on in every build.
//
// What the outside world can cause (peers, files, the network) is never asserted; it is a Result.
// A broken invariant ends the process at once, because a restart is cheap and limping is not.
#pragma once

namespace tulle {

// Prints "file:line: assertion failed: text" to standard error and aborts. Any thread.
[[noreturn]] void assertion_failed(const char* text, const char* file, int line);

}  // namespace tulle

#define ASSERT(condition)                                                  \
  do {                                                                     \
    if (!(condition)) [[unlikely]]                                         \
      ::tulle::assertion_failed(#condition, __FILE__, __LINE__);           \
  } while (false)

#define UNREACHABLE() ::tulle::assertion_failed("unreachable", __FILE__, __LINE__)
