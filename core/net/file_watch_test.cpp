#include "core/net/file_watch.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/net/test_loop.hpp"

namespace tulle {
namespace {

namespace fs = std::filesystem;

class Owner : public Task {
 public:
  using Task::Task;
  int runs = 0;

 private:
  void run() override { ++runs; }
};

class FileWatchTest : public testing::Test {
 protected:
  FileWatchTest() {
    std::string pattern = (fs::temp_directory_path() / "tulle-watch-XXXXXX").string();
    dir = mkdtemp(pattern.data());
  }
  ~FileWatchTest() override { fs::remove_all(dir); }
  void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  bool noticed() {
    return test.run_until([&] { return watch->take(); });
  }

  fs::path dir;
  TestLoop test;
  Owner owner{test.loop};
  std::unique_ptr<FileWatch> watch;
};

TEST_F(FileWatchTest, NoticesWritingRenamingAndRemoving) {
  write(dir / "a", "1");
  watch = watch_files(test.loop, {dir / "a"}, owner);
  EXPECT_FALSE(watch->take());
  write(dir / "a", "22");
  ASSERT_TRUE(noticed());
  EXPECT_FALSE(watch->take());
  EXPECT_EQ(owner.runs, 1);
  write(dir / "a.new", "22");
  fs::rename(dir / "a.new", dir / "a");
  ASSERT_TRUE(noticed());
  fs::remove(dir / "a");
  ASSERT_TRUE(noticed());
  write(dir / "a", "back");
  ASSERT_TRUE(noticed());
}

// A mounted ConfigMap: the file is a link through `..data`, and that link is replaced.
TEST_F(FileWatchTest, NoticesASwappedDirectoryLink) {
  fs::create_directory(dir / "v1");
  fs::create_directory(dir / "v2");
  write(dir / "v1" / "cert", "old");
  write(dir / "v2" / "cert", "new");
  fs::create_symlink("v1", dir / "..data");
  fs::create_symlink("..data/cert", dir / "cert");
  watch = watch_files(test.loop, {dir / "cert"}, owner);
  fs::create_symlink("v2", dir / "..tmp");
  fs::rename(dir / "..tmp", dir / "..data");
  EXPECT_TRUE(noticed());
}

TEST_F(FileWatchTest, OtherFilesInTheDirectoryDoNotCount) {
  write(dir / "a", "1");
  write(dir / "b", "1");
  watch = watch_files(test.loop, {dir / "a", dir / "b"}, owner);
  write(dir / "unrelated", "x");
  EXPECT_FALSE(test.run_until([&] { return watch->take(); }, 150ms));
  write(dir / "b", "22");
  EXPECT_TRUE(noticed());
}

TEST_F(FileWatchTest, SeveralChangesInARowAreOne) {
  write(dir / "a", "");
  watch = watch_files(test.loop, {dir / "a"}, owner);
  for (int i = 0; i < 20; ++i) write(dir / "a", std::string(static_cast<size_t>(i) + 1, 'x'));
  ASSERT_TRUE(noticed());
  EXPECT_FALSE(test.run_until([&] { return watch->take(); }, 150ms));
}

TEST_F(FileWatchTest, MissingDirectoryIsNoError) {
  watch = watch_files(test.loop, {dir / "later" / "a"}, owner);
  test.settle();
  EXPECT_FALSE(watch->take());
}

}  // namespace
}  // namespace tulle
