#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "cli/commands/commands.hpp"
#include "cli/isolate/isolated_mesh.hpp"
#include "cli/run_record.hpp"
#include "cli/up/detach.hpp"
#include "cli/up/free_ports.hpp"
#include "cli/up/output.hpp"
#include "cli/up/preparation.hpp"
#include "cli/up/supervisor.hpp"
#include "core/net/loop.hpp"
#include "core/net/process_keeper.hpp"
#include "core/net/signal.hpp"

namespace tulle::cli {
namespace {

// A screen, a file and a person are told of changes at most so often.
constexpr Duration kShowEvery = 50ms;
// In the background somebody waits for the outcome; so long at most.
constexpr Duration kDetachedWithin = 60s;

// The whole command while it runs: signals in, the supervisor's state out.
class Up final : private Task {
 public:
  Up(Loop& loop, const Networks& networks, ProcessStarter& starter, const Plan& plan, RunDirectory run,
     std::string file, std::vector<ApiStep> policies, Output& output, Detached* detached)
      : Task(loop),
        run_(run),
        file_(std::move(file)),
        plan_(plan),
        output_(output),
        detached_(detached),
        supervisor_(loop, {*networks.control_plane, starter, output}, plan, run,
                    std::move(policies), *this, networks.of_instances()),
        interrupt_(watch_signal(loop, SIGINT, *this)),
        terminate_(watch_signal(loop, SIGTERM, *this)),
        hangup_(watch_signal(loop, SIGHUP, *this)),
        show_(*this),
        patience_(*this),
        began_(loop.now()),
        started_(wall_now().us / 1'000'000) {
    if (detached_ != nullptr) patience_.arm(kDetachedWithin);
    wake();
  }

  int exit_code() const { return supervisor_.failure().empty() ? kDone : kFailed; }

 private:
  void run() override;
  void heed_signals();
  void show();
  void tell_settled();
  void tell_failure();
  RunRecord record() const;

