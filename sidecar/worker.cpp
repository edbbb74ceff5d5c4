#include "sidecar/worker.hpp"

#include <algorithm>
#include <unordered_set>

namespace tulle {
namespace {

// Retired pools, generations and listeners are looked at this often while there are any.
constexpr Duration kSweepInterval = 1s;
// Names are given up after an hour without use, so knowing it to minutes is enough.
constexpr Duration kUseInterval = 5min;
// How often short memory is looked at again, at least. And for how
// long new requests are refused before others are ended for them.
constexpr Duration kReliefInterval = 20ms;
constexpr Duration kReliefPatience = 1s;
constexpr uint32_t kReliefTurns = 2;
constexpr uint32_t kCloseWatch = 64;  // turns

template <class Visit>
void for_each_table(const config::Snapshot& snapshot, Visit visit) {
  const auto visit_table = [&](const auto& table) { visit(*table); };
  for (const auto& listener : snapshot.listeners) visit_tables(*listener, visit_table);
  if (snapshot.destinations == nullptr) return;
  for (const config::Destination& each : snapshot.destinations->all()) {
    visit_tables(each, visit_table);
  }
}

}  // namespace

Worker::Worker(Loop& loop, Network& network, const WorkerEnvironment& environment, uint64_t seed)
    : Task(loop),
      network_(network),
      environment_(environment),
      rng_(seed),
      request_stats_(environment.stats, shard_),
      tcp_stats_(environment.stats, shard_),
      access_log_(loop, environment.access_log),
      spans_(loop, environment.spans, environment.service),
      active_exchanges_(environment.stats.gauge("tulle_active_exchanges",
                                                "Exchanges that have begun and not ended", {})),
      clusters_(loop, network, policy_host(), environment.admissions),
      route_chains_(policy_host()),
      sweep_timer_(*this),
      memory_watch_(*this),
      relief_timer_(*this),
      use_timer_(*this) {
  environment_.stats.attach(shard_);
  if (environment_.broadcast != nullptr) environment_.broadcast->join(receiver(), loop);
}

Worker::~Worker() {
  if (environment_.broadcast != nullptr) environment_.broadcast->leave(receiver());
  // Connections end their exchanges, which still refer to clusters and generations.
  gateways_.clear();
  removed_.clear();
  environment_.stats.detach(shard_);
}

Result<void> Worker::adopt(std::shared_ptr<const config::Snapshot> snapshot,
                           const BoundAddresses& bound) {
  if (generation_ != nullptr && generation_->snapshot->destinations != snapshot->destinations) {
    report_use();
  }
  // Policies move over from the former tables, so these live until that is done.
  std::unique_ptr<exchange::Generation> former = std::move(generation_);
  generation_ = std::make_unique<exchange::Generation>();
  generation_->snapshot = std::move(snapshot);
  const auto& destinations = generation_->snapshot->destinations;
  used_.resize(destinations == nullptr ? 0 : destinations->size());
  clusters_.adopt(*generation_->snapshot);
  name_clusters();
  for_each_table(*generation_->snapshot, [&](const routing::RouteTable& table) {
    route_chains_.adopt(table);
  });
  if (former != nullptr && former->exchanges > 0) former_.push_back(std::move(former));
  forget_route_chains();
  Result<void> listening = adopt_listeners(*generation_->snapshot, bound);
  sweep_timer_.arm(kSweepInterval);
  wake_waiting();
  return listening;
}

void Worker::name_clusters() {
  for (size_t i = 0; i < clusters_.size(); ++i) {
    routing::Cluster* cluster = clusters_.find(static_cast<routing::ClusterIndex>(i));
    // Most have been here before: a change must not cost a look-up for each of thousands.
    if (cluster == nullptr || cluster->stat_slot) continue;
    cluster->stat_slot = request_stats_.cluster_slot(cluster->config().name);
  }
}

Result<void> Worker::adopt_listeners(const config::Snapshot& snapshot,
                                     const BoundAddresses& bound) {
  if (draining_ != Draining::no) return {};
  std::vector<std::unique_ptr<accept::Gateway>> former = std::exchange(gateways_, {});
  Result<void> outcome;
  std::vector<std::shared_ptr<const config::ListenerConfig>> fresh;
  for (const auto& wanted : snapshot.listeners) {
    const auto same = std::find_if(former.begin(), former.end(), [&](const auto& gateway) {
      return gateway != nullptr && gateway->config().name == wanted->name &&
             !accept::needs_new_socket(gateway->config(), *wanted);
    });
    if (same == former.end()) {
      fresh.push_back(wanted);
      continue;
    }
    (*same)->adopt(wanted);
    gateways_.push_back(std::move(*same));
  }
  // Sockets that go away close before new ones open: a listener may have been renamed.
  for (std::unique_ptr<accept::Gateway>& gateway : former) {
    if (gateway == nullptr) continue;
    gateway->remove();
    removed_.push_back(std::move(gateway));
  }
  for (const auto& wanted : fresh) {
    Result<void> opened = open_gateway(wanted, bound);
    if (!opened && outcome) outcome = std::move(opened);
  }
  return outcome;
}

Result<void> Worker::open_gateway(const std::shared_ptr<const config::ListenerConfig>& config,
                                  const BoundAddresses& bound) {
  const bool inbound = config->direction == config::Direction::inbound;
  const uint32_t slot =
      request_stats_.listener_slot(config->name, inbound ? "inbound" : "outbound");
  std::unique_ptr<accept::Gateway> gateway = accept::make_gateway(
      {.host = host(),
       .tcp_stats = tcp_stats_,
       .node_id = environment_.node_id,
       .stat_slot = slot,
       .max_connections = environment_.max_connections},
      config);
  const auto real = bound.find(config->name);
  const Address& at = real == bound.end() ? config->address : real->second;
  Result<void> listening = gateway->listen(network_, at, environment_.reuse_port);
  if (!listening) {
    listening.error().detail = "listener " + config->name + ": " + listening.error().detail;
    return listening;
  }
  gateway->set_owner(this);
  gateways_.push_back(std::move(gateway));
  return {};
}

exchange::Generation& Worker::pin() {
  ++generation_->exchanges;
  ++exchanges_;
  shard_.add(active_exchanges_, 1);
  return *generation_;
}

void Worker::unpin(exchange::Generation& generation) {
  --generation.exchanges;
  --exchanges_;
  shard_.add(active_exchanges_, -1);
}

exchange::Generation& Worker::repin(exchange::Generation& former) {
  --former.exchanges;
  ++generation_->exchanges;
  return *generation_;
}

bool Worker::await_destination(std::string_view name, exchange::DestinationWait& wait) {
  DestinationRequests* asked = environment_.destinations;
  if (asked == nullptr || !asked->ask(name)) return false;
  if (!wait.linked()) waiting_.push_back(wait);
  return true;
}

// Whoever still misses its destination comes back with another await_destination().
void Worker::wake_waiting() {
  while (exchange::DestinationWait* wait = waiting_.pop_front()) wait->waiter.wake();
}

void Worker::destination_used(const config::Destination& destination) {
  if (environment_.destinations == nullptr) return;
  const std::vector<config::Destination>& all = generation_->snapshot->destinations->all();
  const bool present = destination.index < all.size() && &all[destination.index] == &destination;
  if (!present || used_[destination.index]) return;  // of an older generation: the next one counts
  used_[destination.index] = true;
  if (!use_timer_.armed()) use_timer_.arm(kUseInterval);
}

void Worker::report_use() {
  use_timer_.disarm();
  if (environment_.destinations == nullptr || used_.empty()) return;
  std::vector<std::string> names;
  for (const config::Destination& each : generation_->snapshot->destinations->all()) {
    if (used_[each.index]) names.push_back(each.name);
  }
  used_.assign(used_.size(), false);
  if (!names.empty()) environment_.destinations->report_use(std::move(names));
}

bool Worker::is_own(const Address& address) const {
  return std::any_of(gateways_.begin(), gateways_.end(), [&](const auto& gateway) {
    const Address& ours = gateway->local_address();
    if (address == ours) return true;
    const bool any = ours.ip() == "0.0.0.0" || ours.ip() == "::";
    return address.port() == ours.port() && address.is_loopback() && (any || ours.is_loopback());
  });
}

void Worker::ended(const exchange::Summary& summary) {
  if (summary.opaque) return access_log_.record(summary);  // relays count for themselves
  request_stats_.record(summary, summary.cluster == nullptr ? 0 : *summary.cluster->stat_slot);
  access_log_.record(summary);
}

void Worker::refused(const exchange::RefusalSummary& summary) {
  request_stats_.record(summary);
  access_log_.record(summary, loop_.now());
}

void Worker::run() {
  const bool told = memory_watch_.take();
  if (told || relief_timer_.armed() || relief_timer_.fired()) relieve_memory();
  if (use_timer_.fired()) report_use();
  if (sweep_timer_.fired()) sweep_timer_.disarm();
  sweep();
  if (draining_ == Draining::inbound && quiet(config::Direction::inbound)) {
    draining_ = Draining::outbound;
    drain_gateways(config::Direction::outbound);
  }
  if (!drained()) return;
  spans_.hand_over();
  if (owner_ != nullptr) owner_->wake();
}

void Worker::sweep() {
  clusters_.reap();
  const size_t ended =
      std::erase_if(former_, [](const auto& generation) { return generation->exchanges == 0; });
  if (ended > 0) forget_route_chains();
  std::erase_if(removed_, [](const auto& gateway) { return gateway->drained(); });
  const bool more = !former_.empty() || !removed_.empty() || !clusters_.idle();
  if (more && !sweep_timer_.armed()) sweep_timer_.arm(kSweepInterval);
}

// Again and again until memory is not short any more. Free blocks go back to the allocator and idle
// connections close; when that is not enough, or not in time, those who hold most are ended.
void Worker::relieve_memory() {
  MemoryBudget& budget = MemoryBudget::of_process();
  const bool begins = !relief_timer_.armed() && !relief_timer_.fired();
  relief_timer_.disarm();
  if (budget.shedding()) {
    trim_chunk_pool();
    trim_thread_pools();
  }
  for (const auto& gateway : gateways_) gateway->hold_accepting(budget.full());
  if (!budget.shedding()) return;
  relief_timer_.arm(kReliefInterval);
  if (begins) short_since_ = loop_.now();
  const bool pressing = budget.full() || loop_.now() >= short_since_ + kReliefPatience;
  auto wanted = static_cast<size_t>(budget.excess_share());
  size_t coming = 0;
  // What was ended gives its memory back in the turn after this one.
  if (loop_.turn_number() - shed_turn_ < kReliefTurns) wanted = 0;
  for (const auto& gateway : gateways_) {
    if (coming >= wanted) break;
    const Sheds what = pressing ? Sheds::idle_then_largest : Sheds::idle;
    coming += gateway->shed(what, wanted - coming, loop_.now());
  }
  if (coming > 0) shed_turn_ = loop_.turn_number();
  // One wait can bring more than there is room for, and no timer fires meanwhile: while it is full,
  // memory is looked at in every turn, until ending somebody has not helped for many of them.
  if (budget.full() && loop_.turn_number() - shed_turn_ < kCloseWatch) defer();
}

// ---- policies --------------------------------------------------------------------------------

StatId Worker::counter(std::string_view family, std::string_view help, Labels labels) {
  return environment_.stats.counter(family, help, std::move(labels));
}

StatId Worker::gauge(std::string_view family, std::string_view help, Labels labels) {
  return environment_.stats.gauge(family, help, std::move(labels));
}

void Worker::tell_siblings(const policies::Site& from,
                           std::shared_ptr<const policies::Note> note) {
  if (environment_.broadcast == nullptr || from.cluster == nullptr) return;
  environment_.broadcast->post(receiver(), from.cluster->name(), *from.type, std::move(note));
}

void Worker::take(const std::string& cluster, const policies::PolicyType& type,
                  const policies::Note& note) {
  routing::Cluster* ours = clusters_.find(cluster);
  if (ours != nullptr) ours->take_note(type, note);
}

// Chains stay for the tables of generations that still run.
void Worker::forget_route_chains() {
  if (route_chains_.tables() == 0) return;
  std::unordered_set<const routing::RouteTable*> in_use;
  const auto add = [&](const routing::RouteTable& table) { in_use.insert(&table); };
  for_each_table(*generation_->snapshot, add);
  for (const auto& generation : former_) for_each_table(*generation->snapshot, add);
  route_chains_.forget([&](const routing::RouteTable* table) { return in_use.contains(table); });
}

bool Worker::quiet(config::Direction direction) const {
  return std::all_of(gateways_.begin(), gateways_.end(), [&](const auto& gateway) {
    return gateway->config().direction != direction || gateway->drained();
  });
}

void Worker::drain_gateways(config::Direction direction) {
  for (std::unique_ptr<accept::Gateway>& gateway : gateways_) {
    if (gateway->config().direction == direction) gateway->drain();
  }
}

void Worker::drain() {
  if (draining_ != Draining::no) return;
  draining_ = Draining::inbound;
  drain_gateways(config::Direction::inbound);
  wake();
}

bool Worker::drained() const {
  return draining_ == Draining::outbound && exchanges_ == 0 && removed_.empty() &&
         quiet(config::Direction::outbound);
}

}  // namespace tulle
