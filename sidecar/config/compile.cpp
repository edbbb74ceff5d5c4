#include "sidecar/config/compile.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "sidecar/config/compile_parts.hpp"

namespace tulle::config {

namespace {

// What a fresh node cannot know before it is complete; route tables need nothing.
void finish(CompileContext&, const xds::ContentHash&, const routing::RouteTable&) {}

void finish(CompileContext&, const xds::ContentHash& hash, ListenerConfig& node) {
  node.hash = hash;
}

void finish(CompileContext& context, const xds::ContentHash& hash, ClusterConfig& node) {
  node.hash = hash;
  node.index = context.cluster_names().find(node.name)->second;
}

// A node that is taken over brings its TLS context along.
void keep_tls(CompileContext&, const Record<routing::RouteTable>&) {}

template <class Node>
void keep_tls(CompileContext& context, const Record<Node>& record) {
  if (!record.tls) return;
  context.cache().tls.emplace(record.tls->whole, record.node->tls);
  context.cache().shared_tls.emplace(record.tls->shared, record.node->tls);
}

// Compiles every resource of a type, or takes over the previous node where nothing has changed.
template <class Node, class Step>
void compile_all(CompileContext& context, xds::ResourceType type,
                 Records<Node> CompileCache::* kind, Step compile_one) {
  Records<Node>& records = context.cache().*kind;
  for (const auto& [name, resource] : context.resources().all(type)) {
    std::shared_ptr<const Record<Node>> record = context.reusable(kind, *resource);
    if (record != nullptr) {
      keep_tls(context, *record);
    } else {
      context.begin_node();
      auto node = compile_one(context, *resource);
      if (node == nullptr) continue;
      auto fresh = context.template end_node<Node>(*resource);
      finish(context, fresh->hash, *node);
      fresh->node = std::move(node);
      record = std::move(fresh);
    }
    records.emplace_hint(records.end(), name, std::move(record));
  }
}

// Two sockets cannot have one address. Port 0 asks for any.
void refuse_shared_addresses(const Records<ListenerConfig>& listeners, CompileContext& context) {
  std::vector<const ListenerConfig*> seen;
  for (const auto& [name, record] : listeners) {
    const ListenerConfig& listener = *record->node;
    if (!listener.address.is_set() || listener.address.port() == 0) continue;
    const auto same = std::ranges::find_if(
        seen, [&](const ListenerConfig* other) { return other->address == listener.address; });
    if (same != seen.end()) {
      const xds::Resource* resource =
          context.resources().find(xds::ResourceType::listener, name);
      context.place_of(*resource).field("address").invalid(
          listener.address.to_string() + " is also the address of listener \"" + (*same)->name +
          "\"");
    }
    seen.push_back(&listener);
  }
}

// Several nodes may have met the same fault of a shared resource.
void remove_repetitions(Problems& problems) {
  std::set<std::string> seen;
  std::erase_if(problems, [&](const Problem& each) { return !seen.insert(each.text()).second; });
}

// Endpoints come and go all the time and change no behaviour that a version could explain.
std::string version_of(const xds::ResourceSet& resources) {
  xds::HashBuilder hash;
  for (const xds::ResourceType type : xds::kResourceTypes) {
    if (type == xds::ResourceType::endpoints) continue;
    for (const auto& [name, resource] : resources.all(type)) {
      hash.add(static_cast<uint64_t>(type)).add(name).add(resource->hash);
    }
  }
  return hash.finish().hex();
}

std::shared_ptr<const Snapshot> assemble(CompileContext& context, const Snapshot* previous) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->generation = previous == nullptr ? 1 : previous->generation + 1;
  snapshot->version = version_of(context.resources());
  for (const auto& [name, record] : context.cache().listeners) {
    snapshot->listeners.push_back(record->node);
  }
  snapshot->clusters.resize(context.cluster_slots());
  for (const auto& [name, record] : context.cache().clusters) {
    snapshot->clusters[record->node->index] = record->node;
  }
  snapshot->cluster_names = context.cluster_names();
  snapshot->cache = std::make_shared<const CompileCache>(std::move(context.cache()));
  return snapshot;
}

}  // namespace

Compiled compile(const xds::ResourceSet& resources, const Materials& materials,
                 const Snapshot* previous) {
  Compiled compiled;
  CompileContext context(resources, materials, previous, compiled.problems);
  compile_all(context, xds::ResourceType::cluster, &CompileCache::clusters, compile_cluster);
  compile_all(context, xds::ResourceType::route, &CompileCache::tables, compile_route_resource);
  compile_all(context, xds::ResourceType::listener, &CompileCache::listeners, compile_listener);
  refuse_shared_addresses(context.cache().listeners, context);
  remove_repetitions(compiled.problems);
  if (compiled.problems.empty() && materials.complete) {
    compiled.snapshot = assemble(context, previous);
  }
  return compiled;
}

}  // namespace tulle::config
