#include "cli/run_directory.hpp"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace tulle::cli {
namespace fs = std::filesystem;
namespace {

Error io_error(const std::string& what) {
  return {Code::io_error, Origin::local, what + ": " + ::strerror(errno)};
}

// Links to running meshes; ours alone, so that nobody else can point us anywhere.
std::optional<std::string> registry() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const std::string folder = runtime != nullptr && *runtime != '\0'
                                 ? std::string(runtime) + "/tulle"
                                 : "/tmp/tulle-" + std::to_string(::getuid());
  ::mkdir(folder.c_str(), 0700);
  struct stat seen;
  const bool ours = ::lstat(folder.c_str(), &seen) == 0 && S_ISDIR(seen.st_mode) &&
                    seen.st_uid == ::getuid() && (seen.st_mode & 022) == 0;
  if (!ours) return std::nullopt;
  return folder;
}

// One link per directory, whatever the names: the same name may run in two places.
std::string link_of(const std::string& folder, const RunDirectory& directory) {
  return folder + "/" + directory.name() + "-" +
         std::to_string(std::hash<std::string>()(directory.path()));
}

// Locks of the open file, not of the process: they stay with the child of a fork.
struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

void remove_quietly(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

}  // namespace

std::string RunDirectory::name() const { return path_.substr(path_.rfind('/') + 1); }

std::string RunDirectory::log_of(std::string_view process) const {
  return logs() + "/" + std::string(process) + ".log";
}

std::string RunDirectory::instance(std::string_view name) const {
  return path_ + "/instances/" + std::string(name);
}

std::optional<int> RunDirectory::holder() const {
  const int descriptor = ::open(lock().c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  // Only asked: a lock taken to find out would be in the way of somebody who starts just now.
  struct flock asked = whole_file(F_RDLCK);
  const bool held = ::fcntl(descriptor, F_OFD_GETLK, &asked) == 0 && asked.l_type != F_UNLCK;
  char text[16] = {};
  const ssize_t size = held ? ::read(descriptor, text, sizeof text - 1) : 0;
  ::close(descriptor);
  if (!held) return std::nullopt;
  return size > 0 ? std::atoi(text) : 0;
}

void RunDirectory::remove_state() const {
  for (const std::string& part : {record(), control_plane(), path_ + "/instances"}) {
    remove_quietly(part);
  }
}

Result<std::unique_ptr<RunClaim>> RunClaim::take(const RunDirectory& directory) {
  Result<void> made = make_directories(directory.path());
  if (!made) return made.error();
  const int descriptor = ::open(directory.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return io_error(directory.lock());
  struct flock wanted = whole_file(F_WRLCK);
  if (::fcntl(descriptor, F_OFD_SETLK, &wanted) != 0) {
    ::close(descriptor);
    const int holder = directory.holder().value_or(0);
    return Error{Code::address_in_use, Origin::local,
                 "mesh " + directory.name() + " is already up (process " + std::to_string(holder) +
                     ", in " + directory.path() + ").\n  Stop it:       tulle down " +
                     directory.name() + "\n  Look at it:    tulle status " + directory.name() +
                     "\n  One beside it: tulle up FILE --name ANOTHER"};
  }
  std::unique_ptr<RunClaim> claim(new RunClaim(directory, descriptor));
  claim->note_holder(::getpid());
  directory.remove_state();
  remove_quietly(directory.logs());
  for (const std::string& part : {directory.logs(), directory.control_plane()}) {
    Result<void> part_made = make_directories(part);
    if (!part_made) return part_made.error();
  }
  ::chmod(directory.path().c_str(), 0700);  // keys and tokens are below
  if (const std::optional<std::string> folder = registry()) {
    const std::string link = link_of(*folder, directory);
    ::unlink(link.c_str());
    if (::symlink(directory.path().c_str(), link.c_str()) != 0) return io_error(link);
  }
  return claim;
}

RunClaim::~RunClaim() {
  if (cleans_) {
    directory_.remove_state();
    if (const std::optional<std::string> folder = registry()) {
      ::unlink(link_of(*folder, directory_).c_str());
    }
  }
  ::close(descriptor_);
}

void RunClaim::note_holder(int process) const {
  const std::string text = std::to_string(process) + "\n";
  if (::ftruncate(descriptor_, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = ::pwrite(descriptor_, text.data(), text.size(), 0);
}

void RunClaim::release_to_child() { cleans_ = false; }

RunDirectory run_directory_of(std::string_view file, std::string_view state_directory,
                              std::string_view name) {
  const fs::path base = state_directory.empty()
                            ? fs::absolute(fs::path(file)).parent_path() / ".tulle"
                            : fs::absolute(fs::path(state_directory));
  return RunDirectory((base / fs::path(name)).lexically_normal().string());
}

std::vector<RunDirectory> running_meshes() {
  std::vector<RunDirectory> found;
  const std::optional<std::string> folder = registry();
  if (!folder) return found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(*folder, ignored)) {
    const fs::path target = fs::read_symlink(entry.path(), ignored);
    if (target.empty()) continue;
    RunDirectory directory(target.string());
    if (directory.holder().has_value()) {
      found.push_back(std::move(directory));
    } else {
      ::unlink(entry.path().c_str());  // its holder was killed
    }
  }
  std::ranges::sort(found, {}, [](const RunDirectory& run) { return run.name() + run.path(); });
  return found;
}

Result<RunDirectory> choose_running(std::string_view name) {
  std::vector<RunDirectory> candidates;
  std::string list;
  for (RunDirectory& run : running_meshes()) {
    list += "\n  " + run.name() + "  (" + run.path() + ")";
    if (name.empty() || run.name() == name || run.path() == name) {
      candidates.push_back(std::move(run));
    }
  }
  if (candidates.size() == 1) return std::move(candidates[0]);
  if (list.empty()) {
    return Error{Code::not_found, Origin::local,
                 "no mesh is up. Start one: tulle up FILE (or name a control plane: --api, TULLE_API)"};
  }
  if (candidates.empty()) {
    return Error{Code::not_found, Origin::local,
                 "mesh " + std::string(name) + " is not up. These are:" + list};
  }
  return Error{Code::not_found, Origin::local,
               "several meshes are up; say which, by its name or its folder:" + list};
}

Result<void> write_file(const std::string& path, std::string_view text, unsigned mode) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (descriptor < 0) return io_error(temporary);
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      Error error = io_error(temporary);
      ::close(descriptor);
      return error;
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  ::close(descriptor);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return io_error(path);
  return {};
}

Result<std::string> read_whole_file(const std::string& path) {
  struct stat seen;
  if (::stat(path.c_str(), &seen) != 0) return io_error(path);
  if (!S_ISREG(seen.st_mode)) {
    return Error{Code::io_error, Origin::local, path + ": is not a file"};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return io_error(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<void> make_directories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return {};
  return Error{Code::io_error, Origin::local, path + ": " + error.message()};
}

}  // namespace tulle::cli
