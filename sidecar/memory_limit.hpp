// traffic_memory: what traffic may use of the memory this process may use.
#pragma once

#include <cstdint>
#include <string>

namespace tulle {

// Half of the smallest limit among the process's cgroups and the machine, at most 1 GiB. The other
// half is for the program, its configuration, the allocator's waste and the kernel's socket buffers,
// which a cgroup pays for as well.
int64_t traffic_memory();

// The same with everything below `root` instead of `/`, for tests.
int64_t traffic_memory(const std::string& root, int64_t physical);

}  // namespace tulle
