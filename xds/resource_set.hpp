// Resource and ResourceSet: named xDS resources as bytes, before anybody has interpreted them.
//
// A set is a value: copying it copies pointers. A resource is immutable once it is in a set.
// Invariant: at most one resource of a type and name; iteration is ordered by name, so equal sets
// are walked, hashed and reported in the same order. No I/O, no protobuf headers here.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "xds/content_hash.hpp"

namespace tulle::xds {

enum class ResourceType : uint8_t { listener, route, cluster, endpoints, secret };
inline constexpr std::array kResourceTypes{ResourceType::listener, ResourceType::route,
                                           ResourceType::cluster, ResourceType::endpoints,
                                           ResourceType::secret};

std::string_view type_url(ResourceType type);    // "type.googleapis.com/envoy.config..."
std::string_view short_name(ResourceType type);  // "Listener", "RouteConfiguration", ...
std::optional<ResourceType> type_of_url(std::string_view url);

struct Resource {
  ResourceType type = ResourceType::listener;
  std::string name;
  std::string version;  // as the server calls it; the content hash for static resources
  std::string bytes;    // the serialized message
  std::string origin;   // where a person finds it: "static_resources[3]"; empty when pushed
  ContentHash hash{};   // of bytes
};

// A resource that several sets, sessions or threads share. Fills hash and version.
std::shared_ptr<const Resource> make_resource(ResourceType type, std::string name,
                                              std::string bytes);

class ResourceSet {
 public:
  using Named = std::map<std::string, std::shared_ptr<const Resource>, std::less<>>;

  void put(Resource resource);  // fills hash (and an empty version); replaces an older one
  void put(std::shared_ptr<const Resource> resource);  // its hash and version are there
  void remove(ResourceType type, std::string_view name);
  const Resource* find(ResourceType type, std::string_view name) const;  // null: absent
  const Named& all(ResourceType type) const { return named_[static_cast<size_t>(type)]; }
  bool empty() const;

 private:
  std::array<Named, kResourceTypes.size()> named_;
};

}  // namespace tulle::xds
