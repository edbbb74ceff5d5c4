#include "sidecar/routing/cluster.hpp"

#include <algorithm>
#include <unordered_map>

#include "core/net/network.hpp"
#include "core/net/tls_offer.hpp"

namespace tulle::routing {
namespace {

Protocol protocol_of(config::UpstreamProtocol protocol) {
  switch (protocol) {
    case config::UpstreamProtocol::http1: return Protocol::http1;
    case config::UpstreamProtocol::http2: return Protocol::http2;
    case config::UpstreamProtocol::automatic: return Protocol::negotiated;
  }
  UNREACHABLE();
}

// A pool is rebuilt when something other than its TLS context changed in how it connects.
bool same_dialling(const config::ClusterConfig& a, const config::ClusterConfig& b) {
  return a.protocol == b.protocol && a.connect_timeout == b.connect_timeout &&
         a.tls_handshake_timeout == b.tls_handshake_timeout &&
         (a.tls == nullptr) == (b.tls == nullptr) && a.sni == b.sni &&
         a.tcp_alpn == b.tcp_alpn && a.source4 == b.source4 && a.source6 == b.source6 &&
         a.http.idle_timeout == b.http.idle_timeout &&
         a.http.max_concurrent_streams == b.http.max_concurrent_streams &&
         a.http.stream_window == b.http.stream_window &&
         a.http.connection_window == b.http.connection_window;
}

// One listener's traffic goes to so many places at a time; beyond, somebody scans.
constexpr size_t kMostOriginals = 4096;

}  // namespace

Cluster::Cluster(Loop& loop, Network& network, policies::PolicyHost& host,
                 std::shared_ptr<Admission> admission)
    : loop_(loop), network_(network), host_(host), admission_(std::move(admission)) {}

std::unique_ptr<Pool> Cluster::make_pool(const Endpoint& endpoint, bool opaque) {
  Pool::Options options;
  options.address = endpoint.address();
  options.from = source_for(endpoint.address());
  options.protocol = opaque ? Protocol::opaque : protocol_of(config_->protocol);
  options.limits = config_->http;
  options.tls = config_->tls;
  options.connect_timeout = config_->connect_timeout;
  options.tls_handshake_timeout = config_->tls_handshake_timeout;
  return std::make_unique<Pool>(loop_, network_, std::move(options), admission_.get());
}

std::unique_ptr<ByteStream> Cluster::connect(const Endpoint& endpoint) {
  return network_.connect(endpoint.address(), {.from = source_for(endpoint.address())});
}

const Address& Cluster::source_for(const Address& to) const {
  return to.is_ipv6() ? config_->source6 : config_->source4;
}

std::shared_ptr<const TlsContext> Cluster::tcp_tls() {
  if (config_->tls == nullptr) return nullptr;
  if (tcp_tls_of_ != config_->tls) {
    tcp_tls_of_ = config_->tls;
    tcp_tls_ = offering(*config_->tls, config_->tcp_alpn);
  }
  return tcp_tls_;
}

Endpoint* Cluster::original(const Address& to) {
  const auto known = originals_.find(to);
  if (known != originals_.end()) return known->second.get();
  if (originals_.size() >= kMostOriginals) {
    std::erase_if(originals_, [](const auto& each) { return each.second->unused(); });
    if (originals_.size() >= kMostOriginals) return nullptr;
  }
  auto made = std::make_unique<Endpoint>(pools(), to, 1, std::string());
  return originals_.emplace(to, std::move(made)).first->second.get();
}

void Cluster::adopt(std::shared_ptr<const config::ClusterConfig> config) {
  const std::shared_ptr<const config::ClusterConfig> former = std::exchange(config_, config);
  const bool keep_pools = former != nullptr && same_dialling(*former, *config);
  if (former == nullptr || former->balancing != config->balancing) {
    balancer_ = make_balancer(config->balancing);
  }
  if (former == nullptr) {
    ejected_gauge_ = host_.gauge("tulle_endpoints_ejected", "Endpoints that are left out now",
                                 {{"cluster", config->name}});
  }
  std::unordered_map<Address, std::unique_ptr<Endpoint>, AddressHash> known;
  for (std::unique_ptr<Endpoint>& endpoint : endpoints_) {
    known.emplace(endpoint->address(), std::move(endpoint));
  }
  endpoints_.clear();
  for (const config::EndpointConfig& wanted : config->endpoints) {
    auto found = keep_pools ? known.find(wanted.address) : known.end();
    std::unique_ptr<Endpoint> endpoint;
    if (found != known.end() && found->second != nullptr) {
      endpoint = std::move(found->second);
      endpoint->set_weight(wanted.weight);
      for (Pool* pool : {endpoint->pool_if_made(), endpoint->tunnels_if_made()}) {
        if (pool != nullptr && former->tls != config->tls) pool->set_tls(config->tls);
      }
    } else {
      endpoint = std::make_unique<Endpoint>(pools(), wanted.address, wanted.weight,
                                            wanted.hostname);
    }
    endpoints_.push_back(std::move(endpoint));
  }
  if (!keep_pools) retire_originals();
  for (auto& [address, endpoint] : known) {
    if (endpoint == nullptr) continue;
    forget_ejection(endpoint->health());
    endpoint->retire();
    retired_.push_back(std::move(endpoint));
  }
  sort_endpoints();
  policies_.adopt(config->policies, {.host = host_, .cluster = this}, &policies_);
}

void Cluster::retire() {
  gone_ = true;
  retire_originals();
  usable_.clear();
  ejected_.clear();
  for (std::unique_ptr<Endpoint>& endpoint : endpoints_) {
    forget_ejection(endpoint->health());
    endpoint->retire();
    retired_.push_back(std::move(endpoint));
  }
  endpoints_.clear();
}

void Cluster::retire_originals() {
  for (auto& [address, endpoint] : originals_) {
    endpoint->retire();
    retired_.push_back(std::move(endpoint));
  }
  originals_.clear();
}

void Cluster::reap() {
  std::erase_if(retired_,
                [](const std::unique_ptr<Endpoint>& endpoint) { return endpoint->unused(); });
}

bool Cluster::unused() const { return gone_ && exchanges_ == 0 && retired_.empty(); }

// ---- ejection --------------------------------------------------------------------------------

void Cluster::sort_endpoints() {
  usable_.clear();
  ejected_.clear();
  for (const std::unique_ptr<Endpoint>& endpoint : endpoints_) {
    (endpoint->health().ejected ? ejected_ : usable_).push_back(endpoint.get());
  }
}

Endpoint* Cluster::due_for_probe(const PickHint& hint) {
  for (Endpoint* endpoint : ejected_) {
    policies::EndpointHealth& health = endpoint->health();
    if (health.probing || hint.now < health.ejected_until || hint.avoids(endpoint)) continue;
    health.probing = true;
    return endpoint;
  }
  return nullptr;
}

policies::EndpointHealth* Cluster::find(const Address& address) {
  for (const std::unique_ptr<Endpoint>& endpoint : endpoints_) {
    if (endpoint->address() == address) return &endpoint->health();
  }
  return nullptr;
}

// An outcome may come from an endpoint that has been retired meanwhile: that one stays as it is.
bool Cluster::eject(policies::EndpointHealth& endpoint, Instant until) {
  if (find(endpoint.address) != &endpoint) return false;
  endpoint.ejected_until = until;
  if (endpoint.ejected) return false;
  endpoint.ejected = true;
  endpoint.probing = false;
  sort_endpoints();
  if (!admission_->mark_ejected(endpoint.address)) return false;
  host_.count(ejected_gauge_, 1);
  return true;
}

void Cluster::readmit(policies::EndpointHealth& endpoint) {
  forget_ejection(endpoint);
  sort_endpoints();
}

void Cluster::readmit_all() {
  for (Endpoint* endpoint : ejected_) forget_ejection(endpoint->health());
  sort_endpoints();
}

void Cluster::forget_ejection(policies::EndpointHealth& endpoint) {
  if (!endpoint.ejected) return;
  endpoint.ejected = false;
  endpoint.probing = false;
  if (admission_->unmark_ejected(endpoint.address)) host_.count(ejected_gauge_, -1);
}

void Cluster::take_note(const policies::PolicyType& type, const policies::Note& note) {
  const size_t index = policies::index_of(type);
  if (policies_.has(index)) policies_.at(index).on_note(note);
}

// ---- the table -------------------------------------------------------------------------------

ClusterTable::ClusterTable(Loop& loop, Network& network, policies::PolicyHost& host,
                           Admissions& admissions)
    : loop_(loop), network_(network), host_(host), admissions_(admissions) {}

Cluster* ClusterTable::find(std::string_view name) {
  for (const std::unique_ptr<Cluster>& cluster : clusters_) {
    if (cluster != nullptr && cluster->config().name == name) return cluster.get();
  }
  return nullptr;
}

void ClusterTable::adopt(const config::Snapshot& snapshot) {
  clusters_.resize(std::max(clusters_.size(), snapshot.clusters.size()));
  for (size_t i = 0; i < clusters_.size(); ++i) {
    const auto wanted = i < snapshot.clusters.size() ? snapshot.clusters[i] : nullptr;
    std::unique_ptr<Cluster>& present = clusters_[i];
    if (present != nullptr && present->config_node() == wanted) continue;
    if (present != nullptr && (wanted == nullptr || wanted->name != present->config().name)) {
      present->retire();
      retired_.push_back(std::move(present));
    }
    if (wanted == nullptr) continue;
    std::shared_ptr<Admission> admission = admissions_.of(*wanted);
    if (present == nullptr) present = std::make_unique<Cluster>(loop_, network_, host_, admission);
    present->adopt(wanted);
  }
}

void ClusterTable::reap() {
  for (std::unique_ptr<Cluster>& cluster : clusters_) {
    if (cluster != nullptr) cluster->reap();
  }
  for (std::unique_ptr<Cluster>& cluster : retired_) cluster->reap();
  std::erase_if(retired_, [](const std::unique_ptr<Cluster>& c) { return c->unused(); });
}

void ClusterTable::retire_all() {
  for (std::unique_ptr<Cluster>& cluster : clusters_) {
    if (cluster == nullptr) continue;
    cluster->retire();
    retired_.push_back(std::move(cluster));
  }
}

bool ClusterTable::idle() const {
  return retired_.empty() &&
         std::all_of(clusters_.begin(), clusters_.end(), [](const std::unique_ptr<Cluster>& c) {
           return c == nullptr || c->settled();
         });
}

}  // namespace tulle::routing
