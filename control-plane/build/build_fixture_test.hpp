// What the tests of this folder share: documents from YAML, what is built of them as messages or as
// short lines of text, and what a sidecar makes of it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "control-plane/build/build.hpp"
#include "control-plane/model/read.hpp"
#include "sidecar/config/compile.hpp"

namespace tulle::build::testing {

// Several documents divided by "---". The n-th has revision n.
model::StoreView view_of(const std::string& yaml);

// Two workloads of kitchen (v1 and v2), one of orders, their Services, and a Service of all v2.
extern const char* const kMesh;

Node node_of(const std::string& namespace_name = "default");

// One line per route: "<match> -> <action>"; see the implementation for the words.
std::string routes_text(const Built& built);
// One line per endpoint: "127.0.0.1:9001 weight=2 region/zone/sub DRAINING".
std::string endpoints_text(const Built& built);

// The message that was built; an empty one, and a failed test, when there is none.
template <class Message>
Message parsed(const Built& built) {
  Message message;
  EXPECT_NE(built.resource, nullptr);
  if (built.resource != nullptr) {
    EXPECT_TRUE(message.ParseFromString(built.resource->bytes));
  }
  return message;
}

// What a sidecar with an identity of the mesh makes of resources.
config::Compiled compiled(const xds::ResourceSet& resources);

class Scenario {
 public:
  explicit Scenario(const std::string& yaml) : index(view_of(yaml)) {}
  Built built(ResourceType type, std::string_view name,
              const std::string& caller_namespace = "default") const {
    return build(index, mesh, node_of(caller_namespace), type, name);
  }
  std::string routes(std::string_view name, const std::string& caller = "default") const {
    return routes_text(built(ResourceType::route, name, caller));
  }
  std::string endpoints(std::string_view name) const {
    return endpoints_text(built(ResourceType::endpoints, name));
  }
  Index index;
  Mesh mesh;
};

}  // namespace tulle::build::testing
