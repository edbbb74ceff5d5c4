#include "sidecar/memory_limit.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/folder.hpp"

namespace tulle {
namespace {

constexpr int64_t kMiB = 1 << 20;

class MemoryLimit : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = root() + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::string root() const { return folder_.path(); }
  testing::TemporaryFolder folder_;
};

TEST_F(MemoryLimit, IsHalfOfTheTightestCgroupAboveUs) {
  write("proc/self/cgroup", "0::/pod/app\n");
  write("sys/fs/cgroup/pod/app/memory.max", "max\n");
  write("sys/fs/cgroup/pod/memory.max", "134217728\n");
  EXPECT_EQ(traffic_memory(root(), 1 << 30), 64 * kMiB);
}

TEST_F(MemoryLimit, KnowsTheFirstVersionOfCgroups) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/pod\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "100663296\n");
  EXPECT_EQ(traffic_memory(root(), int64_t{8} << 30), 48 * kMiB);
}

TEST_F(MemoryLimit, AContainerSeesItsCgroupAtTheMount) {
  write("proc/self/cgroup", "4:memory:/not/visible/in/here\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
  EXPECT_EQ(traffic_memory(root(), int64_t{8} << 30), 32 * kMiB);
}

TEST_F(MemoryLimit, StaysWithinBoundsWithoutOne) {
  EXPECT_EQ(traffic_memory(root(), 512 * kMiB), 256 * kMiB);
  EXPECT_EQ(traffic_memory(root(), int64_t{64} << 30), 1024 * kMiB);
  EXPECT_EQ(traffic_memory(root(), kMiB), 8 * kMiB);
}

}  // namespace
}  // namespace tulle
