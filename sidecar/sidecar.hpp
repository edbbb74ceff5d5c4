// Sidecar: the composition root of the data plane. The whole proxy in one screen.
//
// Owns, on the main thread: the loop for administration, signals and file watching, the statistics,
// the access log, the workers and the source of the configuration (sidecar/source). A new snapshot
// is one message per worker; whatever fails leaves the former configuration untouched.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/stats.hpp"
#include "core/net/file_watch.hpp"
#include "core/net/loop.hpp"
#include "core/net/memory_watch.hpp"
#include "core/net/network.hpp"
#include "core/net/signal.hpp"
#include "core/net/timer.hpp"
#include "sidecar/admin/admin.hpp"
#include "sidecar/config/load.hpp"
#include "sidecar/source/config_source.hpp"
#include "sidecar/telemetry/access_log.hpp"
#include "sidecar/telemetry/memory_stats.hpp"
#include "sidecar/tracing/exporter.hpp"
#include "sidecar/worker_thread.hpp"

namespace tulle {

class Sidecar final : private Task, private admin::AdminSource {
 public:
  // Loads, opens everything and starts. Errors are complete, for standard error.
  static Result<std::unique_ptr<Sidecar>> start(Loop& loop, const std::string& config_path);
  ~Sidecar() override;

 private:
  Sidecar(Loop& loop, std::string config_path, config::Bootstrap bootstrap);
  Result<void> open(const config::Loaded& loaded);
  Result<void> open_source(const config::Loaded& loaded);
  void run() override;
  Task& task() { return *this; }

  void push();
  void watch();
  void reload();
  void note_answers();
  void announce();
  void announce_listeners();
  void begin_drain();
  void report_memory();

  // AdminSource
  bool ready() const override { return ready_ && !draining_; }
  const config::Snapshot& snapshot() const { return *source_->snapshot(); }
  std::string_view state() const override;
  std::string metrics() const override;
  std::string config_json() const override;

  const std::string config_path_;
  config::Bootstrap bootstrap_;

  StatRegistry stats_;
  StatShard shard_;
  StatId reloads_, rejected_reloads_, generation_gauge_, certificate_expiry_;
  int64_t expiry_shown_ = 0;
  std::unique_ptr<telemetry::MemoryStats> memory_stats_;
  MemoryWatch memory_watch_;
  Instant memory_said_;            // when the log last said that memory is full
  routing::Admissions admissions_;
  policies::Broadcast broadcast_;
  exchange::ExhaustedRequests exhausted_;
  std::unique_ptr<telemetry::AccessLog> access_log_;
  std::unique_ptr<tracing::Exporter> exporter_;
  std::unique_ptr<WorkerEnvironment> environment_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;

  std::unique_ptr<Network> network_;
  std::unique_ptr<source::ConfigSource> source_;
  admin::AdminPages admin_pages_;
  std::unique_ptr<Server> admin_server_;
  std::unique_ptr<SignalWatch> terminate_, interrupt_, hangup_;
  std::unique_ptr<FileWatch> files_;
  Timer grace_timer_;
  uint64_t pushes_ = 0;
  uint64_t announced_ = 0;
  BoundAddresses listening_;       // as announced
  bool ready_ = false;
  bool draining_ = false;
};

}  // namespace tulle
