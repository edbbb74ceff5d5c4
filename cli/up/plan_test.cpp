#include "cli/up/plan.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace tulle::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

MeshFile two_services() {
  FileProblems problems;
  return *read_mesh_file(R"(
name: shop
trust_domain: shop.test
tracing: {zipkin: "http://127.0.0.1:9411", sampling_percent: 5}
access_log: all
certificate_lifetime_seconds: 3600
services:
  kitchen: {command: [node, kitchen.js], port: 8080, replicas: 2, labels: {version: v1}, health: /health}
  web: {command: exec web, port: 80, calls: [kitchen], directory: www, environment: {KITCHEN_URL: "http://x", PAGE: a}}
)", problems);
}

struct Planned : ::testing::Test {
  MeshFile file = two_services();
  RunDirectory run{"/base/.tulle/shop"};
  std::vector<uint16_t> ports = [this] {
    std::vector<uint16_t> all(ports_needed(file));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(21000 + i);
    return all;
  }();
  Plan plan = make_plan(file, "/base", run, {"/bin/cp", "/bin/sc"},
                        {{"PATH", "/usr/bin"}, {"http_proxy", "http://corporate:1"}}, ports);

  std::string variable(const InstancePlan& instance, std::string_view name) {
    std::string found;
    for (const auto& [key, value] : instance.child.environment) {
      if (key == name) found += value;  // twice would show
    }
    return found;
  }
};

TEST_F(Planned, EveryInstanceHasItsNameItsPortsAndItsFiles) {
  ASSERT_EQ(plan.instances.size(), 3u);
  std::set<uint16_t> seen = {plan.control_plane.xds_port, plan.control_plane.api_port,
                             plan.control_plane.metrics_port};
  std::vector<std::string> names;
  for (const InstancePlan& instance : plan.instances) {
    names.push_back(instance.name);
    seen.insert({instance.port, instance.inbound_port, instance.outbound_port, instance.admin_port});
  }
  EXPECT_EQ(seen.size(), ports.size()) << "no port is given twice";
  EXPECT_THAT(names, ElementsAre("kitchen-1", "kitchen-2", "web-1"));
  EXPECT_EQ(plan.instances[1].bootstrap_path, "/base/.tulle/shop/instances/kitchen-2/sidecar.json");
  EXPECT_THAT(plan.instances[2].child.command, ElementsAre("/bin/sh", "-c", "exec web"));
  EXPECT_EQ(plan.instances[2].child.directory, "/base/www");
}

TEST_F(Planned, AServiceKnowsItsPortItsProxyAndThoseItCalls) {
  const InstancePlan& kitchen = plan.instances[0];
  const std::string proxy = "http://127.0.0.1:" + std::to_string(kitchen.outbound_port);
  EXPECT_EQ(variable(kitchen, "PORT"), std::to_string(kitchen.port));
  EXPECT_EQ(variable(kitchen, "http_proxy"), proxy) << "not the one that was inherited";
  EXPECT_EQ(variable(kitchen, "HTTP_PROXY"), proxy);
  EXPECT_EQ(variable(kitchen, "NO_PROXY"), "localhost,127.0.0.1,::1");
  EXPECT_EQ(variable(kitchen, "PATH"), "/usr/bin");
  EXPECT_EQ(variable(kitchen, "WEB_URL"), "http://web:80") << "without `calls`: all services";
  EXPECT_EQ(variable(plan.instances[2], "WEB_URL"), "");
  EXPECT_EQ(variable(plan.instances[2], "KITCHEN_URL"), "http://x") << "what the file says wins";
  EXPECT_EQ(variable(plan.instances[2], "PAGE"), "a");
}

