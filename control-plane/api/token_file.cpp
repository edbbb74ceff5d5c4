#include "control-plane/api/token_file.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/log.hpp"

namespace tulle::api {

namespace {

constexpr size_t kFewestCharacters = 16;  // what cannot be guessed at a few tries per second
constexpr size_t kMostCharacters = 4096;

Error failed(const std::string& path, const std::string& why) {
  return {Code::invalid_config, Origin::local, "api.token_file: " + path + ": " + why};
}

Result<std::string> random_token(const std::string& path) {
  std::array<unsigned char, 32> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return failed(path, std::strerror(errno));
  }
  static constexpr char kHex[] = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : bytes) {
    token.push_back(kHex[byte >> 4]);
    token.push_back(kHex[byte & 15]);
  }
  return token;
}

// Under another name first: nobody ever reads half a token.
Result<std::string> make_token(const std::string& path) {
  Result<std::string> token = random_token(path);
  if (!token) return token;
  const std::string temporary = path + ".new";
  const std::string line = *token + "\n";
  ::unlink(temporary.c_str());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return failed(path, std::strerror(errno));
  const bool written =
      ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      ::fsync(file) == 0;
  ::close(file);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    return failed(path, std::strerror(errno));
  }
  return token;
}

}  // namespace

Result<std::string> read_or_make_token(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno == ENOENT ? make_token(path) : failed(path, std::strerror(errno));
  struct stat seen {};
  std::array<char, kMostCharacters + 1> text;
  const bool known = ::fstat(file, &seen) == 0;
  const ssize_t count = ::read(file, text.data(), text.size());
  const int error = errno;
  ::close(file);
  if (!known || count < 0) return failed(path, std::strerror(error));
  if ((seen.st_mode & 077) != 0) {
    log::warn("others may read the admin token file=" + path);
  }
  std::string_view token(text.data(), static_cast<size_t>(count));
  while (token.ends_with('\n') || token.ends_with('\r')) token.remove_suffix(1);
  if (token.size() < kFewestCharacters || token.size() > kMostCharacters) {
    return failed(path, "a token has from 16 to 4096 characters; remove the file to get a new one");
  }
  return std::string(token);
}

}  // namespace tulle::api
