// build(): documents to xDS resources. Pure: no clock, no chance; equal input gives equal bytes, so
// a version is the hash of the content.
//
// One resource per call, by type and name, as one node is to see it. Whatever a default means is
// written out: in xDS, absent is off. What is built from documents that were validated is accepted
// by the sidecar's compile().
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control-plane/build/index.hpp"
#include "control-plane/build/mesh.hpp"
#include "xds/resource_set.hpp"

namespace tulle::build {

using xds::ResourceType;

struct Built {
  std::shared_ptr<const xds::Resource> resource;  // null: there is nothing of this name
  std::vector<Input> inputs;                      // a change of any may give another result
};

Built build(const Index& index, const Mesh& mesh, const Node& node, ResourceType type,
            std::string_view name);

// Who sees the same under this name: nodes whose scopes are equal. Empty: every node.
std::string scope_of(const Node& node, ResourceType type, std::string_view name);

// What a wildcard stands for: the names of the node's own listeners. It is never empty for a node
// with an application.
std::vector<std::string> own_listeners(const Node& node);

// These and all that they refer to, as far as it exists.
using Wanted = std::vector<std::pair<ResourceType, std::string>>;
xds::ResourceSet build_closure(const Index& index, const Mesh& mesh, const Node& node,
                               const Wanted& wanted);
// What a sidecar ends up with: its own listeners and these destinations, with all of theirs.
xds::ResourceSet build_all(const Index& index, const Mesh& mesh, const Node& node,
                           const std::vector<std::string>& destinations);

}  // namespace tulle::build
