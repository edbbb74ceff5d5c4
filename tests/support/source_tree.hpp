// Where the files of the repository are that tests read.
//
// tests/run says so in TULLE_ROOT; a test started by hand looks upwards from where it stands. Not
// __FILE__: compiler caches may shorten it.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace tulle::testing {

inline std::filesystem::path source_tree() {
  if (const char* root = std::getenv("TULLE_ROOT")) return root;
  std::filesystem::path at = std::filesystem::current_path();
  while (!std::filesystem::exists(at / "CMakePresets.json") && at.has_relative_path()) {
    at = at.parent_path();
  }
  return at;
}

}  // namespace tulle::testing
