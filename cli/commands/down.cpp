#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "cli/commands/commands.hpp"
#include "cli/run_record.hpp"

namespace tulle::cli {
namespace {

// Longer than everything an orderly end may take: drain, services, control plane.
constexpr auto kOrderlyWithin = std::chrono::seconds(40);
constexpr auto kKilledWithin = std::chrono::seconds(5);

// A name, or the file a mesh was started from.
Result<RunDirectory> find_run(const std::string& mesh) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(mesh, ignored)) return choose_running(mesh);
  const std::string file = std::filesystem::absolute(mesh).lexically_normal().string();
  for (const RunDirectory& run : running_meshes()) {
    const Result<RunRecord> record = read_record(run);
    if (record && std::filesystem::path(record->file).lexically_normal() == file) return run;
  }
  return Error{Code::not_found, Origin::local, "no mesh is up that was started from " + mesh};
}

bool gone_within(const RunDirectory& run, std::chrono::steady_clock::duration limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (run.holder().has_value()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace

int down(const DownOptions& options) {
  Result<RunDirectory> run = find_run(options.mesh);
  if (!run) return complain(run.error());
  const int holder = run->holder().value_or(0);
  if (holder <= 0) return complain("mesh " + run->name() + " is ending already", kFailed);
  if (::kill(holder, SIGTERM) != 0) {
    return complain("process " + std::to_string(holder) + " may not be signalled", kFailed);
  }
  if (options.now) ::kill(holder, SIGINT);  // the second signal: at once
  if (gone_within(*run, kOrderlyWithin)) {
    ::printf("mesh %s is down\n", run->name().c_str());
    return kDone;
  }
  // Its keeper then kills what it has started.
  ::kill(holder, SIGKILL);
  if (!gone_within(*run, kKilledWithin)) {
    return complain("process " + std::to_string(holder) + " does not end", kFailed);
  }
  run->remove_state();
  return complain("mesh " + run->name() + " did not end within 40 s and was killed", kFailed);
}

}  // namespace tulle::cli
