#include "core/net/child_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <deque>

#include "core/net/process_keeper.hpp"
#include "core/net/task.hpp"
#include "core/net/uv_cell.hpp"

namespace tulle {
namespace {

// One pipe of output: bytes in, lines out.
class OutputPipe {
 public:
  OutputPipe(Loop& loop, int descriptor, bool is_error, std::deque<ChildProcess::Line>& lines,
             Task& owner)
      : lines_(lines), owner_(owner), cell_(new Cell(loop, *this)), is_error_(is_error) {
    ASSERT(uv_pipe_init(uv_loop_of(loop), &cell_->handle, 0) == 0);
    cell_->bind();
    ASSERT(uv_pipe_open(&cell_->handle, descriptor) == 0);
    read_on();
  }
  ~OutputPipe() { close(); }

  bool ended() const { return cell_ == nullptr; }
  void read_on() {
    if (cell_ != nullptr && !reading_ && lines_.size() < ChildProcess::kWaitingLines) {
      reading_ = uv_read_start(stream(), &OutputPipe::on_alloc, &OutputPipe::on_read) == 0;
    }
  }

 private:
  using Cell = UvCell<uv_pipe_t, OutputPipe>;
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&cell_->handle); }

  static void on_alloc(uv_handle_t*, size_t, uv_buf_t* buffer) {
    static thread_local std::array<char, 16 * 1024> space;
    *buffer = uv_buf_init(space.data(), space.size());
  }
  static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
    Cell& cell = Cell::of(stream);
    if (cell.owner == nullptr || count == 0) return;
    cell.loop.freshen_now();
    if (count < 0) return cell.owner->end();
    cell.owner->take(std::string_view(buffer->base, static_cast<size_t>(count)));
  }

  void take(std::string_view bytes) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      part_line_.append(part.substr(0, ChildProcess::kLongestLine - part_line_.size()));
      if (end == std::string_view::npos) break;
      finish_line();
      bytes.remove_prefix(end + 1);
    }
    // One read may bring many short lines; the bound is on what is read beyond them.
    if (lines_.size() >= ChildProcess::kWaitingLines) {
      uv_read_stop(stream());
      reading_ = false;
    }
  }
  void finish_line() {
    if (part_line_.ends_with('\r')) part_line_.pop_back();
    lines_.push_back({is_error_, std::move(part_line_)});
    part_line_.clear();
    owner_.wake();
  }
  void end() {
    if (!part_line_.empty()) finish_line();
    close();
    owner_.wake();
  }
  void close() {
    if (cell_ != nullptr) std::exchange(cell_, nullptr)->close();
  }

  std::deque<ChildProcess::Line>& lines_;
  Task& owner_;
  Cell* cell_;  // null: the end has been read
  const bool is_error_;
  bool reading_ = false;
  std::string part_line_;
};

class UvChildProcess;

// Outlives its owner until the process has ended: somebody must take its status.
struct ProcessCell {
  ProcessCell(Loop& on, ProcessKeeper* by) : loop(on), keeper(by) { loop.cell_opened(); }
  ~ProcessCell() { loop.cell_closed(); }
  static ProcessCell& of(uv_process_t* handle) { return *static_cast<ProcessCell*>(handle->data); }
  void close() {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle),
             [](uv_handle_t* closed) { delete static_cast<ProcessCell*>(closed->data); });
  }

  Loop& loop;
  ProcessKeeper* keeper;  // asked while an owner is there only
  UvChildProcess* owner = nullptr;
  uv_process_t handle;
};

class UvChildProcess final : public ChildProcess {
 public:
  UvChildProcess(Task& owner) : owner_(owner) {}
  ~UvChildProcess() override {
    if (cell_ == nullptr) return;
    ::kill(-id_, SIGKILL);
    if (cell_->keeper != nullptr) cell_->keeper->forget(id_);
    cell_->owner = nullptr;
  }

  void adopt(ProcessCell& cell) {
    cell_ = &cell;
    cell.owner = this;
    id_ = cell.handle.pid;
  }
  void read_from(Loop& loop, int out, int err) {
    out_ = std::make_unique<OutputPipe>(loop, out, false, lines_, owner_);
    err_ = std::make_unique<OutputPipe>(loop, err, true, lines_, owner_);
  }

  int id() const override { return id_; }
  const std::optional<Exit>& exit() const override { return exit_; }
  bool output_ended() const override { return out_->ended() && err_->ended(); }
  void signal(int number) override {
    if (cell_ != nullptr) ::kill(-id_, number);
  }
  std::optional<Line> take_line() override {
    if (lines_.empty()) return std::nullopt;
    Line line = std::move(lines_.front());
    lines_.pop_front();
    if (lines_.size() < kWaitingLines / 2) {
      out_->read_on();
      err_->read_on();
    }
    return line;
  }

