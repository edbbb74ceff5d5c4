// Preparation: everything that can be found wrong before anything is started.
//
// Reads the mesh file and the documents it names, finds our own programs and looks for the commands
// of the services. All problems are reported together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/file/mesh_file.hpp"
#include "cli/up/api_sequence.hpp"
#include "cli/up/plan.hpp"

namespace tulle::cli {

struct Preparation {
  std::optional<MeshFile> file;        // set exactly when problems is empty
  std::string base;                    // the folder of the file
  std::vector<ApiStep> policies;
  Programs programs;
  TextPairs environment;               // our own
  std::vector<std::string> problems;
};

// `isolated`: for namespaces, which need more of this machine.
Preparation prepare(const std::string& path, bool isolated);

// The file that would be run, looked up in PATH as execvp() does; empty: none.
std::string find_program(const std::string& name, const std::string& directory,
                         const std::string& search_path);

}  // namespace tulle::cli
