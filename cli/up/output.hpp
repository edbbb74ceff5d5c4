// Output: the Journal of `up`: log files for all processes, and what a person sees of it.
//
// Owns the log files (bounded: two of 8 MiB per process). Services' lines are shown with the name
// of their instance in its colour; those of sidecars and control plane only when asked for.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cli/run_directory.hpp"
#include "cli/up/journal.hpp"
#include "cli/up/screen.hpp"
#include "cli/up/supervisor.hpp"

namespace tulle::cli {

class Output final : public Journal {
 public:
  Output(Screen screen, RunDirectory run, const Plan& plan, bool show_sidecars);
  ~Output() override;

  void line(std::string_view process, bool is_error, std::string_view text) override;
  void event(std::string_view process, Weight weight, std::string_view text) override;
  void say(std::string_view text) { screen_.line(text); }
  Screen& screen() { return screen_; }
  const Palette& palette() const { return screen_.palette(); }

 private:
  struct LogFile;
  void append(std::string_view process, std::string_view text);
  std::string prefix(std::string_view process) const;

  Screen screen_;
  const RunDirectory run_;
  const bool show_sidecars_;
  size_t width_;                           // of the longest name
  std::map<std::string, size_t, std::less<>> colours_;  // by instance
  std::map<std::string, std::unique_ptr<LogFile>, std::less<>> files_;
};

// The table of a mesh's instances.
std::string state_table(const RunRecord& record, const Palette& palette);
std::string coloured_state(std::string_view state, const Palette& palette);

}  // namespace tulle::cli
