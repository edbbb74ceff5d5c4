#include "sidecar/config/bootstrap.hpp"

#include <gtest/gtest.h>

#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/config/resource_json.hpp"

namespace tulle::config {
namespace {

using testing::BadCase;
using testing::changed;

TEST(Bootstrap, ReadsTheExample) {
  const BootstrapRead read = read_bootstrap(testing::example_text());
  ASSERT_TRUE(read.bootstrap) << to_text(read.problems);
  const Bootstrap& bootstrap = *read.bootstrap;
  EXPECT_EQ(bootstrap.node.id, "web-1");
  EXPECT_EQ(bootstrap.node.cluster, "web");
  EXPECT_EQ(bootstrap.node.region, "eu");
  EXPECT_EQ(bootstrap.node.zone, "eu-1");
  EXPECT_EQ(bootstrap.node.sub_zone, "");
  EXPECT_EQ(bootstrap.node.metadata_json, "{}");
  ASSERT_TRUE(bootstrap.identity);
  EXPECT_EQ(bootstrap.identity->certificate, "certificate.pem");
  EXPECT_EQ(bootstrap.identity->key, "key.pem");
  EXPECT_EQ(bootstrap.identity->trust_bundle, "ca.pem");
  EXPECT_EQ(bootstrap.identity->trust_domain, "example.org");
  EXPECT_EQ(bootstrap.admin.to_string(), "127.0.0.1:15000");
  EXPECT_FALSE(bootstrap.workers);
  EXPECT_EQ(bootstrap.drain_grace, 20s);
  EXPECT_EQ(bootstrap.access_log.path, "");
  EXPECT_EQ(bootstrap.access_log.filter, AccessLogFilter::failures);
  EXPECT_EQ(bootstrap.resources.all(xds::ResourceType::listener).size(), 2u);
  EXPECT_EQ(bootstrap.resources.all(xds::ResourceType::cluster).size(), 2u);
}

TEST(Bootstrap, EverythingIsOptional) {
  const BootstrapRead read = read_bootstrap("{}");
  ASSERT_TRUE(read.bootstrap) << to_text(read.problems);
  EXPECT_EQ(read.bootstrap->admin.to_string(), "127.0.0.1:15000");
  EXPECT_FALSE(read.bootstrap->identity);
  EXPECT_FALSE(read.bootstrap->memory_limit);
  EXPECT_TRUE(read.bootstrap->resources.empty());
}

TEST(Bootstrap, ReadsWhatIsGiven) {
  const BootstrapRead read = read_bootstrap(R"({
    "node": {"id": "n", "metadata": {"b": 1, "a": [true]}, "locality": {"sub_zone": "rack"}},
    "admin": {"address": "::1", "port": 0}, "workers": 3, "drain": {"grace_seconds": 0},
    "memory": {"limit_mib": 64}, "connections": {"per_listener": 500},
    "access_log": {"path": "/tmp/log", "filter": "off"}})");
  ASSERT_TRUE(read.bootstrap) << to_text(read.problems);
  EXPECT_EQ(read.bootstrap->node.metadata_json, R"({"a":[true],"b":1})");
  EXPECT_EQ(read.bootstrap->node.sub_zone, "rack");
  EXPECT_EQ(read.bootstrap->admin.to_string(), "[::1]:0");
  EXPECT_EQ(read.bootstrap->workers, 3u);
  EXPECT_EQ(read.bootstrap->drain_grace, 0s);
  EXPECT_EQ(read.bootstrap->memory_limit, uint64_t{64} << 20);
  EXPECT_EQ(read.bootstrap->connections, 500u);
  EXPECT_EQ(read.bootstrap->access_log.path, "/tmp/log");
  EXPECT_EQ(read.bootstrap->access_log.filter, AccessLogFilter::off);
}

TEST(Bootstrap, SyntaxErrorsNameLineAndColumn) {
  struct {
    std::string text, problem;
  } const cases[] = {
      {"", "line 1, column 1: syntax error while parsing value - unexpected end of input; expected "
           "'[', '{', or a literal\n"},
      {"{\n  \"node\": {\n  }}}",
       "line 3, column 5: syntax error while parsing value - unexpected '}'; expected end of "
       "input\n"},
      {"{\"a\" 1}",
       "line 1, column 6: syntax error while parsing object separator - unexpected number literal; "
       "expected ':'\n"},
      {"{\"workers\": 1e999}", "line 1, column 17: number overflow parsing '1e999'\n"},
      {"[]", "expected an object, found a list\n"},
      {"{\"node\": {\"id\": \"a\", \"id\": \"b\"}}", "node.id: is given twice\n"},
      {"{\"static_resources\": [{}, {\"a\": [{\"x\": 1, \"x\": 2}]}]}",
       "static_resources[1].a[0].x: is given twice\n"},
  };
  for (const auto& each : cases) {
    const BootstrapRead read = read_bootstrap(each.text);
    EXPECT_FALSE(read.bootstrap);
    EXPECT_EQ(to_text(read.problems), each.problem) << each.text;
  }
}

TEST(Bootstrap, DepthIsBounded) {
  const std::string deep(100'000, '[');
  const BootstrapRead read = read_bootstrap("{\"node\": {\"metadata\": {\"a\": " + deep);
  ASSERT_EQ(read.problems.size(), 1u);
  EXPECT_EQ(read.problems[0].message, "is nested more than 64 levels deep");
}

TEST(Bootstrap, RefusesEachFaultWithItsPath) {
  const BadCase cases[] = {
      {"/nod", "{}", "nod: unknown field; did you mean \"node\"?\n"},
      {"/completely_different", "1", "completely_different: unknown field\n"},
      {"/node", "[]", "node: expected an object, found a list\n"},
      {"/node/id", "7", "node.id: expected a string, found a number\n"},
      {"/node/locality/zone", "true", "node.locality.zone: expected a string, found true\n"},
      {"/node/metadata", "\"x\"", "node.metadata: expected an object, found a string\n"},
      {"/identity/key", "-", "identity.key: is missing\n"},
      {"/identity/trust_domain", "\"\"", "identity.trust_domain: must not be empty\n"},
      {"/identity/certificat", "\"x\"",
       "identity.certificat: unknown field; did you mean \"certificate\"?\n"},
      {"/control_plane", "{}",
       "control_plane.address: is missing\ncontrol_plane.trust_bundle: is missing\n"},
      {"/state_dir", "\"run\"", "state_dir: needs \"control_plane\"\n"},
      {"/egress", "\"deny\"", "egress: needs \"control_plane\"\n"},
      {"/workload", R"({"service": "web"})", "workload: needs \"control_plane\"\n"},
      {"/admin/address", "\"0.0.0.0\"", "admin.address: must be a loopback address\n"},
      {"/admin/address", "\"localhost\"", "admin.address: \"localhost\" is not an IP address\n"},
      {"/admin/port", "65536", "admin.port: must be a whole number from 0 to 65535\n"},
      {"/admin/port", "1.5", "admin.port: must be a whole number from 0 to 65535\n"},
      {"/admin/port", "\"80\"", "admin.port: expected a number, found a string\n"},
      {"/workers", "0", "workers: must be a whole number from 1 to 256\n"},
      {"/workers", "-1", "workers: must be a whole number from 1 to 256\n"},
      {"/drain/grace_seconds", "3601",
       "drain.grace_seconds: must be a whole number from 0 to 3600\n"},
      {"/access_log/filter", "\"some\"",
       "access_log.filter: must be \"failures\", \"all\" or \"off\"\n"},
      {"/static_resources", "{}", "static_resources: expected a list, found an object\n"},
      {"/static_resources/3", "1", "static_resources[3]: expected an object, found a number\n"},
      {"/static_resources/3/@type", "-", "static_resources[3]: @type: is missing\n"},
      {"/static_resources/3/@type", "\"type.googleapis.com/envoy.config.cluster.v3.Clusters\"",
       "static_resources[3]: @type: \"type.googleapis.com/envoy.config.cluster.v3.Clusters\" is "
       "not a resource type; did you mean "
       "\"type.googleapis.com/envoy.config.cluster.v3.Cluster\"?\n"},
      {"/static_resources/3/name", "\"orders\"",
       "static_resources[3] Cluster \"orders\": has the same type and name as "
       "static_resources[1]\n"},
      {"/static_resources/3/name", "-",
       "static_resources[3] Cluster \"\": name: must not be empty\n"},
  };
  for (const BadCase& each : cases) {
    const BootstrapRead read = read_bootstrap(changed(each.pointer, each.value).dump());
    EXPECT_FALSE(read.bootstrap) << each.pointer;
    EXPECT_EQ(to_text(read.problems), each.problems) << each.pointer << " " << each.value;
  }
}

nlohmann::json member() {
  return nlohmann::json::parse(R"({
    "node": {"id": "orders-1"},
    "control_plane": {"address": "127.0.0.1:15012", "trust_bundle": "root.pem"},
    "identity": {"trust_domain": "mesh.local", "directory": "run/identity",
                 "join_token_file": "run/token"},
    "state_dir": "run/state", "egress": "deny",
    "workload": {"namespace": "shop", "service": "orders", "labels": {"version": "v1"},
                 "address": "10.0.0.7", "outbound": "127.0.0.1:0",
                 "ports": [{"name": "http", "port": 8080, "app_protocol": "h2c",
                            "inbound": "10.0.0.7:0"}]}})");
}

TEST(Bootstrap, ReadsAMemberOfAMesh) {
  const BootstrapRead read = read_bootstrap(member().dump());
  ASSERT_TRUE(read.bootstrap) << to_text(read.problems);
  const Membership& membership = read.bootstrap->membership;
  EXPECT_FALSE(read.bootstrap->identity);
  EXPECT_EQ(membership.control_plane->address.to_string(), "127.0.0.1:15012");
  EXPECT_EQ(membership.control_plane->trust_bundle, "root.pem");
  EXPECT_EQ(membership.issued_identity->directory, "run/identity");
  EXPECT_EQ(membership.issued_identity->join_token_file, "run/token");
  EXPECT_EQ(membership.spiffe_id(), "spiffe://mesh.local/ns/shop/sa/orders");
  EXPECT_EQ(membership.state_dir, "run/state");
  EXPECT_EQ(membership.egress, Egress::deny);
  EXPECT_EQ(membership.workload->labels.at("version"), "v1");
  EXPECT_EQ(membership.workload->address, "10.0.0.7");
  EXPECT_EQ(membership.workload->outbound.to_string(), "127.0.0.1:0");
  ASSERT_EQ(membership.workload->ports.size(), 1u);
  EXPECT_EQ(membership.workload->ports[0].name, "http");
  EXPECT_EQ(membership.workload->ports[0].port, 8080);
  EXPECT_EQ(membership.workload->ports[0].app_protocol, "h2c");
  EXPECT_EQ(membership.workload->ports[0].inbound.to_string(), "10.0.0.7:0");
}

TEST(Bootstrap, AMemberMayLeaveMostOut) {
  nlohmann::json json = member();
  json.erase("state_dir");
  json.erase("egress");
  json["identity"].erase("join_token_file");
  json["workload"] = {{"service", "orders"}};
  const BootstrapRead read = read_bootstrap(json.dump());
  ASSERT_TRUE(read.bootstrap) << to_text(read.problems);
  const Membership& membership = read.bootstrap->membership;
  EXPECT_EQ(membership.egress, Egress::allow);
  EXPECT_EQ(membership.workload->name_space, "default");
  EXPECT_EQ(membership.workload->outbound.to_string(), "127.0.0.1:15001");
  EXPECT_TRUE(membership.workload->ports.empty());
}

TEST(Bootstrap, ACapturedMemberIsCalledAtItsOwnPorts) {
  nlohmann::json json = member();
  json["workload"] = {{"service", "orders"},
                      {"address", "10.0.0.7"},
                      {"ports", {{{"name", "http"}, {"port", 8080}}, {{"name", "x"}, {"port", 9}}}},
                      {"capture", {{"outbound", 1501}, {"ipv6", false}, {"mtls", "permissive"}}}};
  const BootstrapRead read = read_bootstrap(json.dump());
  ASSERT_TRUE(read.bootstrap) << to_text(read.problems);
  const Workload& workload = *read.bootstrap->membership.workload;
  EXPECT_EQ(*workload.capture, (Capture{.outbound = 1501, .ipv6 = false, .permissive = true}));
  EXPECT_EQ(workload.capture->inbound, 15006);
  EXPECT_EQ(workload.outbound.to_string(), "127.0.0.1:0") << "beside what is captured";
  EXPECT_EQ(workload.ports[0].inbound.to_string(), "10.0.0.7:8080");
  EXPECT_EQ(workload.ports[1].inbound.to_string(), "10.0.0.7:9");
}

TEST(Bootstrap, RefusesEachFaultOfAMember) {
  const BadCase cases[] = {
      {"/control_plane/address", "\"localhost:15012\"",
       "control_plane.address: \"localhost:15012\" is not <ip>:<port>\n"},
      {"/control_plane/address", "\"127.0.0.1:0\"", "control_plane.address: must have a port\n"},
      {"/control_plane/trust_bundle", "-", "control_plane.trust_bundle: is missing\n"},
      {"/control_plane", "-",
       "identity.directory: needs \"control_plane\"\nworkload: needs \"control_plane\"\n"
       "state_dir: needs \"control_plane\"\negress: needs \"control_plane\"\n"},
      {"/identity", "-", "identity: is missing: the control plane must know who asks\n"},
      {"/identity/directory", "-", "identity.directory: is missing\n"},
      {"/identity/key", "\"key.pem\"",
       "identity.key: does not go with \"directory\", where the issued one is kept\n"},
      {"/identity/jointoken_file", "\"x\"",
       "identity.jointoken_file: unknown field; did you mean \"join_token_file\"?\n"},
      {"/workload", "-",
       "identity.directory: needs \"workload\", which says whose certificate is asked for\n"},
      {"/workload/service", "-", "workload.service: is missing\n"},
      {"/workload/service", "\"or/ders\"",
       "workload.service: \"or/ders\" must be letters a to z, digits and '-', at most 63\n"},
      {"/workload/namespace", "\"\"", "workload.namespace: must not be empty\n"},
      {"/workload/address", "\"orders\"", "workload.address: \"orders\" is not an IP address\n"},
      {"/workload/outbound", "\"15001\"", "workload.outbound: \"15001\" is not <ip>:<port>\n"},
      {"/workload/labels", "[]", "workload.labels: expected an object, found a list\n"},
      {"/workload/labels/version", "2",
       "workload.labels[\"version\"]: expected a string, found a number\n"},
      {"/workload/ports", "{}", "workload.ports: expected a list, found an object\n"},
      {"/workload/ports/0/port", "-", "workload.ports[0].port: is missing\n"},
      {"/workload/ports/0/port", "0",
       "workload.ports[0].port: must be a whole number from 1 to 65535\n"},
      {"/workload/ports/0/app_protocol", "\"smtp\"",
       "workload.ports[0].app_protocol: must be one of: http h2c grpc auto tcp tls redis mysql "
       "postgresql mongodb amqp kafka\n"},
      {"/workload/ports/0/inbound", "\"any\"",
       "workload.ports[0].inbound: \"any\" is not <ip>:<port>\n"},
      {"/workload/ports/1", R"({"name": "http", "port": 8080})",
       "workload.ports[1].name: \"http\" is given twice\n"
       "workload.ports[1].port: 8080 is given twice\n"},
      {"/workload/ports/1", R"({"port": 8081})", "workload.ports[1].name: is missing\n"},
      {"/workload/capture", "{}",
       "workload.ports[0].inbound: does not go with \"capture\": the port itself is captured\n"},
      {"/workload",
       R"({"service": "a", "address": "127.0.0.1", "capture": {"inbound": 0, "outbound": 1.5,
           "ipv6": 1, "mtls": "off", "uid": 1}})",
       "workload.capture.outbound: must be a whole number from 1 to 65535\n"
       "workload.capture.inbound: must be a whole number from 1 to 65535\n"
       "workload.capture.ipv6: expected true or false, found a number\n"
       "workload.capture.mtls: must be \"strict\" or \"permissive\"\n"
       "workload.capture.uid: unknown field\n"
       "workload.address: loopback is not captured: \"capture\" needs an address that others reach "
       "the instance at\n"},
      {"/workload",
       R"({"service": "a", "address": "10.0.0.1", "capture": {"inbound": 5, "outbound": 5}})",
       "workload.capture.inbound: is outbound's port\n"},
      {"/egress", "\"maybe\"", "egress: must be \"allow\" or \"deny\"\n"},
  };
  for (const BadCase& each : cases) {
    const BootstrapRead read = read_bootstrap(changed(each.pointer, each.value, member()).dump());
    EXPECT_FALSE(read.bootstrap) << each.pointer;
    EXPECT_EQ(to_text(read.problems), each.problems) << each.pointer << " " << each.value;
  }
}

