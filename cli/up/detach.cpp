#include "cli/up/detach.hpp"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <string>

namespace tulle::cli {
namespace {

// Ends what is to be shown; the exit code, one byte, follows. No line of text holds it.
constexpr char kEnd = '\0';

Error io_error(const char* what) {
  return {Code::io_error, Origin::local, std::string(what) + ": " + ::strerror(errno)};
}

}  // namespace

Result<std::unique_ptr<Detached>> Detached::fork(RunClaim& claim) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return io_error("pipe");
  const int child = ::fork();
  if (child < 0) return io_error("fork");
  if (child > 0) {
    ::close(ends[1]);
    claim.release_to_child();
    return std::unique_ptr<Detached>(new Detached(true, ends[0]));
  }
  ::close(ends[0]);
  ::setsid();
  claim.note_holder(::getpid());
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, standard);
  return std::unique_ptr<Detached>(new Detached(false, ends[1]));
}

Detached::~Detached() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int Detached::wait() {
  char bytes[4096];
  bool ended = false;
  int code = 1;
  for (;;) {
    const ssize_t got = ::read(descriptor_, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    for (ssize_t i = 0; i < got; ++i) {
      if (ended) {
        code = bytes[i];
      } else if (bytes[i] == kEnd) {
        ended = true;
      } else {
        ::fputc(bytes[i], stdout);
      }
    }
    ::fflush(stdout);
  }
  if (!ended) ::fprintf(stderr, "tulle: the mesh ended before it was up\n");
  return code;
}

void Detached::finish(std::string_view text, int code) {
  if (descriptor_ < 0) return;
  std::string last(text);
  if (!last.empty()) last.push_back('\n');
  last.push_back(kEnd);
  last.push_back(static_cast<char>(code));
  [[maybe_unused]] const ssize_t written = ::write(descriptor_, last.data(), last.size());
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace tulle::cli
