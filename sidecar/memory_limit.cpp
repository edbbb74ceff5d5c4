#include "sidecar/memory_limit.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace tulle {
namespace {

constexpr int64_t kMost = int64_t{1} << 30;
constexpr int64_t kLeast = int64_t{8} << 20;  // below that nothing could be served

// "max" (v2) and a number near 2^63 (v1) mean none.
int64_t limit_in(const std::string& file) {
  std::ifstream in(file);
  int64_t bytes = 0;
  return in >> bytes && bytes > 0 ? bytes : INT64_MAX;
}

// A cgroup and all above it: any of them may be the one that is limited. In a container the path is
// often that of the host and does not exist; then the mount itself is our cgroup.
int64_t smallest(const std::string& mount, std::string path, const char* file) {
  int64_t least = limit_in(mount + "/" + file);
  while (path.size() > 1) {
    least = std::min(least, limit_in(mount + path + "/" + file));
    path.resize(path.find_last_of('/'));
  }
  return least;
}

// Lines of /proc/self/cgroup: "0::/path" (v2), "4:memory:/path" (v1).
int64_t cgroup_limit(const std::string& root) {
  int64_t least = INT64_MAX;
  std::ifstream lines(root + "/proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      least = std::min(least, smallest(root + "/sys/fs/cgroup", path, "memory.max"));
    } else if (controllers.find(",memory,") != std::string::npos) {
      const std::string mount = root + "/sys/fs/cgroup/memory";
      least = std::min(least, smallest(mount, path, "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace

int64_t traffic_memory(const std::string& root, int64_t physical) {
  return std::clamp(std::min(cgroup_limit(root), physical) / 2, kLeast, kMost);
}

int64_t traffic_memory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  return traffic_memory("", pages > 0 ? pages * sysconf(_SC_PAGESIZE) : INT64_MAX);
}

}  // namespace tulle
