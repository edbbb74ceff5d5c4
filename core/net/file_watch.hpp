// FileWatch: notices that one of some files has changed, whoever replaces it and however.
//
// Watches the directories (inotify, by uv_fs_event), because editors and Kubernetes replace files
// by rename and symbolic link, and re-checks (device, inode, size, mtime) by a slow timer besides.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace tulle {

class Loop;
class Task;

class FileWatch {
 public:
  virtual ~FileWatch() = default;
  virtual bool take() = 0;  // true once per change since the last call
};
// Wakes `owner` after a change has been quiet for 50 ms.
std::unique_ptr<FileWatch> watch_files(Loop& loop, std::vector<std::string> paths, Task& owner);

}  // namespace tulle
