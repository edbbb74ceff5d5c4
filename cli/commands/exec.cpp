#include <cstdlib>

#include "cli/commands/commands.hpp"
#include "cli/isolate/entrance.hpp"
#include "cli/isolate/isolation.hpp"
#include "cli/run_record.hpp"

namespace tulle::cli {
namespace {

std::string names_of(const RunRecord& record) {
  std::string names;
  for (const InstanceRecord& one : record.instances) names += (names.empty() ? "" : ", ") + one.name;
  return names;
}

std::vector<std::string> shell() {
  const char* wanted = std::getenv("SHELL");
  return {wanted != nullptr && *wanted != '\0' ? wanted : "/bin/sh"};
}

}  // namespace

int exec(const ExecOptions& options) {
  const Result<RunDirectory> run = choose_running(options.mesh);
  if (!run) return complain(run.error());
  const Result<RunRecord> record = read_record(*run);
  if (!record) return complain(record.error());
  for (const InstanceRecord& one : record->instances) {
    if (one.name != options.instance) continue;
    if (one.network_namespace.empty()) {
      return complain("mesh " + record->name + " has no namespaces: it was started without --isolate", kUsage);
    }
    Entrance entrance{one.network_namespace, run->hosts(), run->resolver(), one.name, "", one.user};
    if (options.sidecar) entrance.user = std::to_string(kSidecarUser);
    for (const char* variable : kProxyVariables) ::unsetenv(variable);
    return complain(enter(entrance, options.command.empty() ? shell() : options.command).detail, kFailed);
  }
  return complain("mesh " + record->name + " has no instance " + options.instance + ". These are: " +
                      names_of(*record), kUsage);
}

int enter(const EnterOptions& options) {
  const Entrance entrance{options.network,   options.hosts,     options.resolver,
                          options.host_name, options.directory, options.user};
  return complain(enter(entrance, options.command).detail, kFailed);
}

}  // namespace tulle::cli