TEST(Bootstrap, ReportsAllFaultsAtOnce) {
  nlohmann::json json = changed("/workers", "\"many\"");
  json = changed("/admin/port", "-5", json);
  json = changed("/static_resources/1/conect_timeout", "\"1s\"", json);
  json = changed("/static_resources/1/lb_policy", "\"FASTEST\"", json);
  const BootstrapRead read = read_bootstrap(json.dump());
  EXPECT_EQ(to_text(read.problems),
            "admin.port: must be a whole number from 0 to 65535\n"
            "workers: expected a number, found a string\n"
            "static_resources[1] Cluster \"orders\": conect_timeout: unknown field; did you mean "
            "\"connect_timeout\"?\n"
            "static_resources[1] Cluster \"orders\": lb_policy: unknown value \"FASTEST\"\n");
}

TEST(Bootstrap, AFileThatCannotBeRead) {
  EXPECT_EQ(to_text(read_bootstrap_file("/nonexistent/tulle.json").problems),
            "cannot read /nonexistent/tulle.json: No such file or directory\n");
  EXPECT_EQ(to_text(read_bootstrap_file("/").problems), "cannot read /: is not a regular file\n");
}

TEST(ResourceJson, RefusesEachFaultWithItsPath) {
  const std::string cluster = testing::kApplication;
  const std::string listener = testing::kOutbound;
  const std::string app = "static_resources[3] Cluster \"application\": ";
  const std::string outbound = "static_resources[0] Listener \"outbound\": ";
  const std::string chain = "filter_chains[0].filters[0].typed_config";
  const BadCase cases[] = {
      {cluster + "/connect_timeout", "5",
       app + "connect_timeout: expected a duration such as \"1.5s\", found a number\n"},
      {cluster + "/connect_timeout", "\"5\"",
       app + "connect_timeout: must be a duration such as \"1.5s\"\n"},
      {cluster + "/type", "\"STATICS\"",
       app + "type: unknown value \"STATICS\"; did you mean \"STATIC\"?\n"},
      {cluster + "/type", "17", app + "type: unknown value 17\n"},
      {cluster + "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/"
                 "port_value",
       "\"x\"",
       app + "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address."
             "port_value: must be a whole number from 0 to 4294967295\n"},
      {cluster + "/load_assignment/endpoints", "{}",
       app + "load_assignment.endpoints: expected a list, found an object\n"},
      {cluster + "/connectTimeout", "\"1s\"",
       app + "connect_timeout: is given twice, also as \"connectTimeout\"\n"},
      {cluster + "/outlier_detection", "{\"consecutive_5xx\": -1}",
       app + "outlier_detection.consecutive_5xx: must be a whole number from 0 to 4294967295\n"},
      {cluster + "/track_cluster_stats", "{\"timeout_budgets\": true}",
       app + "track_cluster_stats: not supported yet\n"},
      {cluster + "/metadata/filter_metadata", "{\"a\": 1}",
       app + "metadata.filter_metadata[\"a\"]: expected an object, found a number\n"},
      {listener + "/filter_chains/0/filters/0/typed_config/codec_tipe", "1",
       outbound + chain + ".codec_tipe: unknown field; did you mean \"codec_type\"?\n"},
      {listener + "/filter_chains/0/filters/0/typed_config/@type", "-",
       outbound + chain + ": \"@type\" is missing\n"},
      {listener + "/filter_chains/0/filters/0/typed_config/@type", "\"x/y.Router\"",
       outbound + chain + ".@type: unknown type \"y.Router\"\n"},
      {listener + "/filter_chains/0/filters/0/typed_config/rds", "{}",
       outbound + chain + ".route_config: excludes \"rds\"; only one may be set\n"},
      {listener + std::string(testing::kRoute) + "/match/case_sensitive", "\"no\"",
       outbound + chain +
           ".route_config.virtual_hosts[0].routes[0].match.case_sensitive: expected true or false, "
           "found a string\n"},
  };
  for (const BadCase& each : cases) {
    const BootstrapRead read = read_bootstrap(changed(each.pointer, each.value).dump());
    EXPECT_EQ(to_text(read.problems), each.problems) << each.pointer << " " << each.value;
  }
}

