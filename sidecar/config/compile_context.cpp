#include "sidecar/config/compile_context.hpp"

#include <type_traits>
#include <utility>

#include "sidecar/config/resource_json.hpp"
#include "sidecar/routing/route_clusters.hpp"

namespace tulle::config {

namespace {

TlsKeys keys_of(const TlsOptions& options, bool server, bool require_client,
                std::string_view server_name) {
  xds::HashBuilder shared;
  shared.add(server ? 1u : 0u).add(require_client ? 1u : 0u);
  shared.add(options.certificate_pem).add(options.key_pem).add(options.trust_pem);
  shared.add(options.cipher_suites).add(options.allow_tls12 ? 1u : 0u);
  shared.add(options.alpn.size());
  for (const std::string& protocol : options.alpn) shared.add(protocol);
  TlsKeys keys;
  keys.shared = shared.finish();
  xds::HashBuilder whole;
  whole.add(keys.shared).add(server_name);
  whole.add(options.peer_sans.size());
  for (const SanMatcher& san : options.peer_sans) {
    whole.add(static_cast<uint64_t>(san.type)).add(static_cast<uint64_t>(san.kind)).add(san.value);
  }
  keys.whole = whole.finish();
  return keys;
}

xds::ContentHash combined(const xds::ContentHash& own, const std::vector<Dependency>& uses) {
  xds::HashBuilder hash;
  hash.add(own);
  for (const Dependency& use : uses) {
    hash.add(static_cast<uint64_t>(use.kind)).add(use.name).add(use.hash);
  }
  return hash.finish();
}

}  // namespace

CompileContext::CompileContext(const xds::ResourceSet& all, const Materials& files,
                               const Snapshot* previous, OnFault on_fault, Problems& list)
    : resources_(all),
      materials_(files),
      former_(previous),
      previous_(previous != nullptr ? previous->cache.get() : nullptr),
      on_fault_(on_fault),
      problems_(list),
      cluster_slots_(previous != nullptr ? previous->clusters.size() : 0) {}

// A cluster keeps its index while it exists; new ones get indexes never used before.
ClusterIndex CompileContext::index_of(const std::string& name) {
  const auto known = cluster_names_.find(name);
  if (known != cluster_names_.end()) return known->second;
  std::optional<ClusterIndex> index;
  if (former_ != nullptr) {
    const auto kept = former_->cluster_names.find(name);
    if (kept != former_->cluster_names.end()) index = kept->second;
  }
  if (!index) index = static_cast<ClusterIndex>(cluster_slots_++);
  cluster_names_.emplace(name, *index);
  return *index;
}

std::optional<ClusterIndex> CompileContext::cluster(std::string_view name) {
  record(Dependency::Kind::cluster, name);
  const auto found = cache_.clusters.find(name);
  if (found != cache_.clusters.end()) return found->second->node->index;
  incomplete_ = true;
  // A cluster that is there and faulty has been reported, and nothing comes of this run.
  const bool reported = on_fault_ == OnFault::fail &&
                        resources_.find(xds::ResourceType::cluster, name) != nullptr;
  return reported ? std::optional<ClusterIndex>(0) : std::nullopt;
}

std::shared_ptr<const routing::RouteTable> CompileContext::routes(std::string_view name) {
  record(Dependency::Kind::routes, name);
  const auto found = cache_.tables.find(name);
  if (found != cache_.tables.end()) return found->second->node;
  incomplete_ = true;
  return nullptr;
}

bool CompileContext::has_routes(std::string_view name) const {
  return resources_.find(xds::ResourceType::route, name) != nullptr;
}

const xds::Resource* CompileContext::endpoints(std::string_view name) {
  record(Dependency::Kind::endpoints, name);
  return resources_.find(xds::ResourceType::endpoints, name);
}

const xds::Resource* CompileContext::secret(std::string_view name) {
  record(Dependency::Kind::secret, name);
  return resources_.find(xds::ResourceType::secret, name);
}

const std::string* CompileContext::file(std::string_view path) {
  record(Dependency::Kind::file, path);
  const auto found = materials_.files.find(path);
  return found == materials_.files.end() ? nullptr : &found->second;
}

const Identity* CompileContext::identity() {
  record(Dependency::Kind::identity, {});
  return materials_.identity ? &*materials_.identity : nullptr;
}

xds::ContentHash CompileContext::current(Dependency::Kind kind, std::string_view name) {
  const auto of_resource = [&](xds::ResourceType type) {
    const xds::Resource* resource = resources_.find(type, name);
    return resource != nullptr ? resource->hash : xds::ContentHash{};
  };
  switch (kind) {
    case Dependency::Kind::cluster: {  // a route depends on the index, not on the content
      const auto found = cache_.clusters.find(name);
      if (found == cache_.clusters.end()) return {};
      return {1, found->second->node->index};
    }
    case Dependency::Kind::routes: {
      const auto found = cache_.tables.find(name);
      return found == cache_.tables.end() ? xds::ContentHash{} : found->second->hash;
    }
    case Dependency::Kind::endpoints: return of_resource(xds::ResourceType::endpoints);
    case Dependency::Kind::secret: return of_resource(xds::ResourceType::secret);
    case Dependency::Kind::file: {
      const auto known = file_hashes_.find(name);
      if (known != file_hashes_.end()) return known->second;
      const auto found = materials_.files.find(name);
      const xds::ContentHash hash =
          found == materials_.files.end() ? xds::ContentHash{} : xds::hash_of(found->second);
      return file_hashes_.emplace(name, hash).first->second;
    }
    case Dependency::Kind::identity: {
      if (!materials_.identity) return {};
      if (!identity_hash_) {
        const Identity& identity = *materials_.identity;
        identity_hash_ = xds::HashBuilder()
                             .add(identity.certificate_pem)
                             .add(identity.key_pem)
                             .add(identity.trust_pem)
                             .finish();
      }
      return *identity_hash_;
    }
  }
  return {};
}

void CompileContext::record(Dependency::Kind kind, std::string_view name) {
  std::pair<Dependency::Kind, std::string> key(kind, name);
  if (!uses_.contains(key)) uses_.emplace(std::move(key), current(kind, name));
}

std::shared_ptr<const TlsContext> CompileContext::known_tls(
    std::map<xds::ContentHash, std::shared_ptr<const TlsContext>> CompileCache::* kind,
    const xds::ContentHash& hash) {
  auto& present = cache_.*kind;
  const auto made = present.find(hash);
  if (made != present.end()) return made->second;
  if (previous_ == nullptr) return nullptr;
  const auto kept = (previous_->*kind).find(hash);
  if (kept == (previous_->*kind).end()) return nullptr;
  return present.emplace(hash, kept->second).first->second;
}

// An SSL_CTX for every cluster costs some milliseconds and 20 KiB each; most differ in nothing but
// the identity they expect.
Result<std::shared_ptr<const TlsContext>> CompileContext::tls(const TlsOptions& options,
                                                              bool server, bool require_client,
                                                              const std::string& server_name) {
  const TlsKeys keys = keys_of(options, server, require_client, server_name);
  tls_used_ = keys;
  if (auto known = known_tls(&CompileCache::tls, keys.whole)) return known;
  const auto like = known_tls(&CompileCache::shared_tls, keys.shared);
  auto context = like != nullptr ? like->with_peer(options.peer_sans, server_name)
                 : server        ? TlsContext::server(options, require_client)
                                 : TlsContext::client(options, server_name);
  if (context) {
    cache_.tls.emplace(keys.whole, *context);
    cache_.shared_tls.emplace(keys.shared, *context);
  }
  return context;
}

Result<std::shared_ptr<const TlsContext>> CompileContext::server_tls(const TlsOptions& options,
                                                                     bool require_client) {
  return tls(options, true, require_client, {});
}

Result<std::shared_ptr<const TlsContext>> CompileContext::client_tls(
    const TlsOptions& options, const std::string& server_name) {
  return tls(options, false, false, server_name);
}

void CompileContext::begin_node() {
  uses_.clear();
  tls_used_.reset();
  problems_before_ = problems_.size();
  incomplete_ = false;
}

template <class Node>
std::shared_ptr<Record<Node>> CompileContext::end_node(const xds::Resource& resource) {
  auto record = std::make_shared<Record<Node>>();
  record->own = resource.hash;
  record->uses.reserve(uses_.size());
  for (auto& [key, hash] : uses_) record->uses.push_back({key.first, key.second, hash});
  record->hash = combined(record->own, record->uses);
  record->tls = tls_used_;
  return record;
}

template <class Node>
std::shared_ptr<const Record<Node>> CompileContext::reusable(
    const Records<Node> CompileCache::* kind, const xds::Resource& resource) {
  if (previous_ == nullptr) return nullptr;
  const Records<Node>& records = previous_->*kind;
  const auto found = records.find(resource.name);
  if (found == records.end() || found->second->own != resource.hash) return nullptr;
  for (const Dependency& use : found->second->uses) {
    if (current(use.kind, use.name) != use.hash) return nullptr;
  }
  return found->second;
}

namespace {

// Clusters lead nowhere.
template <class Visit>
void visit_tables(const ClusterConfig&, Visit) {}

}  // namespace

template <class Node>
std::shared_ptr<const Record<Node>> CompileContext::hold(const Records<Node> CompileCache::* kind,
                                                         const xds::Resource& resource) {
  Held& held = held_.emplace_back(Held{resource.type, resource.name, false, {}});
  if (previous_ == nullptr) return nullptr;
  const auto found = (previous_->*kind).find(resource.name);
  if (found == (previous_->*kind).end()) return nullptr;
  held.has_former = true;
  if constexpr (std::is_same_v<Node, routing::RouteTable>) {
    held.tables.push_back(found->second->node);
  } else {
    visit_tables(*found->second->node, [&](const auto& table) { held.tables.push_back(table); });
  }
  return found->second;
}

void CompileContext::keep_clusters_of(const routing::RouteTable& table) {
  for (const ClusterIndex index : clusters_of(table)) {
    const std::string& name = former_->cluster(index).name;
    if (cache_.clusters.contains(name)) continue;
    const auto record = previous_->clusters.find(name);
    ASSERT(record != previous_->clusters.end());
    keep_tls(cache_, *record->second);
    cluster_names_.insert_or_assign(name, index);
    cache_.clusters.emplace(name, record->second);
  }
}

namespace {

template <class Node>
void keep_tls_of(CompileCache& cache, const Record<Node>& record) {
  if (!record.tls || record.node->tls == nullptr) return;  // those of chains are not remembered
  cache.tls.emplace(record.tls->whole, record.node->tls);
  cache.shared_tls.emplace(record.tls->shared, record.node->tls);
}

}  // namespace

void keep_tls(CompileCache& cache, const Record<ListenerConfig>& record) {
  keep_tls_of(cache, record);
}

void keep_tls(CompileCache& cache, const Record<ClusterConfig>& record) {
  keep_tls_of(cache, record);
}

bool CompileContext::was_destination(const xds::Resource& listener) const {
  if (previous_ == nullptr) return false;
  const auto found = previous_->destinations.find(listener.name);
  return found != previous_->destinations.end() && found->second->own == listener.hash;
}

Place CompileContext::place_of(const xds::Resource& resource) const {
  return Place(problems_, title_of(resource));
}

#define TULLE_FOR_NODE(Node)                                                                  \
  template std::shared_ptr<Record<Node>> CompileContext::end_node<Node>(const xds::Resource&); \
  template std::shared_ptr<const Record<Node>> CompileContext::reusable<Node>(                 \
      const Records<Node> CompileCache::*, const xds::Resource&);                              \
  template std::shared_ptr<const Record<Node>> CompileContext::hold<Node>(                     \
      const Records<Node> CompileCache::*, const xds::Resource&);
TULLE_FOR_NODE(ListenerConfig)
TULLE_FOR_NODE(Destination)
TULLE_FOR_NODE(routing::RouteTable)
TULLE_FOR_NODE(ClusterConfig)
#undef TULLE_FOR_NODE

}  // namespace tulle::config
