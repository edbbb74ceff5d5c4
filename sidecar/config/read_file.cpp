#include "sidecar/config/read_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tulle::config {

namespace {

constexpr size_t kLargest = 64 * 1024 * 1024;

Error failure(const std::string& path, std::string_view why) {
  return {Code::io_error, Origin::local, path + ": " + std::string(why)};
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

}  // namespace

Result<std::string> read_file(const std::string& path) {
  // Without O_NONBLOCK a named pipe would wait for a writer for ever.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) return failure(path, std::strerror(errno));
  struct stat facts {};
  if (::fstat(file.number, &facts) != 0) return failure(path, std::strerror(errno));
  if (!S_ISREG(facts.st_mode)) return failure(path, "is not a regular file");

  std::string contents;
  for (;;) {
    char block[16 * 1024];
    const ssize_t count = ::read(file.number, block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(path, std::strerror(errno));
    if (count == 0) return contents;
    if (contents.size() + static_cast<size_t>(count) > kLargest) {
      return failure(path, "is larger than 64 MiB");
    }
    contents.append(block, static_cast<size_t>(count));
  }
}

}  // namespace tulle::config
