#include "core/net/file_watch.hpp"

#include <sys/stat.h>
#include <uv.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/net/loop.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "core/net/uv_cell.hpp"

namespace tulle {

namespace {

constexpr Duration kQuiet = 50ms;
constexpr Duration kQuietAtMost = 500ms;  // in a directory that never rests
// Catches what inotify does not see: network file systems, directories that come and go.
constexpr Duration kRecheck = 10s;

// What tells two contents apart without reading them. All zero: the file cannot be seen.
struct FileState {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, modified_ns = 0;
  friend bool operator==(const FileState&, const FileState&) = default;
};

// Follows symbolic links: Kubernetes swaps a link to the directory above the file.
FileState look_at(const std::string& path) {
  struct stat seen;
  if (::stat(path.c_str(), &seen) != 0) return {};
  return {seen.st_dev, seen.st_ino, seen.st_size,
          seen.st_mtim.tv_sec * int64_t{1'000'000'000} + seen.st_mtim.tv_nsec};
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class UvFileWatch final : public FileWatch, private Task {
 public:
  UvFileWatch(Loop& loop, std::vector<std::string> paths, Task& owner);
  ~UvFileWatch() override {
    for (Directory& directory : directories_) stop(directory);
  }
  bool take() override { return std::exchange(changed_, false); }

 private:
  using Cell = UvCell<uv_fs_event_t, UvFileWatch>;
  struct Directory {
    std::string path;
    Cell* cell = nullptr;   // null: cannot be watched at present; the slow check tries again
    uint64_t inode = 0;     // of the directory that is watched: it may be replaced as well
  };

  void run() override;
  void on_event();
  void check();
  void watch(Directory& directory);
  static void stop(Directory& directory) {
    if (directory.cell != nullptr) std::exchange(directory.cell, nullptr)->close();
  }

  Task& owner_;
  std::vector<std::string> paths_;
  std::vector<FileState> states_;
  std::vector<Directory> directories_;
  bool changed_ = false;
  Instant restless_since_;
  Timer quiet_{*this};
  Timer recheck_{*this};
};

UvFileWatch::UvFileWatch(Loop& loop, std::vector<std::string> paths, Task& owner)
    : Task(loop), owner_(owner), paths_(std::move(paths)) {
  for (const std::string& path : paths_) {
    states_.push_back(look_at(path));
    const std::string directory = directory_of(path);
    const auto same = [&](const Directory& d) { return d.path == directory; };
    if (std::none_of(directories_.begin(), directories_.end(), same)) {
      directories_.push_back({directory});
    }
  }
  for (Directory& directory : directories_) watch(directory);
  recheck_.arm(kRecheck);
}

// Watches the directory, if it is not the one that is watched already.
void UvFileWatch::watch(Directory& directory) {
  const uint64_t inode = look_at(directory.path).inode;
  if (directory.cell != nullptr && directory.inode == inode) return;
  stop(directory);
  auto* cell = new Cell(loop_, *this);
  ASSERT(uv_fs_event_init(uv_loop_of(loop_), &cell->handle) == 0);
  cell->bind();
  const auto trampoline = [](uv_fs_event_t* handle, const char*, int, int) {
    Cell& from = Cell::of(handle);
    if (from.owner == nullptr) return;
    from.loop.freshen_now();
    from.owner->on_event();
  };
  if (uv_fs_event_start(&cell->handle, trampoline, directory.path.c_str(), 0) != 0) {
    return cell->close();
  }
  directory.cell = cell;
  directory.inode = inode;
}

void UvFileWatch::on_event() {
  if (!quiet_.armed()) restless_since_ = loop_.now();
  if (loop_.now() - restless_since_ < kQuietAtMost) quiet_.arm(kQuiet);
}

void UvFileWatch::run() {
  if (quiet_.fired()) {
    quiet_.disarm();
    check();
  }
  if (recheck_.fired()) {
    recheck_.arm(kRecheck);
    check();
  }
}

void UvFileWatch::check() {
  for (Directory& directory : directories_) watch(directory);
  for (size_t i = 0; i < paths_.size(); ++i) {
    const FileState now = look_at(paths_[i]);
    if (now == states_[i]) continue;
    states_[i] = now;
    changed_ = true;
  }
  if (changed_) owner_.wake();
}

}  // namespace

std::unique_ptr<FileWatch> watch_files(Loop& loop, std::vector<std::string> paths, Task& owner) {
  return std::make_unique<UvFileWatch>(loop, std::move(paths), owner);
}

}  // namespace tulle