  static void on_exit(uv_process_t* handle, int64_t status, int signal) {
    ProcessCell& cell = ProcessCell::of(handle);
    if (cell.owner != nullptr) cell.owner->end(static_cast<int>(status), signal);
    cell.close();
  }

 private:
  void end(int status, int signal) {
    cell_->loop.freshen_now();
    // libuv has only just taken the status: the group's number cannot have come round again.
    ::kill(-id_, SIGKILL);
    if (cell_->keeper != nullptr) cell_->keeper->forget(id_);
    cell_ = nullptr;
    exit_ = Exit{status, signal};
    owner_.wake();
  }

  Task& owner_;
  int id_ = 0;
  ProcessCell* cell_ = nullptr;  // null: it has ended
  std::deque<Line> lines_;
  std::unique_ptr<OutputPipe> out_, err_;
  std::optional<Exit> exit_;
};

// Ordinary pipes, not libuv's socket pairs: programs open /dev/stdout, which sockets refuse.
struct PipeEnds {
  PipeEnds() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    ours = ends[0];
    theirs = ends[1];
  }
  ~PipeEnds() {
    if (ours >= 0) ::close(ours);
    if (theirs >= 0) ::close(theirs);
  }
  int ours = -1;
  int theirs = -1;
};

Error why_not(const ChildOptions& options, int status) {
  const std::string& program = options.command.front();
  if (status == UV_ENOENT) {
    return {Code::not_found, Origin::local,
            program + ": no such program" +
                (program.find('/') == std::string::npos ? " in PATH" : "")};
  }
  if (status == UV_EACCES) {
    return {Code::io_error, Origin::local,
            program + ": may not be executed (chmod +x " + program + "?)"};
  }
  return {Code::io_error, Origin::local, program + ": " + uv_strerror(status)};
}

class UvProcessStarter final : public ProcessStarter {
 public:
  UvProcessStarter(Loop& loop, ProcessKeeper* keeper) : loop_(loop), keeper_(keeper) {}
  Result<std::unique_ptr<ChildProcess>> start(ChildOptions options, Task& owner) override;

 private:
  Loop& loop_;
  ProcessKeeper* keeper_;
};

Result<std::unique_ptr<ChildProcess>> UvProcessStarter::start(ChildOptions options, Task& owner) {
  ASSERT(!options.command.empty());
  struct stat seen;
  if (!options.directory.empty() &&
      (::stat(options.directory.c_str(), &seen) != 0 || !S_ISDIR(seen.st_mode))) {
    return Error{Code::not_found, Origin::local, options.directory + ": no such directory"};
  }
  PipeEnds out, err;
  if (out.ours < 0 || err.ours < 0) {
    return Error{Code::io_error, Origin::local, std::string("pipe: ") + ::strerror(errno)};
  }
  std::vector<char*> arguments, environment;
  for (std::string& argument : options.command) arguments.push_back(argument.data());
  std::vector<std::string> assignments;
  assignments.reserve(options.environment.size());
  for (const auto& [name, value] : options.environment) assignments.push_back(name + "=" + value);
  for (std::string& assignment : assignments) environment.push_back(assignment.data());
  arguments.push_back(nullptr);
  environment.push_back(nullptr);

  std::array<uv_stdio_container_t, 3> stdio{};
  stdio[0].flags = UV_IGNORE;
  stdio[1].flags = stdio[2].flags = UV_INHERIT_FD;
  stdio[1].data.fd = out.theirs;
  stdio[2].data.fd = err.theirs;
  uv_process_options_t how{};
  how.file = arguments.front();
  how.args = arguments.data();
  how.env = environment.data();
  how.cwd = options.directory.empty() ? nullptr : options.directory.c_str();
  how.flags = UV_PROCESS_DETACHED;  // setsid(): a session and a group of its own
  how.stdio = stdio.data();
  how.stdio_count = stdio.size();
  how.exit_cb = &UvChildProcess::on_exit;

  auto* cell = new ProcessCell(loop_, keeper_);
  cell->handle.data = cell;
  const int status = uv_spawn(uv_loop_of(loop_), &cell->handle, &how);
  if (status != 0) {
    cell->close();
    return why_not(options, status);
  }
  if (keeper_ != nullptr) keeper_->keep(cell->handle.pid);
  auto process = std::make_unique<UvChildProcess>(owner);
  process->adopt(*cell);
  process->read_from(loop_, std::exchange(out.ours, -1), std::exchange(err.ours, -1));
  return std::unique_ptr<ChildProcess>(std::move(process));
}

}  // namespace

std::unique_ptr<ProcessStarter> make_process_starter(Loop& loop, ProcessKeeper* keeper) {
  return std::make_unique<UvProcessStarter>(loop, keeper);
}

std::string to_string(const ChildProcess::Exit& exit) {
  if (exit.signal == 0) return "status " + std::to_string(exit.status);
  return "signal " + std::to_string(exit.signal) + " (" + ::strsignal(exit.signal) + ")";
}

}  // namespace tulle