TEST_F(Planned, TheSidecarIsToldWhoItStandsFor) {
  const InstancePlan& kitchen = plan.instances[1];
  const json bootstrap = json::parse(kitchen.bootstrap);
  EXPECT_EQ(bootstrap["node"]["id"], "kitchen-2");
  EXPECT_EQ(bootstrap["control_plane"]["address"],
            "127.0.0.1:" + std::to_string(plan.control_plane.xds_port));
  EXPECT_EQ(bootstrap["control_plane"]["trust_bundle"],
            "/base/.tulle/shop/control-plane/state/ca/root.pem");
  EXPECT_EQ(bootstrap["identity"]["trust_domain"], "shop.test");
  EXPECT_EQ(bootstrap["identity"]["join_token_file"], kitchen.token_path);
  const json& workload = bootstrap["workload"];
  EXPECT_EQ(workload["service"], "kitchen");
  EXPECT_EQ(workload["labels"], (json{{"version", "v1"}}));
  EXPECT_EQ(workload["ports"][0]["port"], kitchen.port);
  EXPECT_EQ(workload["ports"][0]["inbound"], "127.0.0.1:" + std::to_string(kitchen.inbound_port));
  EXPECT_EQ(bootstrap["access_log"]["filter"], "all");
}

TEST_F(Planned, TheControlPlaneGetsTheServices) {
  const json config = json::parse(plan.control_plane.config);
  EXPECT_EQ(config["tracing"], (json{{"zipkin", "http://127.0.0.1:9411"}, {"sampling_percent", 5}}));
  EXPECT_EQ(config["trust_domain"], "shop.test");
  EXPECT_EQ(config["api"]["token_file"], run.token());
  EXPECT_EQ(config["ca"]["certificate_lifetime_seconds"], 3600);
  ASSERT_EQ(plan.services.size(), 2u);
  const json kitchen = json::parse(plan.services[0].json);
  EXPECT_EQ(kitchen["metadata"]["name"], "kitchen");
  EXPECT_EQ(kitchen["spec"]["ports"],
            json::parse(R"([{"name": "http", "port": 8080, "appProtocol": "http"}])"));
}

// No proxy variable can name a Service that does not speak HTTP.
TEST(Plan, ACallerHasAPortForEachOpaqueService) {
  FileProblems problems;
  const auto read = read_mesh_file(R"(
name: shop
services:
  cache: {command: [redis-server], port: 6379, protocol: redis}
  web: {command: [web], port: 80, replicas: 2}
  other: {command: [other], port: 81, calls: [web]}
)", problems);
  ASSERT_TRUE(read);
  const RunDirectory run{"/base/.tulle/shop"};
  std::vector<uint16_t> ports(ports_needed(*read));
  ASSERT_EQ(ports.size(), kControlPlanePorts + 4 * kPortsPerInstance + 2);
  for (size_t i = 0; i < ports.size(); ++i) ports[i] = static_cast<uint16_t>(21000 + i);
  const Plan plan = make_plan(*read, "/base", run, {"/bin/cp", "/bin/sc"}, {}, ports);
  EXPECT_TRUE(plan.instances[0].upstreams.empty()) << "not for itself";
  EXPECT_TRUE(plan.instances[3].upstreams.empty()) << "it does not call it";
  std::set<uint16_t> seen;
  for (const InstancePlan& instance : plan.instances) {
    seen.insert({instance.port, instance.inbound_port, instance.outbound_port, instance.admin_port});
    for (const UpstreamPlan& upstream : instance.upstreams) seen.insert(upstream.port);
  }
  EXPECT_EQ(seen.size(), ports.size() - kControlPlanePorts) << "no port is given twice";

  const InstancePlan& web = plan.instances[2];
  ASSERT_EQ(web.upstreams.size(), 1u);
  EXPECT_EQ(web.upstreams[0].destination, "cache:6379");
  const std::string at = std::to_string(web.upstreams[0].port);
  const auto url = std::ranges::find(web.child.environment, "CACHE_URL",
                                     &std::pair<std::string, std::string>::first);
  ASSERT_NE(url, web.child.environment.end());
  EXPECT_EQ(url->second, "tcp://127.0.0.1:" + at);
  const json listener = json::parse(web.bootstrap)["static_resources"][0];
  EXPECT_EQ(listener["address"]["socket_address"]["port_value"].dump(), at);
  const json proxy = listener["filter_chains"][0]["filters"][0]["typed_config"];
  EXPECT_EQ(proxy["cluster"], "cache:6379");
  EXPECT_TRUE(proxy.contains("on_demand"));
}

}  // namespace
}  // namespace tulle::cli
