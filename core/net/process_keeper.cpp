#include "core/net/process_keeper.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/assert.hpp"

namespace tulle {
namespace {

// Runs in the forked process: only system calls, no memory of its own, no return.
[[noreturn]] void wait_and_kill(int pipe) {
  static int groups[ProcessKeeper::kMostGroups];
  int count = 0;
  ::setsid();  // a terminal's Ctrl-C is not for us
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(ignored, SIG_IGN);
  ::prctl(PR_SET_NAME, "tulle-keeper");
  // Whoever waits for the end of the program's output must not wait for us.
  pipe = ::dup2(pipe, 0);
  ::close_range(1, ~0U, 0);
  int number = 0;
  for (;;) {
    const ssize_t got = ::read(pipe, &number, sizeof number);
    if (got < 0 && errno == EINTR) continue;
    if (got != sizeof number) break;
    if (number > 0 && count < ProcessKeeper::kMostGroups) groups[count++] = number;
    for (int i = 0; number < 0 && i < count; ++i) {
      if (groups[i] == -number) groups[i--] = groups[--count];
    }
  }
  for (int i = 0; i < count; ++i) ::kill(-groups[i], SIGKILL);
  ::_exit(0);
}

}  // namespace

Result<std::unique_ptr<ProcessKeeper>> ProcessKeeper::start() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error{Code::io_error, Origin::local, std::string("pipe: ") + ::strerror(errno)};
  }
  const int id = ::fork();
  if (id < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return Error{Code::io_error, Origin::local, std::string("fork: ") + ::strerror(errno)};
  }
  if (id == 0) {
    ::close(ends[1]);
    wait_and_kill(ends[0]);
  }
  ::close(ends[0]);
  return std::unique_ptr<ProcessKeeper>(new ProcessKeeper(id, ends[1]));
}

ProcessKeeper::~ProcessKeeper() {
  ::close(pipe_);
  while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ProcessKeeper::keep(int group) { tell(group); }
void ProcessKeeper::forget(int group) { tell(-group); }

// Four bytes are written whole or not at all. A keeper that was killed is not missed here.
void ProcessKeeper::tell(int number) {
  while (::write(pipe_, &number, sizeof number) < 0 && errno == EINTR) {
  }
}

}  // namespace tulle
