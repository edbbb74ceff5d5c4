#include "sidecar/source/pushed_source.hpp"

#include <algorithm>
#include <utility>

#include "core/base/log.hpp"
#include "core/net/loop.hpp"
#include "sidecar/config/trust_bundle.hpp"
#include "sidecar/routing/destination_name.hpp"

namespace tulle::source {

using xds::ResourceType;

namespace {

constexpr std::string_view kTrustSecret = "ROOTCA";
// Many changes come together; a restart misses at most so much of them.
constexpr Duration kSaveDelay = 1s;
// A line of log for a resource that is refused; a bad push may refuse thousands.
constexpr size_t kRefusalsLogged = 10;

std::string control_plane_id(const std::string& trust_domain) {
  return "spiffe://" + trust_domain + "/ns/tulle-system/sa/control-plane";
}

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
      save_timer_(environment.owner),
      sweep_timer_(environment.owner) {}

PushedSource::~PushedSource() = default;

Result<void> PushedSource::begin() {
  Result<void> claimed = ports_.claim_all(*snapshot_);
  if (!claimed) return claimed;
  config::LastGood state = load_state();
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
  open_identity();
  restored_ = !state.resources.empty();
  stored_unknown_.insert(state.unknown.begin(), state.unknown.end());
  names_.restore(state.destinations, loop_.now());
  if (restored_) subscriber_->restore(std::move(state.resources));
  subscriber_->want_listeners(names_.names());
  sweep_timer_.arm(kDestinationSweep);
  advance();
  return {};
}

std::string PushedSource::whose_state() const {
  const config::Membership& membership = bootstrap_.membership;
  if (membership.issued_identity) return membership.spiffe_id();
  return bootstrap_.node.id;
}

// What a former run used. Whatever is wrong with it costs no more than waiting for the control
// plane.
config::LastGood PushedSource::load_state() {
  const std::string& directory = bootstrap_.membership.state_dir;
  if (directory.empty()) return {};
  auto state = config::load_last_good(directory, whose_state());
  if (!state) {
    log::error("stored configuration ignored: " + state.error().detail);
    return {};
  }
  if (!*state) return {};
  log::info("stored configuration found destinations=" +
            std::to_string((*state)->destinations.size()));
  return std::move(**state);
}

void PushedSource::open_egress() {
  if (bootstrap_.membership.egress == config::Egress::deny) return egress_.reset();
  if (egress_ != nullptr) return;
  Result<std::unique_ptr<Resolver>> resolver = make_resolver(loop_);
  if (!resolver) log::error(resolver.error().detail);
  egress_ = std::make_unique<Egress>(loop_, resolver ? std::move(*resolver) : nullptr,
                                     environment_.owner);
}

void PushedSource::open_identity() {
  const config::Membership& membership = bootstrap_.membership;
  if (!membership.issued_identity) return use_identity_of_files();
  identity::CredentialsOptions options;
  options.spiffe_id = membership.spiffe_id();
  options.trust_domain = membership.issued_identity->trust_domain;
  options.directory = membership.issued_identity->directory;
  options.join_token_file = membership.issued_identity->join_token_file;
  options.control_plane = membership.control_plane->address;
  options.trust_file = membership.control_plane->trust_bundle;
  credentials_ = std::make_unique<identity::Credentials>(
      loop_, environment_.network, std::move(options), environment_.stats, environment_.shard,
      environment_.seed + 1, environment_.owner);
}

// The certificate lies in files and the control plane knows it.
void PushedSource::use_identity_of_files() {
  if (!materials_.identity) return;
  const config::Identity& identity = *materials_.identity;
  TlsOptions options;
  options.certificate_pem = identity.certificate_pem;
  options.key_pem = identity.key_pem;
  options.trust_pem = identity.trust_pem;
  options.origin = identity.origin;
  options.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact,
                        control_plane_id(identity.trust_domain)}};
  options.alpn = {"h2"};
  auto tls = TlsContext::client(options, "");
  if (!tls) return log::error("no TLS to the control plane: " + tls.error().detail);
  subscriber_->set_tls(std::move(*tls));
}

