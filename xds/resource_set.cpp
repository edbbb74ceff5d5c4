#include "xds/resource_set.hpp"

#include <algorithm>
#include <utility>

namespace tulle::xds {

namespace {

struct TypeName {
  ResourceType type;
  std::string_view url;
  std::string_view name;
};

constexpr TypeName kNames[] = {
    {ResourceType::listener, "type.googleapis.com/envoy.config.listener.v3.Listener", "Listener"},
    {ResourceType::route, "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
     "RouteConfiguration"},
    {ResourceType::cluster, "type.googleapis.com/envoy.config.cluster.v3.Cluster", "Cluster"},
    {ResourceType::endpoints, "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
     "ClusterLoadAssignment"},
    {ResourceType::secret,
     "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "Secret"},
};
static_assert(std::size(kNames) == kResourceTypes.size());

}  // namespace

std::string_view type_url(ResourceType type) { return kNames[static_cast<size_t>(type)].url; }

std::string_view short_name(ResourceType type) { return kNames[static_cast<size_t>(type)].name; }

std::optional<ResourceType> type_of_url(std::string_view url) {
  for (const TypeName& entry : kNames) {
    if (entry.url == url) return entry.type;
  }
  return std::nullopt;
}

std::shared_ptr<const Resource> make_resource(ResourceType type, std::string name,
                                              std::string bytes) {
  Resource resource;
  resource.type = type;
  resource.name = std::move(name);
  resource.bytes = std::move(bytes);
  resource.hash = hash_of(resource.bytes);
  resource.version = resource.hash.hex();
  return std::make_shared<const Resource>(std::move(resource));
}

void ResourceSet::put(Resource resource) {
  resource.hash = hash_of(resource.bytes);
  if (resource.version.empty()) resource.version = resource.hash.hex();
  put(std::make_shared<const Resource>(std::move(resource)));
}

void ResourceSet::put(std::shared_ptr<const Resource> resource) {
  Named& named = named_[static_cast<size_t>(resource->type)];
  std::string name = resource->name;
  named.insert_or_assign(std::move(name), std::move(resource));
}

void ResourceSet::remove(ResourceType type, std::string_view name) {
  Named& named = named_[static_cast<size_t>(type)];
  const auto found = named.find(name);
  if (found != named.end()) named.erase(found);
}

const Resource* ResourceSet::find(ResourceType type, std::string_view name) const {
  const Named& named = all(type);
  const auto found = named.find(name);
  return found == named.end() ? nullptr : found->second.get();
}

bool ResourceSet::empty() const {
  return std::ranges::all_of(named_, [](const Named& named) { return named.empty(); });
}

}  // namespace tulle::xds
