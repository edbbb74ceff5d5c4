#include "cli/isolate/entrance.hpp"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <charconv>

#include "cli/isolate/isolation.hpp"
#include "cli/isolate/network_namespace.hpp"

extern char** environ;

namespace tulle::cli {
namespace {

Error failed(const std::string& what) {
  const std::string why = ::strerror(errno);
  return {Code::io_error, Origin::local, what + ": " + why};
}

// Mounts that are made here are seen here only; those that are made outside later are seen as well.
Result<void> take_mount_namespace() {
  if (::unshare(CLONE_NEWNS) != 0) return failed("a mount namespace of its own");
  if (::mount("", "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return failed("a mount namespace of its own");
  return {};
}

Result<void> put_over(const std::string& what, const char* place) {
  if (what.empty() || ::mount(what.c_str(), place, nullptr, MS_BIND, nullptr) == 0) return {};
  return failed(what + " as " + place);
}

Result<void> take_host_name(const std::string& name) {
  if (name.empty()) return {};
  if (::unshare(CLONE_NEWUTS) != 0 || ::sethostname(name.data(), name.size()) != 0) {
    return failed("host name " + name);
  }
  return {};
}

Result<void> become(const User& user) {
  const int groups = user.name.empty() ? ::setgroups(0, nullptr) : ::initgroups(user.name.c_str(), user.group);
  if (groups != 0 || ::setgid(user.group) != 0 || ::setuid(user.id) != 0) {
    return failed("becoming user " + std::to_string(user.id));
  }
  if (!user.name.empty()) {
    ::setenv("USER", user.name.c_str(), 1);
    ::setenv("LOGNAME", user.name.c_str(), 1);
  }
  ::setenv("HOME", user.home.empty() ? "/" : user.home.c_str(), 1);
  return {};
}

Result<void> go_in(const Entrance& entrance) {
  Result<NetworkNamespace> network = NetworkNamespace::open(entrance.network_namespace);
  if (!network) return network.error();
  if (Result<void> entered = network->enter(); !entered) return entered;
  if (Result<void> taken = take_mount_namespace(); !taken) return taken;
  if (Result<void> put = put_over(entrance.hosts, "/etc/hosts"); !put) return put;
  // Without that file nobody is asked either.
  Result<void> put = put_over(entrance.resolver, "/etc/resolv.conf");
  if (!put && errno != ENOENT) return put;
  const std::string place(kSidecarDirectory);
  if (Result<void> folder = put_over(entrance.private_directory, place.c_str()); !folder) return folder;
  return take_host_name(entrance.host_name);
}

}  // namespace

Result<User> find_user(const std::string& text) {
  const auto wrong = [&](const char* why) {
    return Error{Code::invalid_config, Origin::local, "\"" + text + "\" " + why};
  };
  User user;
  const char* end = text.data() + text.size();
  const auto number = std::from_chars(text.data(), end, user.id);
  const bool is_number = number.ec == std::errc() && number.ptr == end;
  const passwd* entry = is_number ? ::getpwuid(user.id) : ::getpwnam(text.c_str());
  if (entry == nullptr && !is_number) return wrong("is no user of this machine");
  user.group = entry != nullptr ? entry->pw_gid : user.id;
  if (entry != nullptr) {
    user.id = entry->pw_uid;
    user.name = entry->pw_name;
    user.home = entry->pw_dir;
  }
  if (user.id == static_cast<uint32_t>(-1)) return wrong("is no user");
  return user;
}

std::vector<std::string> command_to_enter(const std::string& self, const Entrance& entrance,
                                          std::vector<std::string> command) {
  std::vector<std::string> whole = {self, "enter"};
  const auto option = [&](const char* name, const std::string& value) {
    if (!value.empty()) whole.insert(whole.end(), {name, value});
  };
  option("--network", entrance.network_namespace);
  option("--hosts", entrance.hosts);
  option("--resolver", entrance.resolver);
  option("--host-name", entrance.host_name);
  option("--directory", entrance.private_directory);
  option("--user", entrance.user);
  whole.emplace_back("--");
  for (std::string& word : command) whole.push_back(std::move(word));
  return whole;
}

Error enter(const Entrance& entrance, const std::vector<std::string>& command) {
  User user;
  if (!entrance.user.empty()) {
    Result<User> found = find_user(entrance.user);
    if (!found) return found.error();
    user = std::move(*found);
  }
  const std::string& program = command.front();
  // Opened by who we are: the user may not enter the folder it is in, and need not.
  const bool has_path = program.find('/') != std::string::npos;
  const int file = has_path ? ::open(program.c_str(), O_PATH | O_CLOEXEC) : -1;
  if (Result<void> in = go_in(entrance); !in) return in.error();
  if (!entrance.user.empty()) {
    if (Result<void> changed = become(user); !changed) return changed.error();
  }
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(program.c_str(), arguments.data());
  if (errno == EACCES && file >= 0) ::fexecve(file, arguments.data(), environ);
  return failed(program);
}

}  // namespace tulle::cli