// A certificate that was issued or renewed, or another trust bundle.
bool PushedSource::take_identity() {
  if (credentials_ == nullptr || credentials_->revision() == identity_seen_) return false;
  identity_seen_ = credentials_->revision();
  if (credentials_->identity() == nullptr) return false;
  materials_.identity = *credentials_->identity();
  if (subscriber_ != nullptr) subscriber_->set_tls(credentials_->control_plane_tls());
  return true;
}

bool PushedSource::advance() {
  bool due = take_identity() || std::exchange(compile_due_, false);
  if (subscriber_ != nullptr) {
    if (names_.advance(loop_.now())) {
      subscriber_->want_listeners(names_.names());
      save_later();
    }
    report_failure();
    due |= subscriber_->undecided() || subscriber_->changes() != changes_seen_;
  }
  if (egress_ != nullptr) {
    egress_->want(unknown());
    due |= egress_->advance();
  }
  if (sweep_timer_.fired()) sweep_timer_.arm(kDestinationSweep);
  if (save_timer_.fired()) save();
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
  save_later();
  if (same_content(*snapshot_, *merged.snapshot)) return false;
  snapshot_ = std::move(merged.snapshot);
  return true;
}

// Everything that is there now, as one snapshot, with the ports of its listeners claimed.
config::Merged PushedSource::merge(std::vector<xds::Refusal>& refusals) {
  take_trust(refusals);
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

// The trust bundle is not compiled: the identity brings it, wherever "ROOTCA" is named.
void PushedSource::take_trust(std::vector<xds::Refusal>& refusals) {
  if (subscriber_ == nullptr) return;
  const xds::Resource* secret =
      subscriber_->resources().find(ResourceType::secret, kTrustSecret);
  if (secret == nullptr || secret->hash == trust_seen_) return;
  if (credentials_ != nullptr ? credentials_->identity() == nullptr : !materials_.identity) return;
  trust_seen_ = secret->hash;
  Result<std::string> pem = config::trust_bundle_in(*secret);
  Result<void> taken;
  if (!pem) {
    taken = pem.error();
  } else if (credentials_ != nullptr) {
    taken = credentials_->adopt_bundle(*pem);
  } else {
    materials_.identity->trust_pem = *pem;
    use_identity_of_files();
  }
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
  // Identity, addresses and the control plane are those this process began with.
  const config::Identity* present = materials_.identity ? &*materials_.identity : nullptr;
  const bool from_files = credentials_ == nullptr;
  config::Materials materials = loaded.materials;
  const bool renewed = from_files && materials.identity &&
                       (present == nullptr ||
                        present->certificate_pem != materials.identity->certificate_pem);
  if (!from_files) materials.identity = materials_.identity;
  materials_ = std::move(materials);
  bootstrap_.resources = loaded.bootstrap->resources;
  bootstrap_.membership.egress = loaded.bootstrap->membership.egress;
  open_egress();
  trust_seen_ = from_files ? xds::ContentHash{} : trust_seen_;
  if (renewed && subscriber_ != nullptr) use_identity_of_files();
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

void PushedSource::save_later() {
  if (!bootstrap_.membership.state_dir.empty() && !save_timer_.armed()) {
    save_timer_.arm(kSaveDelay);
  }
}

void PushedSource::save() {
  save_timer_.disarm();
  const std::string& directory = bootstrap_.membership.state_dir;
  // Before the control plane has spoken there is nothing to say that the file does not.
  if (directory.empty() || !has_spoken()) return;
  config::LastGood state;
  state.resources = subscriber_->resources();
  state.destinations = names_.names();
  for (const std::string& name : unknown()) state.unknown.insert(name);
  state.addresses = addresses_;
  const xds::ContentHash hash = xds::hash_of(config::encode(state, whose_state()));
  if (hash == saved_) return;
  Result<void> saved = config::save_last_good(directory, state, whose_state());
  if (saved) {
    saved_ = hash;
  } else if (!save_failed_) {
    log::error("configuration not stored: " + saved.error().detail);
  }
  save_failed_ = !saved;
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
  view_.identity = credentials_ != nullptr ? credentials_->state() : "from files";
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
