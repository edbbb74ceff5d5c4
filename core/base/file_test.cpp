#include "core/base/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace tulle {
namespace {

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    char name[] = "/tmp/tulle_file_XXXXXX";
    folder = mkdtemp(name);
  }
  ~FileTest() override { std::filesystem::remove_all(folder); }
  std::string folder;
};

TEST_F(FileTest, ReplacesWholeFilesWithTheGivenMode) {
  const std::string path = folder + "/key.pem";
  const mode_t before = umask(0);
  ASSERT_TRUE(replace_file(path, "one", 0600));
  EXPECT_EQ(file_mode(path), 0600u);
  umask(077);
  ASSERT_TRUE(replace_file(path, "two", 0644));
  umask(before);
  EXPECT_EQ(file_mode(path), 0644u);
  EXPECT_EQ(*read_small_file(path), "two");
  // Nothing else is left behind.
  const auto entries = std::filesystem::directory_iterator(folder);
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST_F(FileTest, WhatACrashHasLeftIsOverwritten) {
  const std::string path = folder + "/a";
  ASSERT_TRUE(replace_file(path + ".new", "half", 0644));
  ASSERT_TRUE(replace_file(path, "whole", 0600));
  EXPECT_EQ(*read_small_file(path), "whole");
  EXPECT_EQ(file_mode(path), 0600u);
}

TEST_F(FileTest, SaysWhatIsWrong) {
  const auto absent = read_small_file(folder + "/absent");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Code::not_found);
  EXPECT_EQ(absent.error().detail, folder + "/absent: No such file or directory");
  const auto of_folder = read_small_file(folder);
  ASSERT_FALSE(of_folder);
  EXPECT_EQ(of_folder.error().detail, folder + ": is not a regular file");
  ASSERT_TRUE(replace_file(folder + "/large", "12345", 0644));
  EXPECT_EQ(read_small_file(folder + "/large", 4).error().detail,
            folder + "/large: is larger than 4 bytes");
  EXPECT_FALSE(replace_file(folder + "/absent/file", "x", 0600));
}

TEST_F(FileTest, MakesFoldersWithTheirParents) {
  ASSERT_TRUE(make_folder(folder + "/a/b/c", 0700));
  EXPECT_EQ(file_mode(folder + "/a/b/c"), 0700u);
  EXPECT_TRUE(make_folder(folder + "/a/b/c", 0700));
  ASSERT_TRUE(replace_file(folder + "/file", "", 0600));
  EXPECT_FALSE(make_folder(folder + "/file", 0700));
  EXPECT_TRUE(remove_file(folder + "/file"));
  EXPECT_TRUE(remove_file(folder + "/file"));
  EXPECT_EQ(file_mode(folder + "/file"), 0u);
}

}  // namespace
}  // namespace tulle
