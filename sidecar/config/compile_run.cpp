#include "sidecar/config/compile_run.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "sidecar/config/compile_parts.hpp"
#include "sidecar/routing/route_clusters.hpp"

namespace tulle::config {

namespace {

// What a fresh node cannot know before it is complete; route tables and destinations need nothing.
void finish(CompileContext&, const xds::ContentHash&, const routing::RouteTable&) {}
void finish(CompileContext&, const xds::ContentHash&, const Destination&) {}

void finish(CompileContext&, const xds::ContentHash& hash, ListenerConfig& node) {
  node.hash = hash;
}

void finish(CompileContext& context, const xds::ContentHash& hash, ClusterConfig& node) {
  node.hash = hash;
  node.index = context.index_of(node.name);
}

// Takes over the former node where nothing has changed, else compiles; a node that does not become
// whole is held back, or kept to let the run find more faults.
template <class Node, class Step>
void compile_one(CompileContext& context, const xds::Resource& resource,
                 Records<Node> CompileCache::* kind, Step step) {
  std::shared_ptr<const Record<Node>> record = context.reusable(kind, resource);
  if (record == nullptr) {
    context.begin_node();
    auto node = step(context, resource);
    const bool usable = node != nullptr && (context.node_is_whole() ||
                                            context.on_fault() == OnFault::fail);
    if (usable) {
      auto fresh = context.template end_node<Node>(resource);
      finish(context, fresh->hash, *node);
      fresh->node = std::move(node);
      record = std::move(fresh);
    } else if (context.on_fault() == OnFault::hold_back) {
      record = context.hold(kind, resource);
    }
  }
  if (record == nullptr) return;
  if constexpr (std::is_same_v<Node, ClusterConfig>) {
    ASSERT(context.index_of(resource.name) == record->node->index);
  }
  keep_tls(context.cache(), *record);
  (context.cache().*kind).emplace(resource.name, std::move(record));
}

template <class Node, class Step>
void compile_all(CompileContext& context, xds::ResourceType type,
                 Records<Node> CompileCache::* kind, Step step) {
  for (const auto& [name, resource] : context.resources().all(type)) {
    compile_one(context, *resource, kind, step);
  }
}

void compile_listeners(CompileContext& context) {
  for (const auto& [name, resource] : context.resources().all(xds::ResourceType::listener)) {
    if (context.was_destination(*resource) || is_destination(*resource)) {
      compile_one(context, *resource, &CompileCache::destinations, compile_destination);
    } else {
      compile_one(context, *resource, &CompileCache::listeners, compile_listener);
    }
  }
}

// Two sockets cannot have one address. Port 0 asks for any. Where faults are held back, the listener
// that the file gives wins, then the first by name; the other is left out.
void refuse_shared_addresses(CompileContext& context) {
  Records<ListenerConfig>& listeners = context.cache().listeners;
  const auto resource_of = [&](const std::string& name) {
    return context.resources().find(xds::ResourceType::listener, name);
  };
  std::vector<const ListenerConfig*> order;
  for (const auto& [name, record] : listeners) order.push_back(record->node.get());
  std::stable_partition(order.begin(), order.end(), [&](const ListenerConfig* each) {
    const xds::Resource* resource = resource_of(each->name);
    return resource != nullptr && !resource->origin.empty();
  });
  std::vector<const ListenerConfig*> seen;
  for (const ListenerConfig* listener : order) {
    const auto same = std::ranges::find_if(seen, [&](const ListenerConfig* other) {
      return other->address == listener->address && listener->address.is_set() &&
             listener->address.port() != 0;
    });
    if (same == seen.end()) {
      seen.push_back(listener);
      continue;
    }
    if (const xds::Resource* resource = resource_of(listener->name)) {
      context.place_of(*resource).field("address").invalid(
          listener->address.to_string() + " is also the address of listener \"" + (*same)->name +
          "\"");
    }
    if (context.on_fault() == OnFault::hold_back) {
      context.held().push_back(
          Held{xds::ResourceType::listener, listener->name, false, {}});
      listeners.erase(std::string(listener->name));
    }
  }
}

// A former form goes on with the clusters it knows, even those that have been removed by now.
void keep_clusters_of_held(CompileContext& context) {
  for (const Held& held : context.held()) {
    for (const auto& table : held.tables) context.keep_clusters_of(*table);
  }
}

// Endpoints come and go all the time and change no behaviour that a version could explain; neither
// does a certificate that is renewed.
template <class Node>
void add_version(xds::HashBuilder& hash, const Record<Node>& record) {
  hash.add(record.own);
  for (const Dependency& use : record.uses) {
    if (use.kind == Dependency::Kind::secret) hash.add(use.name).add(use.hash);
  }
}

template <class Node>
void add_versions(xds::HashBuilder& hash, uint64_t kind, const Records<Node>& records) {
  for (const auto& [name, record] : records) {
    hash.add(kind).add(name);
    add_version(hash, *record);
  }
}

std::string version_of(const CompileCache& cache) {
  xds::HashBuilder hash;
  add_versions(hash, 0, cache.listeners);
  add_versions(hash, 1, cache.destinations);
  add_versions(hash, 2, cache.tables);
  add_versions(hash, 3, cache.clusters);
  return hash.finish().hex();
}

// Of one destination and all it leads to.
std::string version_of(const Record<Destination>& record, const CompileCache& cache,
                       const Snapshot& snapshot) {
  xds::HashBuilder hash;
  add_version(hash, record);
  for (const Dependency& use : record.uses) {
    if (use.kind != Dependency::Kind::routes) continue;
    const auto table = cache.tables.find(use.name);
    if (table != cache.tables.end()) add_version(hash, *table->second);
  }
  // By name: indexes tell in which order clusters have come.
  std::set<std::string> clusters;
  visit_tables(*record.node, [&](const auto& table) {
    for (const ClusterIndex index : routing::clusters_of(*table)) {
      clusters.insert(snapshot.cluster(index).name);
    }
  });
  for (const std::string& name : clusters) {
    hash.add(name);
    add_version(hash, *cache.clusters.find(name)->second);
  }
  return hash.finish().hex();
}

std::shared_ptr<const Destinations> destinations_of(
    const CompileCache& cache, const Snapshot& snapshot, const Snapshot* previous,
    const std::set<std::string, std::less<>>& refused, const xds::ResourceSet& resources) {
  std::vector<Destination> all;
  for (const auto& [name, record] : cache.destinations) {
    Destination destination = *record->node;
    destination.version = version_of(*record, cache, snapshot);
    const xds::Resource* resource = resources.find(xds::ResourceType::listener, name);
    if (resource != nullptr && resource->origin == kEgressOrigin) {
      destination.kind = Destination::Kind::external;
    }
    all.push_back(std::move(destination));
  }
  for (const std::string& name : refused) {
    if (cache.destinations.contains(name)) continue;
    all.push_back({.name = name, .kind = Destination::Kind::refused});
  }
  std::ranges::sort(all, {}, &Destination::name);
  auto fresh = std::make_shared<const Destinations>(std::move(all));
  const bool same = previous != nullptr && previous->destinations != nullptr &&
                    equal(*previous->destinations, *fresh);
  return same ? previous->destinations : fresh;
}

}  // namespace

void compile_resources(CompileContext& context) {
  compile_all(context, xds::ResourceType::cluster, &CompileCache::clusters, compile_cluster);
  compile_all(context, xds::ResourceType::route, &CompileCache::tables, compile_route_resource);
  compile_listeners(context);
  refuse_shared_addresses(context);
  keep_clusters_of_held(context);
}

std::shared_ptr<const Snapshot> assemble(CompileContext& context, const Snapshot* previous,
                                         const std::set<std::string, std::less<>>& refused) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->generation = previous == nullptr ? 1 : previous->generation + 1;
  const CompileCache& cache = context.cache();
  snapshot->version = version_of(cache);
  for (const auto& [name, record] : cache.listeners) snapshot->listeners.push_back(record->node);
  snapshot->clusters.resize(context.cluster_slots());
  for (const auto& [name, record] : cache.clusters) {
    snapshot->clusters[record->node->index] = record->node;
  }
  snapshot->cluster_names = context.cluster_names();
  snapshot->destinations =
      destinations_of(cache, *snapshot, previous, refused, context.resources());
  snapshot->cache = std::make_shared<const CompileCache>(std::move(context.cache()));
  return snapshot;
}

void remove_repetitions(Problems& problems) {
  std::set<std::string> seen;
  std::erase_if(problems, [&](const Problem& each) { return !seen.insert(each.text()).second; });
}

}  // namespace tulle::config
