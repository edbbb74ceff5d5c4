// The examples of docs/configuration.md are configurations that compile.
#include <gtest/gtest.h>

#include "sidecar/config/config_fixture_test.hpp"

namespace tulle::config {
namespace {

// The fenced JSON blocks of the document, in order.
std::vector<nlohmann::json> examples() {
  std::ifstream file(tulle::testing::source_tree() / "docs/configuration.md");
  std::vector<nlohmann::json> found;
  std::string block;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "```json") {
      inside = true;
      block.clear();
    } else if (line == "```" && inside) {
      inside = false;
      found.push_back(nlohmann::json::parse(block, nullptr, false));
      EXPECT_FALSE(found.back().is_discarded()) << block;
    } else if (inside) {
      block.append(line).push_back('\n');
    }
  }
  return found;
}

nlohmann::json plain_cluster(const std::string& name) {
  return {{"@type", "type.googleapis.com/envoy.config.cluster.v3.Cluster"}, {"name", name}};
}

TEST(Documentation, ItsExamplesCompile) {
  nlohmann::json bootstrap;
  nlohmann::json resources = nlohmann::json::array();
  int tables = 0;
  for (nlohmann::json example : examples()) {
    if (example.contains("control_plane")) {
      const BootstrapRead member = read_bootstrap(example.dump());
      EXPECT_TRUE(member.bootstrap) << to_text(member.problems);
    } else if (example.contains("static_resources")) {
      bootstrap = example;
    } else if (example.contains("@type")) {
      resources.push_back(example);
    } else {
      ASSERT_TRUE(example.contains("virtual_hosts")) << example;
      example["@type"] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
      example["name"] = "table-" + std::to_string(tables++);
      resources.push_back(example);
    }
  }
  ASSERT_TRUE(bootstrap.is_object());
  ASSERT_EQ(tables, 3);
  ASSERT_EQ(resources.size(), 8u);
  for (const char* name : {"orders-v2", "payments"}) resources.push_back(plain_cluster(name));
  bootstrap["static_resources"] = resources;
  Materials materials = testing::test_materials();
  materials.files["site.pem"] = materials.identity->certificate_pem;
  materials.files["site.key"] = materials.identity->key_pem;
  EXPECT_EQ(testing::compile_json(bootstrap, nullptr, materials).problems, "");
}

}  // namespace
}  // namespace tulle::config
