// What a resource is called, and which other resources it names. Read from its bytes.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "xds/resource_set.hpp"

namespace tulle::xds {

using ResourceKey = std::pair<ResourceType, std::string>;

// The name inside the message; nullopt: the bytes are not a message of this type.
std::optional<std::string> name_of(ResourceType type, std::string_view bytes);

// Routes of listeners, clusters of routes, endpoints of EDS clusters, secrets of TLS contexts; at
// any depth, inline and packed ones too. Bytes that do not parse name nothing.
std::set<ResourceKey> references_of(const Resource& resource);

}  // namespace tulle::xds
