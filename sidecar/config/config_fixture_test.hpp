// What the tests of this folder share: the example bootstrap as JSON that can be changed at one
// place, and materials with an identity made on the fly.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "sidecar/config/bootstrap.hpp"
#include "sidecar/config/compile.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/source_tree.hpp"

namespace tulle::config::testing {

inline std::string example_text() {
  std::ifstream file(tulle::testing::source_tree() / "sidecar/config/testdata/mesh.json");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline nlohmann::json example() { return nlohmann::json::parse(example_text()); }

// Where the parts of the example stand.
inline constexpr const char* kOutbound = "/static_resources/0";
inline constexpr const char* kOrders = "/static_resources/1";
inline constexpr const char* kInbound = "/static_resources/2";
inline constexpr const char* kApplication = "/static_resources/3";
inline constexpr const char* kManager = "/filter_chains/0/filters/0/typed_config";
inline constexpr const char* kHost =
    "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0";
inline constexpr const char* kRoute =
    "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0";
inline constexpr const char* kTls = "/transport_socket/typed_config/common_tls_context";

// The example with the value at a JSON pointer replaced; "-" removes it.
inline nlohmann::json changed(const std::string& pointer, const std::string& value,
                              nlohmann::json from = example()) {
  const nlohmann::json::json_pointer at(pointer);
  if (value == "-") {
    nlohmann::json& parent = from[at.parent_pointer()];
    if (parent.is_array()) {
      parent.erase(std::stoul(at.back()));
    } else {
      parent.erase(at.back());
    }
  } else {
    from[at] = nlohmann::json::parse(value);
  }
  return from;
}

inline Materials test_materials() {
  static const tulle::testing::TestCa ca;
  static const tulle::testing::IssuedCertificate leaf =
      ca.issue_spiffe("spiffe://example.org/ns/default/sa/web");
  Materials materials;
  materials.identity =
      Identity{leaf.certificate_pem, leaf.key_pem, ca.pem(), "example.org", "test identity"};
  return materials;
}

struct Outcome {
  std::shared_ptr<const Snapshot> snapshot;
  std::string problems;  // one line each
};

inline Outcome compile_text(const std::string& text, const Snapshot* previous = nullptr,
                            const Materials& materials = test_materials()) {
  const BootstrapRead read = read_bootstrap(text);
  if (!read.bootstrap) return {nullptr, to_text(read.problems)};
  Compiled compiled = compile(read.bootstrap->resources, materials, previous);
  return {std::move(compiled.snapshot), to_text(compiled.problems)};
}

inline Outcome compile_json(const nlohmann::json& json, const Snapshot* previous = nullptr,
                            const Materials& materials = test_materials()) {
  return compile_text(json.dump(), previous, materials);
}

// One change of the example and all that is said about it, line by line.
struct BadCase {
  std::string pointer;
  std::string value;
  std::string problems;
};

}  // namespace tulle::config::testing
