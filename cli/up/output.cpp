#include "cli/up/output.hpp"

#include <stdio.h>

#include <algorithm>

#include "cli/render/table.hpp"
#include "cli/render/time_text.hpp"

namespace tulle::cli {
namespace {

constexpr long kLargestLog = 8 * 1024 * 1024;  // then it is put aside, and the one before removed

}  // namespace

struct Output::LogFile {
  explicit LogFile(std::string at) : path(std::move(at)), file(::fopen(path.c_str(), "ae")) {}
  ~LogFile() {
    if (file != nullptr) ::fclose(file);
  }
  void append(std::string_view text) {
    if (file == nullptr) return;
    const std::string line = utc_text(wall_now()) + " " + std::string(text) + "\n";
    ::fwrite(line.data(), 1, line.size(), file);
    ::fflush(file);
    size += static_cast<long>(line.size());
    if (size < kLargestLog) return;
    ::fclose(file);
    ::rename(path.c_str(), (path + ".1").c_str());
    file = ::fopen(path.c_str(), "ae");
    size = 0;
  }
  const std::string path;
  FILE* file;
  long size = 0;
};

Output::Output(Screen screen, RunDirectory run, const Plan& plan, bool show_sidecars)
    : screen_(screen), run_(std::move(run)), show_sidecars_(show_sidecars), width_(13) {
  for (const InstancePlan& instance : plan.instances) {
    width_ = std::max(width_, instance.name.size());
    colours_.emplace(instance.name, colours_.size());
  }
}

Output::~Output() = default;

void Output::append(std::string_view process, std::string_view text) {
  auto found = files_.find(process);
  if (found == files_.end()) {
    found = files_.emplace(process, std::make_unique<LogFile>(run_.log_of(process))).first;
  }
  found->second->append(text);
}

std::string Output::prefix(std::string_view process) const {
  const std::string name = padded(process, width_) + " | ";
  const auto colour = colours_.find(process.substr(0, process.find('.')));
  return colour == colours_.end() ? palette().dim(name) : palette().nth(colour->second, name);
}

void Output::line(std::string_view process, bool, std::string_view text) {
  append(process, text);
  if (colours_.contains(process) || show_sidecars_) {
    screen_.line(prefix(process) + without_controls(text));
  }
}

void Output::event(std::string_view process, Weight weight, std::string_view text) {
  while (true) {
    const size_t end = text.find('\n');
    const std::string plain = without_controls(text.substr(0, end));
    append("up", std::string(process) + ": " + plain);
    std::string shown = plain;
    switch (weight) {
      case Weight::info: break;
      case Weight::good: shown = palette().good(plain); break;
      case Weight::warning: shown = palette().warn(plain); break;
      case Weight::error: shown = palette().bad(plain); break;
    }
    screen_.line(prefix(process) + shown);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string coloured_state(std::string_view state, const Palette& palette) {
  if (state == "up" || state == "synced") return palette.good(state);
  if (state == "failed" || state == "rejected") return palette.bad(state);
  if (state == "ended" || state == "stopped") return palette.dim(state);
  return palette.warn(state);
}

std::string state_table(const RunRecord& record, const Palette& palette) {
  Table table({"INSTANCE", "SERVICE", "STATE", "ADDRESS", "RESTARTS", ""});
  table.row({"control-plane", "", coloured_state(record.control_plane_state, palette),
             record.api.substr(record.api.find("://") + 3), "", ""});
  for (const InstanceRecord& one : record.instances) {
    table.row({one.name, one.service, coloured_state(one.state, palette),
               address_text(one), std::to_string(one.restarts),
               palette.dim(without_controls(one.detail))});
  }
  return table.text();
}

}  // namespace tulle::cli
