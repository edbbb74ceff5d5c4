#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <fstream>
#include <set>
#include <thread>

#include "cli/commands/commands.hpp"
#include "cli/render/palette.hpp"
#include "cli/render/table.hpp"
#include "cli/run_record.hpp"

namespace tulle::cli {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(100);

struct LogLine {
  std::string time;  // as written: sorts as text
  size_t process;
  std::string text;
};

// One process's log file, read forwards; begun anew when it was put aside for being long.
class LogReader {
 public:
  LogReader(std::string path, size_t process) : path_(std::move(path)), process_(process) {}

  void read_on(std::vector<LogLine>& into) {
    std::ifstream file(path_, std::ios::binary);
    if (!file) return;
    file.seekg(0, std::ios::end);
    const std::streamoff size = file.tellg();
    if (size < at_) at_ = 0;
    file.seekg(at_);
    std::string line;
    while (std::getline(file, line)) {
      if (file.eof()) break;  // not whole yet
      at_ += static_cast<std::streamoff>(line.size()) + 1;
      const size_t blank = std::min(line.find(' '), line.size());
      into.push_back({line.substr(0, blank), process_,
                      blank < line.size() ? line.substr(blank + 1) : ""});
    }
  }

 private:
  const std::string path_;
  const size_t process_;
  std::streamoff at_ = 0;
};

class LogView {
 public:
  LogView(const RunDirectory& run, std::vector<std::string> processes, bool timestamps)
      : processes_(std::move(processes)), palette_(Palette::of(STDOUT_FILENO)), timestamps_(timestamps) {
    for (size_t i = 0; i < processes_.size(); ++i) {
      readers_.emplace_back(run.log_of(processes_[i]), i);
      width_ = std::max(width_, processes_[i].size());
    }
  }

  // What has come since the last call, in the order of its time; at most the last `most`.
  void show(size_t most) {
    std::vector<LogLine> lines;
    for (LogReader& reader : readers_) reader.read_on(lines);
    std::ranges::stable_sort(lines, {}, &LogLine::time);
    const size_t first = lines.size() > most ? lines.size() - most : 0;
    for (size_t i = first; i < lines.size(); ++i) print(lines[i]);
    ::fflush(stdout);
  }

 private:
  void print(const LogLine& line) {
    const std::string name = padded(processes_[line.process], width_) + " | ";
    const std::string time = timestamps_ ? palette_.dim(line.time) + " " : "";
    ::printf("%s%s%s\n", time.c_str(), palette_.nth(line.process, name).c_str(),
             without_controls(line.text).c_str());
  }

  const std::vector<std::string> processes_;
  const Palette palette_;
  const bool timestamps_;
  size_t width_ = 0;
  std::vector<LogReader> readers_;
};

// The processes that are meant; the first name that means none is an error.
Result<std::vector<std::string>> processes_of(const RunRecord& record, const LogsOptions& options) {
  std::vector<std::string> found;
  std::set<std::string> known;
  const std::string suffix = options.sidecars ? ".sidecar" : "";
  for (const InstanceRecord& one : record.instances) {
    known.insert({one.name, one.group, one.service});
    const auto meant = [&](const std::string& name) {
      return name == one.name || name == one.group || name == one.service;
    };
    if (options.of.empty() || std::ranges::any_of(options.of, meant)) found.push_back(one.name + suffix);
  }
  for (const std::string& name : options.of) {
    if (name == "control-plane" || name == "up") {
      found.push_back(name);
    } else if (!known.contains(name)) {
      std::string list = "control-plane, up";
      for (const std::string& one : known) list += ", " + one;
      return Error{Code::not_found, Origin::local,
                   "mesh " + record.name + " has no \"" + name + "\"; it has " + list};
    }
  }
  return found;
}

}  // namespace

int logs(const LogsOptions& options) {
  Result<RunDirectory> run = choose_running(options.mesh);
  if (!run) return complain(run.error());
  Result<RunRecord> record = read_record(*run);
  if (!record) return complain(record.error());
  Result<std::vector<std::string>> processes = processes_of(*record, options);
  if (!processes) return complain(processes.error().detail, kFailed);
  LogView view(*run, std::move(*processes), options.timestamps);
  view.show(options.lines);
  // Following ends with the mesh, or with Ctrl-C.
  while (options.follow) {
    std::this_thread::sleep_for(kLookEvery);
    const bool last = !run->holder().has_value();
    view.show(SIZE_MAX);
    if (last) break;
  }
  return kDone;
}

}  // namespace tulle::cli
