#include "control-plane/push/registrar.hpp"

#include <string>
#include <utility>

#include "core/base/log.hpp"
#include "core/net/loop.hpp"

namespace tulle::push {

namespace {

using model::Document;
using model::DocumentPtr;
using model::Key;
using model::Kind;
using model::WorkloadSpec;

Key key_of(const SidecarNode& node) {
  return {Kind::workload, node.node.namespace_name, node.node.id};
}

bool is_registered(const DocumentPtr& document) {
  return document != nullptr &&
         document->workload().source == WorkloadSpec::Source::registration;
}

store::AuditEntry audit(const char* action, const Key& key) {
  return {"registration", action, to_string(key), {}};
}

}  // namespace

struct Registrar::Lease : tulle::ListNode<Registrar::WorkTag> {
  Key key;
  std::optional<WorkloadSpec> spec;  // what should be stored; nothing: not this Workload
  const void* holder = nullptr;
  store::WriteRef write;
  std::multimap<Instant, Lease*>::iterator expiry;
  bool expiring = false;
};

Registrar::Registrar(Loop& loop, store::Store& store, Options options)
    : Task(loop), store_(store), options_(options) {
  adopt_stored();
}

Registrar::~Registrar() = default;

void Registrar::adopt_stored() {
  for (const DocumentPtr& each : store_.tip().all(Kind::workload)) {
    if (!is_registered(each)) continue;
    Lease& lease = lease_of(each->key());
    lease.spec = each->workload();
    expire(lease, options_.start_grace);
  }
}

Registrar::Lease& Registrar::lease_of(const Key& key) {
  std::unique_ptr<Lease>& lease = leases_[key];
  if (lease == nullptr) {
    lease = std::make_unique<Lease>();
    lease->key = key;
  }
  return *lease;
}

// A name is not taken over by somebody else, not even while its owner is away.
Result<void> Registrar::check(const SidecarNode& node, const Key& key) const {
  const DocumentPtr stored = store_.tip().find(key);
  const auto held = leases_.find(key);
  std::string service;
  if (held != leases_.end() && held->second->spec) service = held->second->spec->service;
  if (is_registered(stored)) service = stored->workload().service;
  if (stored != nullptr && !is_registered(stored)) {
    return Error{Code::denied, Origin::downstream,
                 to_string(key) + " was written by hand; the node needs another id"};
  }
  if (!service.empty() && service != node.workload.service) {
    return Error{Code::denied, Origin::downstream,
                 to_string(key) + " belongs to the service \"" + service + "\""};
  }
  return {};
}

Result<void> Registrar::arrive(const SidecarNode& node, const void* holder) {
  if (node.workload.ports.empty()) return {};  // it only calls others
  const Key key = key_of(node);
  if (Result<void> allowed = check(node, key); !allowed) return allowed;
  Lease& lease = lease_of(key);
  keep(lease);
  lease.holder = holder;
  lease.spec = node.workload;
  if (lease.write == nullptr && !lease.linked()) due_.push_back(lease);
  wake();
  return {};
}

void Registrar::leave(const SidecarNode& node, const void* holder, bool for_good) {
  const auto found = leases_.find(key_of(node));
  if (frozen_ || found == leases_.end() || found->second->holder != holder) return;
  found->second->holder = nullptr;
  expire(*found->second, for_good ? 0s : options_.grace);
}

void Registrar::expire(Lease& lease, Duration after) {
  keep(lease);
  lease.expiry = expiries_.emplace(loop_.now() + after, &lease);
  lease.expiring = true;
  wake();
}

void Registrar::keep(Lease& lease) {
  if (std::exchange(lease.expiring, false)) expiries_.erase(lease.expiry);
}

void Registrar::run() {
  take_expired();
  take_outcomes();
  begin_writes();
  arm();
}

void Registrar::take_expired() {
  while (!frozen_ && !expiries_.empty() && expiries_.begin()->first <= loop_.now()) {
    Lease& lease = *expiries_.begin()->second;
    keep(lease);
    lease.spec.reset();
    if (lease.write == nullptr && !lease.linked()) due_.push_back(lease);
  }
}

// What has been written may be old by now; begin_write() compares.
void Registrar::take_outcomes() {
  for (Lease& lease : writing_) {
    if (!lease.write->done()) continue;
    const Result<uint64_t>& outcome = lease.write->outcome();
    if (!outcome) {
      log::error("cannot write " + to_string(lease.key) + ": " + outcome.error().detail);
      if (retry_at_ == kNever) retry_at_ = loop_.now() + options_.write_retry;
    }
    lease.write.reset();
    lease.unlink();
    due_.push_back(lease);
  }
}

void Registrar::begin_writes() {
  if (retry_at_ > loop_.now() && retry_at_ != kNever) return;
  retry_at_ = kNever;
  while (Lease* lease = due_.pop_front()) begin_write(*lease);
}

void Registrar::begin_write(Lease& lease) {
  const DocumentPtr stored = store_.tip().find(lease.key);
  const bool ours = is_registered(stored);
  if (lease.spec) {
    if (stored != nullptr && (!ours || stored->workload() == *lease.spec)) return;
    Document document;
    document.metadata.name = lease.key.name;
    document.metadata.namespace_name = lease.key.namespace_name;
    document.spec = *lease.spec;
    lease.write = store_.put(std::move(document), audit("put", lease.key), this);
  } else {
    if (!ours) {
      leases_.erase(Key(lease.key));
      return;
    }
    lease.write = store_.remove(lease.key, audit("remove", lease.key), this);
  }
  writing_.push_back(lease);
  if (lease.write->done()) wake();  // refused at once
}

void Registrar::arm() {
  Instant next = retry_at_;
  if (!frozen_ && !expiries_.empty()) next = std::min(next, expiries_.begin()->first);
  if (next == kNever) {
    timer_.disarm();
  } else {
    timer_.arm_at(next);
  }
}

}  // namespace tulle::push
