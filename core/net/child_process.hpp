// ChildProcess: a program that was started here, its output by lines, and how it ended.
//
// Owns the process, which leads a session and process group of its own, so that a terminal's Ctrl-C
// is not for it and everything it starts can be ended with it. What is left of the group is killed
// when the process ends, and when the owner lets go. Lines are bounded in length, and in number:
// when nobody takes them the process is not read from, and waits.
// Only ever signals groups that it has started itself and that are not over.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"

namespace tulle {

class Loop;
class Task;

struct ChildOptions {
  std::vector<std::string> command;  // the program (looked up in PATH of `environment`), arguments
  std::vector<std::pair<std::string, std::string>> environment;  // all of it
  std::string directory;             // to run in; empty: ours
};

class ChildProcess {
 public:
  static constexpr size_t kLongestLine = 16 * 1024;  // the rest of a longer one is dropped
  static constexpr size_t kWaitingLines = 256;       // more are left in the pipe

  struct Line {
    bool is_error = false;  // from standard error
    std::string text;       // without its end
  };
  struct Exit {
    int status = 0;         // when signal is 0
    int signal = 0;
    bool clean() const { return status == 0 && signal == 0; }
  };

  virtual ~ChildProcess() = default;  // kills the group
  virtual int id() const = 0;         // of the process and of its group
  virtual std::optional<Line> take_line() = 0;
  // Set once the process has ended. Lines may still wait; output_ended() says when none follows.
  virtual const std::optional<Exit>& exit() const = 0;
  virtual bool output_ended() const = 0;
  virtual void signal(int number) = 0;  // the whole group; nothing once it has ended
};

// What starts processes: the operating system, or a test.
class ProcessStarter {
 public:
  virtual ~ProcessStarter() = default;
  // `owner` is woken by lines and by the end. Errors: not_found (no such program or directory),
  // io_error; the detail names the program and what to look at.
  virtual Result<std::unique_ptr<ChildProcess>> start(ChildOptions options, Task& owner) = 0;
};

class ProcessKeeper;
// With a keeper, what was started ends even when this process is killed.
std::unique_ptr<ProcessStarter> make_process_starter(Loop& loop, ProcessKeeper* keeper);

std::string to_string(const ChildProcess::Exit& exit);  // "status 3", "signal 9 (Killed)"

}  // namespace tulle