TEST(ResourceJson, BothSpellingsAreEqual) {
  Problems problems;
  const std::string type = R"("@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster")";
  const auto snake = resource_from_json(
      "{" + type + R"(, "name": "c", "connect_timeout": "0.250s", "workaround": null})", "r",
      problems);
  EXPECT_FALSE(snake);  // null does not excuse an unknown name
  problems.clear();
  const auto one = resource_from_json(
      "{" + type + R"(, "name": "c", "connect_timeout": "0.250s"})", "r", problems);
  const auto two = resource_from_json(
      "{" + type + R"(, "connectTimeout": "0.25s", "name": "c"})", "s", problems);
  ASSERT_TRUE(one && two) << to_text(problems);
  EXPECT_EQ(one->bytes, two->bytes);
  EXPECT_EQ(resource_to_json(*one),
            R"({"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster",)"
            R"("connect_timeout":"0.250s","name":"c"})");
}

TEST(ResourceJson, KeysAreNotShown) {
  Problems problems;
  const auto listener = resource_from_json(
      changed("/static_resources/2/transport_socket", "{}")["static_resources"][2].dump(), "r",
      problems);
  EXPECT_FALSE(listener);  // transport_socket belongs to the chain
  problems.clear();
  nlohmann::json json = testing::example()["static_resources"][2];
  json["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"] =
      nlohmann::json::parse(R"({"tls_certificates": [
          {"certificate_chain": {"inline_string": "CHAIN"},
           "private_key": {"inline_string": "SECRET"}}]})");
  const auto resource = resource_from_json(json.dump(), "r", problems);
  ASSERT_TRUE(resource) << to_text(problems);
  const std::string shown = resource_to_json(*resource);
  EXPECT_NE(shown.find("CHAIN"), std::string::npos);
  EXPECT_NE(shown.find("<redacted>"), std::string::npos);
  EXPECT_EQ(shown.find("SECRET"), std::string::npos);
}

TEST(Problem, NearestName) {
  const std::vector<std::string_view> names{"cluster", "weighted_clusters", "timeout"};
  EXPECT_EQ(nearest("clustr", names), "cluster");
  EXPECT_EQ(nearest("time_out", names), "timeout");
  EXPECT_EQ(nearest("zebra", names), "");
  EXPECT_EQ(nearest(std::string(10'000, 'c'), names), "");
}

}  // namespace
}  // namespace tulle::config
