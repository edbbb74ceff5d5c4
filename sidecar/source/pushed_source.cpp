#include "sidecar/source/pushed_source.hpp"

#include <algorithm>
#include <utility>

#include "core/base/log.hpp"
#include "core/net/loop.hpp"
#include "sidecar/routing/destination_name.hpp"

namespace tulle::source {

using xds::ResourceType;

namespace {

// A line of log for a resource that is refused; a bad push may refuse thousands.
constexpr size_t kRefusalsLogged = 10;

bool same_content(const config::Snapshot& a, const config::Snapshot& b) {
  return a.listeners == b.listeners && a.clusters == b.clusters &&
         a.destinations == b.destinations;
}

}  // namespace

Result<std::unique_ptr<ConfigSource>> PushedSource::open(const SourceEnvironment& environment,
                                                         const config::Loaded& loaded) {
  std::unique_ptr<PushedSource> source(new PushedSource(environment, loaded));
  Result<void> begun = source->begin();
  if (!begun) return begun.error();
  return std::unique_ptr<ConfigSource>(std::move(source));
}

PushedSource::PushedSource(const SourceEnvironment& environment, const config::Loaded& loaded)
    : environment_(environment),
      loop_(environment.loop),
      bootstrap_(*loaded.bootstrap),
      materials_(loaded.materials),
      requests_(environment.loop, environment.owner),
      counters_{
          environment.stats.gauge("tulle_destinations_asked",
                                  "Destinations that are asked for by name", {}),
          environment.stats.counter("tulle_destinations_refused_total",
                                    "Requests for a destination when no more names fitted", {}),
          environment.stats.gauge("tulle_destinations_external",
                                  "Destinations outside of the mesh that are let through", {}),
          environment.stats.gauge("tulle_config_held_back",
                                  "Pushed resources that are not in force as they were pushed",
                                  {})},
      snapshot_(loaded.snapshot),
      store_(bootstrap_, environment.owner),
      sweep_timer_(environment.owner) {}

PushedSource::~PushedSource() = default;

Result<void> PushedSource::begin() {
  Result<void> claimed = ports_.claim_all(*snapshot_);
  if (!claimed) return claimed;
  config::LastGood state = store_.load();
  if (bootstrap_.membership.workload) {
    Result<WorkloadAddresses> addresses =
        claim_addresses(*bootstrap_.membership.workload, state.addresses);
    if (!addresses) return addresses.error();
    addresses_ = std::move(*addresses);
  }
  discovery::Subscriber::Options options;
  options.control_plane = bootstrap_.membership.control_plane->address;
  options.node = node_of(bootstrap_, addresses_);
  subscriber_ = std::make_unique<discovery::Subscriber>(
      loop_, environment_.network, std::move(options), environment_.stats, environment_.shard,
      environment_.seed, environment_.owner);
  open_egress();
  identity_.emplace(environment_, bootstrap_.membership, materials_.identity);
  take_identity();
  restored_ = !state.resources.empty();
  stored_unknown_.insert(state.unknown.begin(), state.unknown.end());
  names_.restore(state.destinations, loop_.now());
  if (restored_) subscriber_->restore(std::move(state.resources));
  subscriber_->want_listeners(names_.names());
  sweep_timer_.arm(kDestinationSweep);
  advance();
  return {};
}

void PushedSource::open_egress() {
  if (bootstrap_.membership.egress == config::Egress::deny) return egress_.reset();
  if (egress_ != nullptr) return;
  Result<std::unique_ptr<Resolver>> resolver = make_resolver(loop_);
  if (!resolver) log::error(resolver.error().detail);
  egress_ = std::make_unique<Egress>(loop_, resolver ? std::move(*resolver) : nullptr,
                                     environment_.owner);
}

// True: there is another certificate to compile with.
bool PushedSource::take_identity() {
  const bool changed = identity_->advance();
  if (subscriber_ != nullptr && identity_->control_plane_tls() != tls_in_use_) {
    tls_in_use_ = identity_->control_plane_tls();
    subscriber_->set_tls(tls_in_use_);
  }
  return changed;
}

bool PushedSource::advance() {
  bool due = take_identity() || std::exchange(compile_due_, false);
  if (subscriber_ != nullptr) {
    if (names_.advance(loop_.now())) {
      subscriber_->want_listeners(names_.names());
      store_.save_later();
    }
    report_failure();
    due |= subscriber_->undecided() || subscriber_->changes() != changes_seen_;
  }
  if (egress_ != nullptr) {
    egress_->want(unknown());
    due |= egress_->advance();
  }
  if (sweep_timer_.fired()) sweep_timer_.arm(kDestinationSweep);
  if (store_.due()) save();
  const bool changed = due && compile();
  note_counts();
  return changed;
}

bool PushedSource::compile() {
  std::vector<xds::Refusal> refusals;
  config::Merged merged = merge(refusals);
  if (subscriber_ != nullptr) {
    if (subscriber_->undecided()) {
      subscriber_->decide({refusals, merged.in_use});
      // What was refused has gone back to what it was.
      if (!refusals.empty()) {
        std::vector<xds::Refusal> again;
        merged = merge(again);
      }
    }
    changes_seen_ = subscriber_->changes();
  }
  report(merged, refusals);
  held_ = std::move(merged.held);
  complete_ = complete_ || own_listeners_are_there(merged);
  store_.save_later();
  if (same_content(*snapshot_, *merged.snapshot)) return false;
  snapshot_ = std::move(merged.snapshot);
  return true;
}

// Everything that is there now, as one snapshot, with the ports of its listeners claimed.
config::Merged PushedSource::merge(std::vector<xds::Refusal>& refusals) {
  take_trust(refusals);
  materials_.identity = identity_->present();
  config::Pushed pushed;
  pushed.resources = subscriber_ != nullptr ? subscriber_->resources() : left_with_;
  if (egress_ != nullptr) {
    pushed.egress = egress_->resources(ports_.bound());
  } else {
    pushed.refused = unknown();
  }
  config::Merged merged =
      config::compile_holding_back(bootstrap_.resources, pushed, materials_, snapshot_.get());
  // Each round takes at least one listener back to an address that we hold.
  for (size_t left = merged.snapshot->listeners.size(); left > 0; --left) {
    auto refused = ports_.claim_what_can_be(*merged.snapshot);
    if (refused.empty()) break;
    pushed.unusable.merge(refused);
    merged = config::compile_holding_back(bootstrap_.resources, pushed, materials_,
                                          snapshot_.get());
  }
  refusals.insert(refusals.end(), merged.refusals.begin(), merged.refusals.end());
  return merged;
}

void PushedSource::take_trust(std::vector<xds::Refusal>& refusals) {
  if (subscriber_ == nullptr) return;
  const xds::Resource* secret =
      subscriber_->resources().find(ResourceType::secret, kTrustSecret);
  if (secret == nullptr) return;
  Result<void> taken = identity_->take_trust(*secret);
  if (!taken) {
    refusals.push_back({{ResourceType::secret, std::string(kTrustSecret)}, taken.error().detail});
  }
  take_identity();
}

// The control plane has answered for our listeners in this run, and we have looked at the answer.
bool PushedSource::has_spoken() const {
  return subscriber_ != nullptr && !subscriber_->version(ResourceType::listener).empty();
}

// Answers of a former run hold until this one has answers of its own.
std::set<std::string, std::less<>> PushedSource::unknown() const {
  std::set<std::string, std::less<>> names;
  if (!has_spoken()) names = stored_unknown_;
  if (subscriber_ != nullptr) names.insert(subscriber_->unknown().begin(),
                                           subscriber_->unknown().end());
  std::erase_if(names, [&](const std::string& name) { return !names_.contains(name); });
  return names;
}

// Of this run's answer, or all that the stored configuration has. An answer without any listener is
// not ours yet: a sidecar that takes nothing serves nobody.
bool PushedSource::own_listeners_are_there(const config::Merged& merged) const {
  if (merged.snapshot->listeners.empty() || (!has_spoken() && !restored_)) return false;
  return std::ranges::none_of(merged.held, [&](const config::HeldBack& held) {
    return held.resource.first == ResourceType::listener && !held.has_former &&
           routing::parse_destination(held.resource.second).port == 0;
  });
}

// The control plane hears of refusals by itself; the log does once, not at every compile.
void PushedSource::report(const config::Merged& merged,
                          const std::vector<xds::Refusal>& refusals) {
  std::vector<std::string> lines;
  for (const xds::Refusal& refusal : refusals) {
    lines.push_back("pushed resource rejected type=" +
                    std::string(xds::short_name(refusal.resource.first)) +
                    " name=" + refusal.resource.second + " reason=\"" + refusal.text + "\"");
  }
  for (const config::Problem& problem : merged.others) lines.push_back(problem.text());
  std::string all;
  for (const std::string& line : lines) all.append(line).push_back('\n');
  if (std::exchange(reported_, all) == all) return;
  for (size_t i = 0; i < lines.size() && i < kRefusalsLogged; ++i) log::warn(lines[i]);
  if (lines.size() > kRefusalsLogged) {
    log::warn("and " + std::to_string(lines.size() - kRefusalsLogged) + " more");
  }
}

void PushedSource::note_counts() {
  StatShard& shard = environment_.shard;
  const auto show = [&](StatId gauge, size_t value) {
    shard.add(gauge, static_cast<int64_t>(value) - shard.read(gauge));
  };
  show(counters_.asked, names_.size());
  show(counters_.external, egress_ != nullptr ? egress_->size() : 0);
  show(counters_.held_back, held_.size());
  shard.add(counters_.refused, static_cast<int64_t>(requests_.take_refused()));
}

// Once per reason: attempts are repeated for as long as it takes. The loss of a stream that has served
// is logged where it is seen.
void PushedSource::report_failure() {
  const std::string& failure = subscriber_->last_failure();
  if (failure == failure_reported_) return;
  failure_reported_ = failure;
  if (!failure.empty()) {
    log::warn("control plane not reached, trying again address=" +
              bootstrap_.membership.control_plane->address.to_string() + " reason=\"" + failure +
              "\"");
  }
}

Result<bool> PushedSource::reload(const config::Loaded& loaded) {
  // An issued identity, addresses and the control plane are those this process began with.
  identity_->reload(loaded.materials.identity);
  materials_ = loaded.materials;
  bootstrap_.resources = loaded.bootstrap->resources;
  bootstrap_.membership.egress = loaded.bootstrap->membership.egress;
  open_egress();
  take_identity();
  return compile();
}

void PushedSource::leave() {
  if (subscriber_ == nullptr) return;
  save();
  control_plane();  // the last view
  left_with_ = subscriber_->resources();
  stored_unknown_ = unknown();
  leaving_ = std::move(subscriber_);
  leaving_->leave();
  log::info("left the control plane");
}

void PushedSource::save() {
  // Before the control plane has spoken there is nothing to say that the file does not.
  if (!has_spoken()) return;
  config::LastGood state;
  state.resources = subscriber_->resources();
  state.destinations = names_.names();
  for (const std::string& name : unknown()) state.unknown.insert(name);
  state.addresses = addresses_;
  store_.save(state);
}

const ControlPlaneView* PushedSource::control_plane() {
  if (subscriber_ == nullptr) {
    view_.connected = false;
    return &view_;
  }
  view_ = {};
  view_.address = bootstrap_.membership.control_plane->address.to_string();
  view_.connected = subscriber_->connected();
  view_.last_failure = subscriber_->last_failure();
  view_.identity = identity_->state();
  for (const ResourceType type : xds::kResourceTypes) {
    for (const auto& [name, resource] : subscriber_->resources().all(type)) {
      view_.resources.push_back({std::string(xds::short_name(type)), name, resource->version});
    }
    const std::string& rejection = subscriber_->rejection(type);
    if (!rejection.empty()) view_.rejections.push_back(rejection);
  }
  for (const config::HeldBack& held : held_) {
    view_.held.push_back({std::string(xds::short_name(held.resource.first)),
                          held.resource.second, held.why, held.has_former});
  }
  for (const std::string& name : names_.names()) view_.destinations.push_back(name);
  for (const std::string& name : unknown()) view_.unknown.push_back(name);
  return &view_;
}

}  // namespace tulle::source
