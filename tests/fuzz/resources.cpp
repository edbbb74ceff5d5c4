// Pushed resources: whatever bytes a control plane sends, they compile or every refusal has a
// message, and what compiled once compiles again to the very same nodes.
//
// Input, repeated: one byte, the type (mod 5); two bytes, the length (big endian); the message.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "sidecar/config/compile.hpp"
#include "sidecar/config/resource_json.hpp"

namespace tulle {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

xds::ResourceSet read(std::string_view input) {
  xds::ResourceSet resources;
  while (input.size() >= 3) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(input[i]); };
    xds::Resource resource;
    resource.type = xds::kResourceTypes[byte(0) % xds::kResourceTypes.size()];
    const size_t length = std::min<size_t>(size_t{byte(1)} << 8 | byte(2), input.size() - 3);
    resource.bytes = input.substr(3, length);
    input.remove_prefix(3 + length);
    resource.name = config::name_of_resource(resource).value_or("broken");
    config::resource_to_json(resource);  // shows anything without falling over
    resources.put(std::move(resource));
  }
  return resources;
}

void run(std::string_view input) {
  const xds::ResourceSet resources = read(input);
  const config::Materials materials;
  const config::Compiled first = config::compile(resources, materials, nullptr);
  check((first.snapshot != nullptr) == first.problems.empty(), "compiled or explained");
  for (const config::Problem& problem : first.problems) {
    check(!problem.message.empty(), "every problem says what it is");
  }
  if (first.snapshot == nullptr) return;
  const config::Compiled second = config::compile(resources, materials, first.snapshot.get());
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
