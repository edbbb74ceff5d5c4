#include "core/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tulle {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  bool is_open() const { return number_ >= 0; }
  int number() const { return number_; }

 private:
  const int number_;
};

Error failure(const std::string& path, std::string_view why, Code code = Code::io_error) {
  return {code, Origin::local, path + ": " + std::string(why)};
}

Error system_failure(const std::string& path) {
  const int number = errno;
  return failure(path, std::strerror(number),
                 number == ENOENT || number == ENOTDIR ? Code::not_found : Code::io_error);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool write_all(int file, std::string_view content) {
  while (!content.empty()) {
    const ssize_t count = ::write(file, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    content.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

// Without this the rename itself may be gone after a power cut.
Result<void> sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || ::fsync(folder.number()) != 0) return system_failure(path);
  return {};
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, size_t max) {
  // Without O_NONBLOCK a named pipe would wait for a writer for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return system_failure(path);
  struct stat facts {};
  if (::fstat(file.number(), &facts) != 0) return system_failure(path);
  if (!S_ISREG(facts.st_mode)) return failure(path, "is not a regular file");
  std::string content;
  char block[16 * 1024];
  for (;;) {
    const ssize_t count = ::read(file.number(), block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure(path);
    if (count == 0) return content;
    if (content.size() + static_cast<size_t>(count) > max) {
      return failure(path, "is larger than " + std::to_string(max) + " bytes");
    }
    content.append(block, static_cast<size_t>(count));
  }
}

Result<void> replace_file(const std::string& path, std::string_view content, unsigned mode) {
  // The name is fixed: what a crash has left behind is overwritten by the next attempt.
  const std::string draft = path + ".new";
  ::unlink(draft.c_str());
  {
    const Descriptor file(
        ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!file.is_open()) return system_failure(draft);
    if (::fchmod(file.number(), mode) != 0 || !write_all(file.number(), content) ||
        ::fsync(file.number()) != 0) {
      const Error why = system_failure(draft);
      ::unlink(draft.c_str());
      return why;
    }
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    const Error why = system_failure(path);
    ::unlink(draft.c_str());
    return why;
  }
  return sync_folder(folder_of(path));
}

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_failure(path);
  return {};
}

Result<void> make_folder(const std::string& path, unsigned mode) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string parent = path.substr(0, at);
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return system_failure(parent);
  }
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return system_failure(path);
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return system_failure(path);
  if (!S_ISDIR(facts.st_mode)) return failure(path, "is not a folder");
  return {};
}

unsigned file_mode(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_mode & 07777u : 0;
}

}  // namespace tulle
