#include "cli/up/preparation.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cli/documents.hpp"
#include "cli/isolate/entrance.hpp"
#include "cli/isolate/isolated_network.hpp"

extern char** environ;

namespace tulle::cli {
namespace fs = std::filesystem;
namespace {

bool is_executable(const std::string& path) {
  struct stat seen;
  return ::stat(path.c_str(), &seen) == 0 && S_ISREG(seen.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

TextPairs own_environment() {
  TextPairs pairs;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

std::string value_of(const TextPairs& pairs, std::string_view name) {
  const auto found = std::ranges::find(pairs, name, [](const auto& pair) { return std::string_view(pair.first); });
  return found == pairs.end() ? "" : found->second;
}

// Beside this program, where installing and building put them, or in PATH.
std::string find_own(const std::string& name, const TextPairs& environment) {
  std::error_code ignored;
  const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
  const std::string beside = (self.parent_path() / name).string();
  if (is_executable(beside)) return beside;
  return find_program(name, "", value_of(environment, "PATH"));
}

void find_programs(Preparation& found) {
  found.programs.control_plane = find_own("tulle-control-plane", found.environment);
  found.programs.sidecar = find_own("tulle-sidecar", found.environment);
  if (found.programs.control_plane.empty()) {
    found.problems.push_back("tulle-control-plane is neither beside this program nor in PATH");
  }
  if (found.programs.sidecar.empty()) {
    found.problems.push_back("tulle-sidecar is neither beside this program nor in PATH");
  }
}

void check_commands(const MeshFile& file, const std::string& path, Preparation& found) {
  for (const ServiceGroup& group : file.groups) {
    const std::string place = path + ": services." + group.name;
    const std::string directory = (fs::path(found.base) / group.directory).lexically_normal().string();
    std::error_code ignored;
    if (!fs::is_directory(directory, ignored)) {
      found.problems.push_back(place + ".directory: " + directory + ": no such directory");
      continue;
    }
    std::string search = value_of(group.environment, "PATH");
    if (search.empty()) search = value_of(found.environment, "PATH");
    const std::string& program = group.command.front();
    if (find_program(program, directory, search).empty()) {
      found.problems.push_back(
          place + ".command: " + program + ": no such program" +
          (program.find('/') == std::string::npos ? " in PATH" : " in " + directory) +
          "; install it, or name it by its path");
    }
  }
}

// Who applications run as can be chosen where sidecars are told from them by it.
void check_users(const MeshFile& file, const std::string& path, bool isolated, Preparation& found) {
  for (const ServiceGroup& group : file.groups) {
    if (group.user.empty()) continue;
    const std::string place = path + ": services." + group.name + ".user: ";
    if (!isolated) {
      found.problems.push_back(place + "only has a meaning with --isolate; without, all run as you");
      continue;
    }
    const Result<User> user = find_user(group.user);
    if (!user) {
      found.problems.push_back(place + user.error().detail);
    } else if (user->id == kSidecarUser) {
      found.problems.push_back(place + group.user + " is the sidecars' user: what it sends is not captured");
    }
  }
}

void read_policies(const MeshFile& file, Preparation& found) {
  FoundDocuments documents = find_documents(file.policies, found.base);
  std::ranges::move(documents.problems, std::back_inserter(found.problems));
  for (const model::Document& document : documents.documents) {
    const model::Metadata& metadata = document.metadata;
    found.policies.push_back(
        {shown_name(document),
         {Method::put,
          document_path(model::plural_of(document.kind()), metadata.namespace_name, metadata.name),
          model::to_json(document)}});
  }
}

}  // namespace

std::string find_program(const std::string& name, const std::string& directory,
                         const std::string& search_path) {
  if (name.find('/') != std::string::npos) {
    const std::string path = (fs::path(directory) / name).string();
    return is_executable(path) ? path : "";
  }
  std::string_view rest = search_path.empty() ? std::string_view("/usr/bin:/bin") : search_path;
  while (true) {
    const size_t colon = rest.find(':');
    const std::string folder(rest.substr(0, colon));
    const std::string path = (fs::path(folder.empty() ? directory : folder) / name).string();
    if (is_executable(path)) return path;
    if (colon == std::string_view::npos) return "";
    rest.remove_prefix(colon + 1);
  }
}

Preparation prepare(const std::string& path, bool isolated) {
  Preparation found;
  Result<std::string> text = read_whole_file(path);
  if (!text) {
    found.problems.push_back(text.error().detail);
    return found;
  }
  found.base = fs::absolute(path).parent_path().lexically_normal().string();
  found.environment = own_environment();
  FileProblems problems;
  std::optional<MeshFile> file = read_mesh_file(*text, problems);
  for (const FileProblem& problem : problems) found.problems.push_back(problem.text(path));
  find_programs(found);
  if (isolated) std::ranges::move(IsolatedNetwork::obstacles(), std::back_inserter(found.problems));
  if (!file) return found;
  check_users(*file, path, isolated, found);
  check_commands(*file, path, found);
  read_policies(*file, found);
  if (found.problems.empty()) found.file = std::move(file);
  return found;
}

}  // namespace tulle::cli
