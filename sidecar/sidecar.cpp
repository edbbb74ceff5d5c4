#include "sidecar/sidecar.hpp"

#include <signal.h>

#include <algorithm>
#include <random>

#include "core/base/log.hpp"
#include "core/base/program_pages.hpp"
#include "core/net/tls.hpp"
#include "sidecar/admin/config_page.hpp"
#include "sidecar/cpu_quota.hpp"
#include "sidecar/memory_limit.hpp"
#include "sidecar/source/file_source.hpp"
#include "sidecar/source/pushed_source.hpp"

namespace tulle {
namespace {

constexpr Duration kMemorySaidEvery = 10s;

Error failed_to_load(const config::Problems& problems) {
  return {Code::invalid_config, Origin::local, config::to_text(problems)};
}

// A log line is one line: problems come one to a line.
void log_lines(std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end != 0) log::error(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

// Of the certificates this sidecar presents, in Unix seconds; 0: it presents none.
int64_t earliest_expiry(const config::Snapshot& snapshot) {
  int64_t earliest = 0;
  const auto look_at = [&](const std::shared_ptr<const TlsContext>& tls) {
    const int64_t expiry = tls == nullptr ? 0 : tls->certificate_not_after();
    if (expiry > 0 && (earliest == 0 || expiry < earliest)) earliest = expiry;
  };
  for (const auto& listener : snapshot.listeners) {
    look_at(listener->tls);
    if (listener->chains == nullptr) continue;
    for (const config::FilterChain& chain : listener->chains->chains) look_at(chain.tls);
    if (listener->chains->fallback) look_at(listener->chains->fallback->tls);
  }
  for (const auto& cluster : snapshot.clusters) {
    if (cluster != nullptr) look_at(cluster->tls);
  }
  return earliest;
}

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

Result<std::unique_ptr<Sidecar>> Sidecar::start(Loop& loop, const std::string& config_path) {
  const config::Loaded loaded = config::load(config_path);
  if (loaded.snapshot == nullptr) return failed_to_load(loaded.problems);
  std::unique_ptr<Sidecar> sidecar(new Sidecar(loop, config_path, *loaded.bootstrap));
  Result<void> opened = sidecar->open(loaded);
  if (!opened) return opened.error();
  return sidecar;
}

Sidecar::Sidecar(Loop& loop, std::string config_path, config::Bootstrap bootstrap)
    : Task(loop),
      config_path_(std::move(config_path)),
      bootstrap_(std::move(bootstrap)),
      reloads_(stats_.counter("tulle_config_reloads_total", "Configuration changes that were seen",
                              {{"outcome", "adopted"}})),
      rejected_reloads_(stats_.counter("tulle_config_reloads_total", "", {{"outcome", "rejected"}})),
      generation_gauge_(stats_.gauge("tulle_config_generation",
                                     "Number of the configuration in force, from 1", {})),
      certificate_expiry_(stats_.gauge("tulle_certificate_not_after_seconds",
                                       "Unix time at which our first certificate expires; 0: none",
                                       {})),
      memory_stats_(std::make_unique<telemetry::MemoryStats>(stats_, shard_)),
      memory_watch_(*this),
      network_(make_uv_network(loop)),
      admin_pages_(loop, *this),
      grace_timer_(*this) {
  stats_.attach(shard_);
  const auto stated = static_cast<int64_t>(bootstrap_.memory_limit.value_or(0));
  MemoryBudget::of_process().set_limit(stated > 0 ? stated : traffic_memory());
}

Sidecar::~Sidecar() {
  // Workers ask the source for destinations, and hand their last spans over.
  workers_.clear();
  exporter_.reset();
  source_.reset();
  stats_.detach(shard_);
}

Result<void> Sidecar::open(const config::Loaded& loaded) {
  Result<std::unique_ptr<telemetry::AccessLog>> log = telemetry::AccessLog::open(bootstrap_.access_log);
  if (!log) return log.error();
  access_log_ = std::move(*log);

  admin_server_ = std::make_unique<Server>(loop_, admin_pages_, Server::Options{});
  Result<void> admin = admin_server_->listen(*network_, bootstrap_.admin, {.privileged = true});
  if (!admin) {
    admin.error().detail = "admin: " + admin.error().detail;
    return admin;
  }
  Result<void> source = open_source(loaded);
  if (!source) return source;

  exporter_ = std::make_unique<tracing::Exporter>(
      loop_, *network_, stats_, shard_,
      tracing::Exporter::Identity{bootstrap_.node.cluster, bootstrap_.node.id}, random_seed());
  const unsigned count = bootstrap_.workers.value_or(worker_count());
  environment_ = std::make_unique<WorkerEnvironment>(
      WorkerEnvironment{bootstrap_.node.id, stats_, admissions_, access_log_.get(), true,
                        source_->requests(), &broadcast_, &exhausted_,
                        (bootstrap_.connections + count - 1) / count, exporter_.get(),
                        bootstrap_.node.cluster});
  for (unsigned i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<WorkerThread>(*environment_, random_seed(), loop_, task()));
  }
  terminate_ = watch_signal(loop_, SIGTERM, *this);
  interrupt_ = watch_signal(loop_, SIGINT, *this);
  hangup_ = watch_signal(loop_, SIGHUP, *this);
  push();
  watch();
  return {};
}

Result<void> Sidecar::open_source(const config::Loaded& loaded) {
  const bool member = bootstrap_.membership.control_plane.has_value();
  Result<std::unique_ptr<source::ConfigSource>> opened =
      member ? source::PushedSource::open(
                   {loop_, *network_, stats_, shard_, task(), random_seed()}, loaded)
             : source::FileSource::open(loaded);
  if (!opened) return opened.error();
  source_ = std::move(*opened);
  return {};
}

void Sidecar::push() {
  const std::shared_ptr<const config::Snapshot>& snapshot = source_->snapshot();
  shard_.add(generation_gauge_, static_cast<int64_t>(snapshot->generation) -
                                    shard_.read(generation_gauge_));
  const int64_t expiry = earliest_expiry(*snapshot);
  shard_.add(certificate_expiry_, expiry - std::exchange(expiry_shown_, expiry));
  ++pushes_;
  exporter_->adopt(snapshot);
  for (std::unique_ptr<WorkerThread>& worker : workers_) worker->adopt(snapshot, source_->bound());
}

void Sidecar::watch() {
  std::vector<std::string> paths = config::watched_paths(bootstrap_);
  paths.push_back(config_path_);
  files_ = watch_files(loop_, std::move(paths), *this);
}

void Sidecar::reload() {
  config::Loaded loaded = config::load(config_path_, &snapshot());
  Result<bool> changed = false;
  if (loaded.snapshot == nullptr) {
    changed = failed_to_load(loaded.problems);
  } else {
    changed = source_->reload(loaded);
  }
  if (!changed) {
    shard_.add(rejected_reloads_);
    log::error("configuration rejected, the former one stays in force file=" + config_path_);
    log_lines(changed.error().detail);
    watch();
    return;
  }
  const bool restart_needed = loaded.bootstrap->admin != bootstrap_.admin ||
                              loaded.bootstrap->node.id != bootstrap_.node.id ||
                              loaded.bootstrap->workers != bootstrap_.workers ||
                              loaded.bootstrap->memory_limit != bootstrap_.memory_limit ||
                              loaded.bootstrap->connections != bootstrap_.connections ||
                              loaded.bootstrap->access_log.path != bootstrap_.access_log.path;
  if (restart_needed) {
    log::warn("node, admin, workers, memory, connections and access_log.path take effect at the next "
              "start");
  }
  if (!same_membership(loaded.bootstrap->membership, bootstrap_.membership)) {
    log::warn("control_plane, identity, workload and state_dir take effect at the next start");
  }
  access_log_->set_filter(loaded.bootstrap->access_log.filter);
  const Address admin = bootstrap_.admin;
  bootstrap_ = std::move(*loaded.bootstrap);
  bootstrap_.admin = admin;
  watch();
  if (!*changed) return;
  shard_.add(reloads_);
  push();
}

void Sidecar::run() {
  if (source_->advance()) push();
  note_answers();
  if (memory_watch_.take()) report_memory();
  if (terminate_->take() || interrupt_->take()) {
    if (draining_) {
      log::warn("second signal: stopping at once");
      return loop_.stop();
    }
    begin_drain();
  }
  const bool asked = hangup_->take();
  if ((files_->take() || asked) && !draining_) reload();
  if (draining_ && grace_timer_.fired()) {
    grace_timer_.disarm();
    log::warn("grace period over: stopping with exchanges still running");
    return loop_.stop();
  }
  const bool all_drained = std::all_of(workers_.begin(), workers_.end(),
                                       [](const auto& worker) { return worker->drained(); });
  if (draining_ && all_drained && exporter_->finish(task())) {
    log::info("drained, stopping");
    loop_.stop();
  }
}

void Sidecar::note_answers() {
  uint64_t adopted = pushes_;
  for (std::unique_ptr<WorkerThread>& worker : workers_) {
    if (std::optional<std::string> problem = worker->take_problem()) log::error(*problem);
    adopted = std::min(adopted, worker->adoptions());
  }
  if (adopted != pushes_) return;
  if (announced_ != pushes_) announce();
  if (!ready_ && source_->complete()) {
    ready_ = true;
    log::info("ready");
    give_back_program_pages();
  }
}

void Sidecar::announce() {
  if (announced_ == 0) log::info("admin address=" + admin_server_->local_address().to_string());
  announced_ = pushes_;
  announce_listeners();
  log::info("configuration in force generation=" + std::to_string(snapshot().generation) +
            " version=" + snapshot().version +
            " listeners=" + std::to_string(snapshot().listeners.size()) +
            " clusters=" + std::to_string(snapshot().cluster_names.size()));
}

// Each listener once, and again when its address is another one.
void Sidecar::announce_listeners() {
  for (const auto& [name, address] : source_->bound()) {
    const auto known = listening_.find(name);
    if (known != listening_.end() && known->second == address) continue;
    log::info("listening name=" + name + " address=" + address.to_string());
  }
  listening_ = source_->bound();
}

void Sidecar::begin_drain() {
  draining_ = true;
  log::info("draining grace_seconds=" +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(bootstrap_.drain_grace).count()));
  grace_timer_.arm(bootstrap_.drain_grace);
  source_->leave();
  for (std::unique_ptr<WorkerThread>& worker : workers_) worker->drain();
}

void Sidecar::report_memory() {
  if (memory_said_ != Instant{} && loop_.now() < memory_said_ + kMemorySaidEvery) return;
  memory_said_ = loop_.now();
  const MemoryBudget& budget = MemoryBudget::of_process();
  log::warn("memory is short: new requests are refused and what is idle or holds most is ended "
            "limit_mib=" + std::to_string(budget.limit() >> 20) +
            " used_mib=" + std::to_string(budget.used() >> 20));
}

std::string Sidecar::metrics() const {
  memory_stats_->refresh();
  return stats_.prometheus_text();
}

std::string_view Sidecar::state() const {
  if (draining_) return "draining";
  return ready_ ? "ready" : "starting";
}

std::string Sidecar::config_json() const {
  return admin::render_config(bootstrap_, snapshot(), source_->bound(), source_->control_plane());
}

}  // namespace tulle
