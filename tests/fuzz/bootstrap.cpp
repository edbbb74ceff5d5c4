// The bootstrap file and everything behind it: whatever the text, it is either compiled or every
// refusal has a message; what was compiled compiles again to the very same nodes; and what /config
// shows of a resource can be read back.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sidecar/config/bootstrap.hpp"
#include "sidecar/config/compile.hpp"
#include "sidecar/config/resource_json.hpp"

namespace tulle {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void check_messages(const config::Problems& problems) {
  for (const config::Problem& problem : problems) {
    check(!problem.message.empty(), "every problem says what it is");
  }
}

void check_round_trip(const xds::ResourceSet& resources) {
  for (const xds::ResourceType type : xds::kResourceTypes) {
    for (const auto& [name, resource] : resources.all(type)) {
      const std::string shown = config::resource_to_json(*resource);
      if (shown.find("<redacted>") != std::string::npos) continue;
      config::Problems problems;
      const auto again = config::resource_from_json(shown, resource->origin, problems);
      check(again.has_value(), "what is shown can be read");
      check(again->bytes == resource->bytes, "what is shown is what there is");
    }
  }
}

void check_routes(const config::Snapshot& snapshot) {
  const Fields none;
  for (const auto& listener : snapshot.listeners) {
    for (const auto& host : listener->routes->virtual_hosts()) {
      for (const std::string& domain : host.domains) {
        const routing::Route* route =
            listener->routes->match({"GET", "http", domain, "/a/b?c", &none}, 0x1234567890abcdef);
        if (route == nullptr) continue;
        if (const auto* forward = std::get_if<routing::Forward>(&route->action)) {
          const routing::Target& target = forward->pick(7);
          check(target.cluster < snapshot.clusters.size(), "a route's cluster has a slot");
          check(snapshot.clusters[target.cluster] != nullptr, "a route's cluster exists");
          check(rewritten_path(*route, *forward, "/a/b?c").starts_with('/'), "paths stay paths");
        }
      }
    }
  }
}

void run(std::string_view text) {
  const config::BootstrapRead read = config::read_bootstrap(text);
  check(read.bootstrap.has_value() == read.problems.empty(), "good or explained");
  check_messages(read.problems);
  if (!read.bootstrap) return;
  check_round_trip(read.bootstrap->resources);
  const config::Materials materials;
  const config::Compiled first = config::compile(read.bootstrap->resources, materials, nullptr);
  check((first.snapshot != nullptr) == first.problems.empty(), "compiled or explained");
  check_messages(first.problems);
  if (first.snapshot == nullptr) return;
  check_routes(*first.snapshot);
  const config::Compiled second =
      config::compile(read.bootstrap->resources, materials, first.snapshot.get());
  check(second.snapshot != nullptr, "what compiled once compiles again");
  check(second.snapshot->listeners == first.snapshot->listeners, "listeners are shared");
  check(second.snapshot->clusters == first.snapshot->clusters, "clusters are shared");
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tulle::run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
