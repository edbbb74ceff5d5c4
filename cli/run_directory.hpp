// RunDirectory: the folder of one running mesh (`.tulle/NAME` beside its file), and who holds it.
//
// Layout: lock, run.json (what runs, for the other commands), control-plane/, instances/INSTANCE/,
// logs/. The holder keeps the lock until its process ends, however that happens: so a locked
// directory is a running mesh, and one without a lock is what is left of one. A link in a folder of
// the user lets the commands find every running mesh from anywhere.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace tulle::cli {

class RunDirectory {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string name() const;                     // the last part of the path
  std::string record() const { return path_ + "/run.json"; }
  std::string lock() const { return path_ + "/lock"; }
  std::string logs() const { return path_ + "/logs"; }
  std::string log_of(std::string_view process) const;
  std::string control_plane() const { return path_ + "/control-plane"; }
  std::string instance(std::string_view name) const;
  // What stands for /etc/hosts and /etc/resolv.conf in the namespaces of an isolated mesh.
  std::string hosts() const { return path_ + "/instances/hosts"; }
  std::string resolver() const { return path_ + "/instances/resolv.conf"; }
  // What the other commands reach the API with.
  std::string endpoints() const { return control_plane() + "/state/endpoints.json"; }
  std::string token() const { return control_plane() + "/state/admin.token"; }
  std::string trust_bundle() const { return control_plane() + "/state/ca/root.pem"; }

  // The process that holds the lock; absent: none.
  std::optional<int> holder() const;
  // Removes what a run has made but its logs.
  void remove_state() const;

 private:
  std::string path_;
};

// Holds a run directory for this process. Made empty of what an earlier run has left.
class RunClaim {
 public:
  static Result<std::unique_ptr<RunClaim>> take(const RunDirectory& directory);
  ~RunClaim();  // removes the state and the link; the lock file stays, unlocked
  RunClaim(const RunClaim&) = delete;
  RunClaim& operator=(const RunClaim&) = delete;

  void note_holder(int process) const;  // after a fork: who holds it now
  void release_to_child();              // this process no longer cleans up: its child does

 private:
  RunClaim(RunDirectory directory, int descriptor)
      : directory_(std::move(directory)), descriptor_(descriptor) {}
  RunDirectory directory_;
  int descriptor_;
  bool cleans_ = true;
};

// Where `up FILE` runs a mesh of that name. `state_directory` empty: `.tulle` beside the file.
RunDirectory run_directory_of(std::string_view file, std::string_view state_directory,
                              std::string_view name);

// Running meshes of this user, by name.
std::vector<RunDirectory> running_meshes();
// The one that is meant: by name, or the only one. Errors say what runs and how to choose.
Result<RunDirectory> choose_running(std::string_view name);

// Small files, written whole by rename; mode is that of the new file.
Result<void> write_file(const std::string& path, std::string_view text, unsigned mode = 0644);
Result<std::string> read_whole_file(const std::string& path);
Result<void> make_directories(const std::string& path);

}  // namespace tulle::cli
