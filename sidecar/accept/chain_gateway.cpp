#include "sidecar/accept/chain_gateway.hpp"

#include <algorithm>
#include <utility>

#include "core/base/memory_budget.hpp"
#include "core/net/loop.hpp"

namespace tulle::accept {
namespace {

// As many as a Server takes in one run.
constexpr int kArrivalsPerRun = 64;

const char* name_of(config::Direction direction) {
  return direction == config::Direction::inbound ? "inbound" : "outbound";
}

template <class Visit>
void for_each_chain(const config::FilterChains& chains, Visit visit) {
  for (const config::FilterChain& chain : chains.chains) visit(chain);
  if (chains.fallback) visit(*chains.fallback);
}

}  // namespace

ChainGateway::ChainGateway(const GatewayPlace& place,
                           std::shared_ptr<const config::ListenerConfig> config)
    : Task(place.host.loop()),
      host_(place.host),
      tcp_stats_(place.tcp_stats),
      node_id_(place.node_id),
      stat_slot_(place.stat_slot),
      tcp_stat_slot_(place.tcp_stats.listener_slot(config->name, name_of(config->direction))),
      config_(std::move(config)),
      max_connections_(place.max_connections) {
  adopt_http_chains();
}

ChainGateway::~ChainGateway() {
  arrivals_.clear();
  relays_.clear();
}

Result<void> ChainGateway::listen(Network& network, const Address& at, bool reuse_port) {
  const ListenOptions options{.reuse_port = reuse_port, .transparent = config_->transparent};
  auto acceptor = network.listen(at, options, *this);
  if (!acceptor) return std::move(acceptor.error());
  acceptor_ = std::move(*acceptor);
  local_address_ = acceptor_->local_address();
  return {};
}

void ChainGateway::adopt(std::shared_ptr<const config::ListenerConfig> config) {
  config_ = std::move(config);
  adopt_http_chains();
}

// Chains are the same when they have the same name and speak the same.
void ChainGateway::adopt_http_chains() {
  std::vector<NamedChain> former = std::exchange(http_chains_, {});
  for_each_chain(*config_->chains, [&](const config::FilterChain& wanted) {
    if (wanted.http == nullptr) return;
    const auto same = std::ranges::find_if(former, [&](const NamedChain& each) {
      return each.chain != nullptr && each.name == wanted.name &&
             !speaks_otherwise(*each.chain->config(), *wanted.http);
    });
    if (same != former.end()) {
      same->chain->adopt(wanted.http);
      http_chains_.push_back(std::move(*same));
      same->chain = nullptr;
      return;
    }
    auto chain = std::make_unique<HttpChain>(host_, wanted.http, node_id_, stat_slot_,
                                              max_connections_);
    chain->server().set_owner(this);
    http_chains_.push_back({wanted.name, std::move(chain)});
  });
  for (NamedChain& gone : former) {
    if (gone.chain == nullptr) continue;
    gone.chain->remove();
    removed_chains_.push_back(std::move(gone.chain));
  }
}

void ChainGateway::drain() {
  acceptor_.reset();
  for (Arrival& arrival : arrivals_.living()) arrival.retire();
  for (NamedChain& each : http_chains_) each.chain->server().drain();
  wake();
}

void ChainGateway::remove() {
  for (NamedChain& each : http_chains_) each.chain->remove();
  drain();
}

size_t ChainGateway::connections() const {
  size_t count = arrivals_.count() + relays_.count();
  for (const NamedChain& each : http_chains_) count += each.chain->server().connections();
  for (const auto& each : removed_chains_) count += each->server().connections();
  return count;
}

// ---- the turn --------------------------------------------------------------------------------

void ChainGateway::run() {
  const size_t before = connections();
  reap();
  take_arrivals();
  if (owner_ != nullptr && (connections() != before || acceptor_ == nullptr)) owner_->wake();
}

void ChainGateway::reap() {
  arrivals_.reap();
  relays_.reap();
  std::erase_if(removed_chains_, [](const auto& chain) { return chain->server().drained(); });
}

void ChainGateway::take_arrivals() {
  if (acceptor_ == nullptr) return;
  for (int taken = 0; !held_ && connections() < max_connections_; ++taken) {
    if (taken == kArrivalsPerRun) return defer();
    std::unique_ptr<ByteStream> bytes = acceptor_->accept();
    if (bytes == nullptr) break;
    arrivals_.add(std::make_unique<Arrival>(*this, std::move(bytes)));
  }
  update_accepting();
}

void ChainGateway::update_accepting() {
  const bool paused = held_ || connections() >= max_connections_;
  if (acceptor_ == nullptr || paused == paused_) return;
  paused_ = paused;
  acceptor_->pause(paused);
}

void ChainGateway::hold_accepting(bool held) {
  if (held_ == held) return;
  held_ = held;
  if (held) MemoryBudget::of_process().count(Shed::accepting);
  update_accepting();
  if (!held) wake();
}

size_t ChainGateway::shed(Sheds what, size_t bytes, Instant now) {
  size_t coming = 0;
  for (const NamedChain& each : http_chains_) {
    if (coming >= bytes) break;
    coming += each.chain->server().shed(what, bytes - coming, now);
  }
  return coming;
}

// ---- for arrivals ----------------------------------------------------------------------------

tcp::Assignment ChainGateway::assignment(const Arrival& arrival) const {
  tcp::Assignment assignment;
  assignment.listener = config_;
  assignment.stat_slot = tcp_stat_slot_;
  assignment.original_destination = arrival.original_destination();
  assignment.listens_at = local_address_;
  assignment.server_name = arrival.sniffed().server_name;
  assignment.config_version = arrival.destination_version();
  assignment.external = arrival.external();
  assignment.accepted = arrival.accepted();
  if (assignment.config_version.empty()) {
    exchange::Generation& present = host_.pin();
    assignment.config_version = present.snapshot->version;
    host_.unpin(present);
  }
  return assignment;
}

std::unique_ptr<tcp::Relay> ChainGateway::make_relay(tcp::Assignment assignment, Task& owner) {
  return std::make_unique<tcp::Relay>(host_, tcp_stats_, owner, std::move(assignment));
}

void ChainGateway::serve(const config::FilterChain& chain, const Address& original_destination,
                         std::unique_ptr<ByteStream> bytes) {
  const auto found = std::ranges::find(http_chains_, chain.name, &NamedChain::name);
  // The chain has gone while the connection was looked at: that ends as it does for a drained one.
  if (found == http_chains_.end()) return;
  found->chain->server().adopt(std::move(bytes), original_destination);
}

void ChainGateway::keep(std::unique_ptr<tcp::Relay> relay) {
  tcp::Relay& kept = relays_.add(std::move(relay));
  kept.end_into(relays_.ended());
  wake();
}

void ChainGateway::over(Arrival& arrival) {
  arrivals_.end(arrival);
  wake();
}

void ChainGateway::refused(const Arrival& arrival, Error error) {
  tcp_stats_.began(tcp_stat_slot_);
  tcp_stats_.ended(tcp_stat_slot_, &error);
  exchange::Summary summary;
  summary.opaque = true;
  summary.listener = config_.get();
  summary.server_name = arrival.sniffed().server_name;
  summary.config_version = arrival.destination_version();
  summary.error = &error;
  summary.duration = loop_.now() - arrival.accepted();
  host_.ended(summary);
}

}  // namespace tulle::accept
