#include "cli/isolate/isolated_network.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "cli/intercept/backend.hpp"

namespace tulle::cli {
namespace fs = std::filesystem;
namespace {

std::string lock_path(int process) {
  return std::string(kSidecarDirectory) + "/" + std::to_string(process) + ".lock";
}

// Held by this open file: gone with the process, however it ends.
bool take_lock(int descriptor) {
  struct flock wanted {};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  return ::fcntl(descriptor, F_OFD_SETLK, &wanted) == 0;
}

Result<void> run(const Program& program) {
  Result<ProgramEnd> end = run_program(program);
  if (!end) return end.error();
  if (end->clean()) return {};
  std::string name;
  for (const std::string& word : program.command) name += (name.empty() ? "" : " ") + word;
  return Error{Code::io_error, Origin::local,
               name + ": " + (end->complaint.empty() ? "exit status " + std::to_string(end->status) : end->complaint)};
}

// Daemons that have left their group, shells of people: nothing in there outlives the mesh.
void kill_inside(const std::string& name) {
  const Result<ProgramEnd> listed = run_program({{"ip", "netns", "pids", name}, ""});
  if (!listed) return;
  std::istringstream numbers(listed->output);
  for (int process = 0; numbers >> process;) {
    if (process > 1 && process != ::getpid()) ::kill(process, SIGKILL);
  }
}

void remove_all(const std::vector<std::string>& names) {
  std::vector<std::string> present;
  for (const std::string& name : names) {
    if (!fs::exists(fs::path(kNamespaceDirectory) / name)) continue;
    kill_inside(name);
    present.push_back(name);
  }
  if (!present.empty()) (void)run_program(demolition(present));
}

bool lives(int process) {
  const int descriptor = ::open(lock_path(process).c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return ::kill(process, 0) == 0 || errno != ESRCH;
  const bool free = take_lock(descriptor);
  ::close(descriptor);
  return !free;
}

// Ports below 1024 are for everybody in there: who runs what on which is nobody else's business.
void allow_low_ports(const NetworkNamespace& place) {
  const NetworkNamespace::Visit visit(place);
  const int file = ::open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(file, "0", 1);
  ::close(file);
}

Result<void> intercept(const NetworkNamespace& place, const Interception& wanted) {
  const NetworkNamespace::Visit visit(place);
  const Result<BackendKind> backend = choose_backend(BackendKind::automatic);
  if (!backend) return backend.error();
  const Result<std::vector<Step>> steps = installation(*backend, wanted, Installed{});  // it is new
  if (!steps) return steps.error();
  return perform(*steps);
}

}  // namespace

std::vector<std::string> IsolatedNetwork::obstacles() {
  std::vector<std::string> found;
  if (::geteuid() != 0) {
    found.emplace_back("--isolate makes network namespaces, for which root is needed: try sudo");
  }
  if (!has_program("ip")) found.emplace_back("--isolate needs the program ip (package iproute2)");
  if (const Result<BackendKind> backend = choose_backend(BackendKind::automatic); !backend) {
    found.push_back("--isolate: " + backend.error().detail);
  }
  if (!fs::exists("/proc/self/ns/net")) {
    found.emplace_back("--isolate: this kernel has no network namespaces (CONFIG_NET_NS)");
  }
  return found;
}

Result<void> IsolatedNetwork::lock(int process) {
  const std::string folder(kSidecarDirectory);
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return Error{Code::io_error, Origin::local, folder + ": " + ::strerror(errno)};
  }
  lock_path_ = lock_path(process);
  lock_ = ::open(lock_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_ < 0 || !take_lock(lock_)) {
    return Error{Code::io_error, Origin::local, lock_path_ + ": " + ::strerror(errno)};
  }
  return {};
}

Result<void> IsolatedNetwork::make(const Isolation& isolation) {
  for (const Program& program : construction(isolation)) {
    if (Result<void> done = run(program); !done) {
      return Error{done.error().code, Origin::local,
                   "network namespaces cannot be made here: " + done.error().detail +
                       "\n  a container needs CAP_NET_ADMIN and CAP_SYS_ADMIN for it"};
    }
  }
  for (const std::string& name : names_) {
    Result<NetworkNamespace> place = NetworkNamespace::open(name);
    if (!place) return place.error();
    allow_low_ports(*place);
    places_.push_back(std::move(*place));
  }
  for (size_t i = 0; i < isolation.sites.size(); ++i) {
    if (Result<void> done = intercept(site(i), isolation.interception); !done) return done;
  }
  return {};
}

Result<std::unique_ptr<IsolatedNetwork>> IsolatedNetwork::build(const Isolation& isolation) {
  std::unique_ptr<IsolatedNetwork> made(new IsolatedNetwork(namespaces_of(isolation)));
  if (Result<void> locked = made->lock(maker_of(isolation.hub)); !locked) return locked.error();
  if (Result<void> done = made->make(isolation); !done) return done.error();
  return made;
}

IsolatedNetwork::~IsolatedNetwork() {
  places_.clear();
  remove_all(names_);
  if (lock_ < 0) return;
  ::unlink(lock_path_.c_str());
  ::close(lock_);
}

size_t remove_leftovers() {
  std::map<int, std::vector<std::string>> found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(kNamespaceDirectory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (const int process = maker_of(name); process > 0) found[process].push_back(name);
  }
  size_t removed = 0;
  for (const auto& [process, names] : found) {
    if (lives(process)) continue;
    remove_all(names);
    ::unlink(lock_path(process).c_str());
    removed += names.size();
  }
  return removed;
}

}  // namespace tulle::cli
