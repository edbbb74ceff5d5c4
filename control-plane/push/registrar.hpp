// Registrar: the Workloads that exist because their sidecars are connected.
//
// Owns a lease per registered node. The session is the lease: while it lives nothing is written and
// nothing is renewed. A node that comes is written (unless the store says the same already), one
// that leaves for good is removed at once, one that is lost is removed after a grace, so that a
// reconnect costs nothing. After a start every registered Workload has a longer grace: its sidecar
// has to find the way back first. Workloads written by hand are never touched. Loop thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "control-plane/model/document.hpp"
#include "control-plane/push/node_metadata.hpp"
#include "control-plane/store/store.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"

namespace tulle::push {

class Registrar : private Task {
 public:
  struct Options {
    Duration grace = 2s;           // a connection that broke, until its sidecar is back
    Duration start_grace = 30s;    // all of them, with the back-off they have grown meanwhile
    Duration write_retry = 1s;     // after the store has refused
  };
  Registrar(Loop& loop, store::Store& store, Options options);
  ~Registrar() override;

  // `holder` stands for the session: of two holders of one node the later counts. Errors: denied
  // (the node's name belongs to another account, or to a Workload written by hand).
  Result<void> arrive(const SidecarNode& node, const void* holder);
  void leave(const SidecarNode& node, const void* holder, bool for_good);
  void freeze() { frozen_ = true; }  // shutting down: everybody leaves, nobody is gone

  size_t leases() const { return leases_.size(); }

 private:
  struct Lease;
  struct WorkTag {};
  using Leases = std::map<model::Key, std::unique_ptr<Lease>>;

  void run() override;
  void adopt_stored();
  Lease& lease_of(const model::Key& key);
  Result<void> check(const SidecarNode& node, const model::Key& key) const;
  void expire(Lease& lease, Duration after);
  void keep(Lease& lease);
  void take_expired();
  void take_outcomes();
  void begin_writes();
  void begin_write(Lease& lease);
  void arm();

  store::Store& store_;
  const Options options_;
  Leases leases_;
  std::multimap<Instant, Lease*> expiries_;
  List<Lease, WorkTag> due_;      // have something to write
  List<Lease, WorkTag> writing_;  // wait for the store
  Timer timer_{*this};
  Instant retry_at_ = kNever;
  bool frozen_ = false;
};

}  // namespace tulle::push
