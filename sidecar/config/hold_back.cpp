#include "sidecar/config/hold_back.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "sidecar/config/compile_run.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/routing/route_clusters.hpp"

namespace tulle::config {

namespace {

using xds::ResourceKey;
using xds::ResourceSet;
using xds::ResourceType;

// Later sets win: what we made ourselves, then what was pushed, then the file.
ResourceSet merge(const ResourceSet& fixed, const Pushed& pushed,
                  std::vector<xds::Refusal>& refusals) {
  ResourceSet merged = pushed.egress;
  for (const ResourceType type : xds::kResourceTypes) {
    for (const auto& [name, resource] : pushed.resources.all(type)) {
      const xds::Resource* ours = fixed.find(type, name);
      if (ours == nullptr) {
        merged.put(resource);
      } else if (ours->hash != resource->hash) {
        refusals.push_back(
            {{type, name}, ours->origin + " of the file has the same name, and wins"});
      }
    }
    for (const auto& [name, resource] : fixed.all(type)) merged.put(resource);
  }
  return merged;
}

// Problems by the resource they stand in.
class Blame {
 public:
  Blame(const ResourceSet& merged, const Problems& problems) {
    if (problems.empty()) return;
    std::map<std::string, ResourceKey> titles;
    for (const ResourceType type : xds::kResourceTypes) {
      for (const auto& [name, resource] : merged.all(type)) {
        titles.emplace(title_of(*resource), ResourceKey(type, name));
      }
    }
    for (const Problem& problem : problems) {
      const auto found = titles.find(problem.resource);
      if (found != titles.end()) by_resource_[found->second].push_back(problem);
    }
  }

  const std::map<ResourceKey, Problems>& all() const { return by_resource_; }

  std::string text(const ResourceKey& resource) const {
    const auto found = by_resource_.find(resource);
    return found == by_resource_.end() ? std::string() : text_of(found->second);
  }

  static std::string text_of(const Problems& problems) {
    std::string text;
    for (const Problem& problem : problems) {
      if (!text.empty()) text.append("; ");
      if (!problem.path.empty()) text.append(problem.path).append(": ");
      text.append(problem.message);
    }
    return text;
  }

 private:
  std::map<ResourceKey, Problems> by_resource_;
};

bool is_fault(const Problem& problem) { return problem.kind != Problem::Kind::dangling; }

// What is faulty in itself. What only misses something waits for it.
void sort_faults(const Blame& blame, const ResourceSet& pushed, Merged& merged) {
  for (const auto& [key, problems] : blame.all()) {
    if (std::ranges::none_of(problems, is_fault)) continue;
    if (pushed.find(key.first, key.second) != nullptr) {
      merged.refusals.push_back({key, Blame::text_of(problems)});
    } else {
      merged.others.insert(merged.others.end(), problems.begin(), problems.end());
    }
  }
}

std::optional<ResourceKey> key_of(const Dependency& use) {
  switch (use.kind) {
    case Dependency::Kind::cluster: return ResourceKey(ResourceType::cluster, use.name);
    case Dependency::Kind::routes: return ResourceKey(ResourceType::route, use.name);
    case Dependency::Kind::endpoints: return ResourceKey(ResourceType::endpoints, use.name);
    case Dependency::Kind::secret: return ResourceKey(ResourceType::secret, use.name);
    case Dependency::Kind::file:
    case Dependency::Kind::identity: break;
  }
  return std::nullopt;
}

template <class Node>
void add_uses(const Records<Node>& records, const std::string& name,
              std::set<ResourceKey>& in_use) {
  const auto found = records.find(name);
  if (found == records.end()) return;
  for (const Dependency& use : found->second->uses) {
    if (const auto key = key_of(use)) in_use.insert(*key);
  }
}

// A former form and everything it leads to.
void add_former(const Held& held, const Snapshot& snapshot, const CompileCache& cache,
                std::set<ResourceKey>& in_use) {
  in_use.insert({held.type, held.name});
  add_uses(cache.listeners, held.name, in_use);
  add_uses(cache.destinations, held.name, in_use);
  add_uses(cache.tables, held.name, in_use);
  add_uses(cache.clusters, held.name, in_use);
  for (const auto& table : held.tables) {
    for (const ClusterIndex index : routing::clusters_of(*table)) {
      const std::string& name = snapshot.cluster(index).name;
      in_use.insert({ResourceType::cluster, name});
      add_uses(cache.clusters, name, in_use);
    }
  }
}

}  // namespace

Merged compile_holding_back(const ResourceSet& fixed, const Pushed& pushed,
                            const Materials& materials, const Snapshot* previous) {
  ASSERT(materials.complete);
  Merged merged;
  Problems problems;
  const ResourceSet resources = merge(fixed, pushed, merged.refusals);
  CompileContext context(resources, materials, previous, OnFault::hold_back, problems);
  context.set_unusable(pushed.unusable);
  compile_resources(context);
  remove_repetitions(problems);

  const Blame blame(resources, problems);
  sort_faults(blame, pushed.resources, merged);
  const std::vector<Held> held = std::move(context.held());
  merged.snapshot = assemble(context, previous, pushed.refused);
  for (const Held& each : held) {
    const ResourceKey key(each.type, each.name);
    std::string why = blame.text(key);
    if (why.empty()) why = "refers to something that cannot be used";
    merged.held.push_back({key, each.has_former, std::move(why)});
    if (each.has_former) {
      add_former(each, *merged.snapshot, *merged.snapshot->cache, merged.in_use);
    }
  }
  std::erase_if(merged.in_use, [&](const ResourceKey& key) {
    return fixed.find(key.first, key.second) != nullptr ||
           pushed.egress.find(key.first, key.second) != nullptr;
  });
  return merged;
}

}  // namespace tulle::config