  const RunDirectory run_;
  const std::string file_;
  const Plan& plan_;
  Output& output_;
  Detached* detached_;
  Supervisor supervisor_;
  std::unique_ptr<SignalWatch> interrupt_, terminate_, hangup_;
  Timer show_, patience_;
  const Instant began_;
  const int64_t started_;
  bool told_settled_ = false;
  bool told_failure_ = false;
  std::string written_;
};

void Up::run() {
  heed_signals();
  tell_failure();
  if (!told_settled_ && supervisor_.phase() == Supervisor::Phase::up) tell_settled();
  if (detached_ != nullptr && patience_.fired()) {
    patience_.disarm();
    detached_->finish("not everything is up after 60 s; see: tulle status " + plan_.name, kFailed);
    output_.screen().copy_to(-1);
  }
  if (supervisor_.over()) {
    output_.screen().block("");
    return loop_.stop();
  }
  if (!show_.armed()) {
    show();
    show_.arm(kShowEvery);
  } else if (show_.fired()) {
    show_.disarm();
    wake();
  }
}

void Up::heed_signals() {
  const int asked = interrupt_->take() + terminate_->take() + hangup_->take();
  if (asked == 0) return;
  if (supervisor_.phase() != Supervisor::Phase::stopping) {
    output_.say(output_.palette().bold("stopping") +
                ": sidecars drain, services end, then the control plane (once more: at once)");
  }
  for (int i = 0; i < asked; ++i) supervisor_.stop();
}

RunRecord Up::record() const {
  RunRecord record = supervisor_.record();
  record.name = plan_.name;
  record.file = file_;
  record.started = started_;
  return record;
}

void Up::show() {
  const RunRecord now = record();
  const bool live = supervisor_.phase() != Supervisor::Phase::up;
  if (live) output_.screen().block(state_table(now, output_.palette()));
  std::string text = to_json(now);
  if (text == written_) return;
  if (Result<void> written = write_file(run_.record(), text, 0600); !written) {
    output_.event("up", Journal::Weight::error, written.error().detail);
  }
  written_ = std::move(text);
}

void Up::tell_failure() {
  if (supervisor_.failure().empty() || std::exchange(told_failure_, true)) return;
  output_.event("up", Journal::Weight::error, supervisor_.failure());
}

void Up::tell_settled() {
  told_settled_ = true;
  const Palette& palette = output_.palette();
  const RunRecord now = record();
  output_.screen().block("");
  output_.say("\n" + state_table(now, palette));
  size_t up = 0;
  for (const InstanceRecord& one : now.instances) up += one.state == "up";
  const auto tenths = (loop_.now() - began_).count() / 100'000'000;
  output_.say(palette.bold("mesh " + plan_.name + ": " + std::to_string(up) + " of " +
                           std::to_string(now.instances.size()) + " instances are up") +
              ", after " + std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s");
  output_.say(now.network_namespace.empty()
                  ? "  through a sidecar, as its service would call:  curl -x http://127.0.0.1:" +
                        std::to_string(now.instances[0].outbound_port) + " http://" +
                        plan_.services[0].authority + "/"
                  : "  as an application would call:  tulle exec " + now.instances[0].name +
                        " -- curl http://" + plan_.services[0].authority + "/");
  output_.say("  look:  tulle status " + plan_.name + "   change:  tulle apply -f FILE   end:  " +
              (detached_ != nullptr ? "" : "Ctrl-C, or ") + "tulle down " + plan_.name + "\n");
  show_.disarm();
  wake();
  if (detached_ == nullptr) return;
  patience_.disarm();
  detached_->finish("", up == now.instances.size() ? kDone : kFailed);
  output_.screen().copy_to(-1);
}

Result<void> give_folder(const std::string& path, uint32_t user) {
  if (Result<void> made = make_directories(path); !made) return made;
  if (::chmod(path.c_str(), 0700) == 0 && ::chown(path.c_str(), user, user) == 0) return {};
  return Error{Code::io_error, Origin::local, path + ": " + ::strerror(errno)};
}

Result<void> write_configuration(const Plan& plan) {
  Result<void> written = write_file(plan.control_plane.config_path, plan.control_plane.config);
  for (const InstancePlan& instance : plan.instances) {
    if (written) written = make_directories(instance.directory);
    if (written) written = write_file(instance.bootstrap_path, instance.bootstrap);
    // A sidecar with a user of its own writes to these; the folder itself stays ours.
    for (const char* folder : {"/identity", "/state"}) {
      if (written && instance.sidecar_user) written = give_folder(instance.directory + folder, *instance.sidecar_user);
    }
  }
  return written;
}

int run_mesh(const Preparation& prepared, const RunDirectory& run, const UpOptions& options,
             Detached* detached) {
  // In the background nobody sees our standard error.
  const auto give_up = [&](const Error& why) {
    if (detached != nullptr) detached->finish("tulle: " + why.detail, kFailed);
    return complain(why);
  };
  Result<std::unique_ptr<ProcessKeeper>> keeper = ProcessKeeper::start();
  if (!keeper) return give_up(keeper.error());
  Result<std::vector<uint16_t>> ports = free_ports(ports_needed(*prepared.file));
  if (!ports) return give_up(ports.error());
  Plan plan = make_plan(*prepared.file, prepared.base, run, prepared.programs,
                        prepared.environment, *ports);
  std::optional<LaterSignals> later;
  std::unique_ptr<IsolatedMesh> isolated;
  if (options.isolate) {
    later.emplace();
    Result<std::unique_ptr<IsolatedMesh>> made =
        IsolatedMesh::build(plan, *prepared.file, run, options.ipv6);
    if (!made) return give_up(made.error());
    isolated = std::move(*made);
  }
  Result<void> written = write_configuration(plan);
  if (!written) return give_up(written.error());

  Screen screen = Screen::of(STDOUT_FILENO);
  if (detached != nullptr) screen.copy_to(detached->descriptor());
  Output output(screen, run, plan, options.sidecar_logs);
  output.say(output.palette().bold("mesh " + plan.name) + ": control plane, " +
             std::to_string(plan.instances.size()) + " instances of " +
             std::to_string(plan.services.size()) + " services; files in " + run.path());
  if (isolated != nullptr) output.say(isolated->description());
  if (isolated != nullptr && prepared.file->tracing) {
    output.event("up", Journal::Weight::warning,
                 "no spans reach " + prepared.file->tracing->url + ": nothing leads out of the namespaces");
  }
  Loop loop(make_uv_engine());
  const std::unique_ptr<ProcessStarter> starter = make_process_starter(loop, keeper->get());
  int code = kFailed;
  {
    const Networks networks = isolated != nullptr ? isolated->networks(loop) : Networks{make_uv_network(loop), {}};
    Up up(loop, networks, *starter, plan, run, std::filesystem::absolute(options.file).string(),
          prepared.policies, output, detached);
    later.reset();
    loop.run();
    code = up.exit_code();
  }
  isolated.reset();
  if (code == kDone) output.say("mesh " + plan.name + " is down; its logs are in " + run.logs());
  if (detached != nullptr) detached->finish("", code);
  return code;
}

// A collector named on the command line is for somebody who wants to see everything, now.
Result<void> name_collector(const UpOptions& options, MeshFile& file) {
  const bool zipkin = !options.zipkin.empty();
  if (!zipkin && options.otlp.empty()) return {};
  Result<TracingPlan> plan =
      trace_everything(zipkin ? "zipkin" : "otlp", zipkin ? options.zipkin : options.otlp);
  if (!plan) return plan.error();
  file.tracing = std::move(*plan);
  return {};
}

}  // namespace

int up(const UpOptions& options) {
  Preparation prepared = prepare(options.file, options.isolate);
  if (!prepared.problems.empty()) {
    std::string text = "nothing was started:";
    for (const std::string& problem : prepared.problems) text += "\n  " + problem;
    return complain(text, kUsage);
  }
  if (!options.name.empty()) prepared.file->name = options.name;
  if (Result<void> named = name_collector(options, *prepared.file); !named) {
    return complain("the collector " + named.error().detail, kUsage);
  }
  if (options.check) {
    ::printf("%s: %zu services, %zu documents, no problems\n", options.file.c_str(),
             prepared.file->services().size(), prepared.policies.size());
    return kDone;
  }
  const RunDirectory run =
      run_directory_of(options.file, options.state_directory, prepared.file->name);
  Result<std::unique_ptr<RunClaim>> claim = RunClaim::take(run);
  if (!claim) return complain(claim.error());
  if (!options.detach) return run_mesh(prepared, run, options, nullptr);

  Result<std::unique_ptr<Detached>> detached = Detached::fork(**claim);
  if (!detached) return complain(detached.error());
  if ((*detached)->is_parent()) return (*detached)->wait();
  const int code = run_mesh(prepared, run, options, detached->get());
  (*detached)->finish("", code);
  return code;
}

}  // namespace tulle::cli
