#include "cli/intercept/program.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

extern char** environ;

namespace tulle::cli {
namespace {

// System programs are often not in the PATH of people.
constexpr const char* kSystemPath = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

std::string search_path() {
  const char* path = ::getenv("PATH");
  return path == nullptr || *path == '\0' ? kSystemPath : std::string(path) + ":" + kSystemPath;
}

std::string find(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const std::string path = search_path();
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string candidate = path.substr(begin, end - begin) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return "";
}

// A file without a name: a program may take as long as it wants to read or to write it, and nobody
// has to serve it meanwhile.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("tulle", MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }
  bool fill(const std::string& text) {
    size_t written = 0;
    while (written < text.size()) {
      const ssize_t count = ::write(descriptor_, text.data() + written, text.size() - written);
      if (count <= 0) return false;
      written += static_cast<size_t>(count);
    }
    return ::lseek(descriptor_, 0, SEEK_SET) == 0;
  }
  std::string text() const {
    std::string all;
    std::array<char, 4096> part{};
    for (off_t at = 0;;) {
      const ssize_t count = ::pread(descriptor_, part.data(), part.size(), at);
      if (count <= 0) return all;
      all.append(part.data(), static_cast<size_t>(count));
      at += count;
    }
  }

 private:
  const int descriptor_;
};

std::string trimmed_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

Error failed(const std::string& name, int number) {
  return {Code::io_error, Origin::local, name + " could not be run: " + ::strerror(number)};
}

}  // namespace

bool has_program(const std::string& name) { return !find(name).empty(); }

Result<ProgramEnd> run_program(const Program& program) {
  const std::string& name = program.command.front();
  const std::string path = find(name);
  if (path.empty()) return Error{Code::not_found, Origin::local, "the program " + name + " is not installed"};
  MemoryFile input;
  MemoryFile output;
  MemoryFile complaint;
  if (input.descriptor() < 0 || output.descriptor() < 0 || complaint.descriptor() < 0 ||
      !input.fill(program.input)) {
    return failed(name, errno);
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.descriptor(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, complaint.descriptor(), STDERR_FILENO);
  std::vector<char*> arguments;
  for (const std::string& argument : program.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int spawned = ::posix_spawn(&child, path.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) return failed(name, spawned);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return failed(name, errno);
  }
  return ProgramEnd{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), output.text(),
                    trimmed_end(complaint.text())};
}

}  // namespace tulle::cli
