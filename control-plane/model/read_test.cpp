#include "control-plane/model/read.hpp"

#include <gtest/gtest.h>

#include "control-plane/model/service_rules.hpp"

namespace tulle::model {
namespace {

constexpr const char* kRoute = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: kitchen}
spec:
  parentRefs: [{group: "", kind: Service, name: kitchen, port: 80}]
  rules:
  - name: canary
    matches:
    - path: {type: Exact, value: /orders}
      headers: [{name: X-Canary, value: "1"}]
      queryParams: [{type: RegularExpression, name: q, value: "a+"}]
      method: POST
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-A, value: b}], remove: [x-c]}
    - type: URLRewrite
      urlRewrite: {hostname: kitchen.example, path: {type: ReplaceFullPath, replaceFullPath: /x}}
    backendRefs:
    - {name: kitchen-v1, port: 80, weight: 80}
    - {name: kitchen-v2, port: 80, weight: 20}
    timeouts: {request: 10s, backendRequest: 2s500ms}
    retry: {codes: [503], attempts: 2, backoff: 100ms}
  - backendRefs: [{name: kitchen-v1, port: 80}]
)";

constexpr const char* kService = R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"kitchen"},
  "spec":{"ports":[{"name":"http","port":80,"appProtocol":"http"},{"name":"rpc","port":81,
  "appProtocol":"grpc"}],"selector":{"tulle.dev/service":"kitchen","version":"v2"}}})";

constexpr const char* kWorkload = R"({"apiVersion":"tulle.dev/v1alpha1","kind":"Workload",
  "metadata":{"name":"kitchen-1","namespace":"shop","labels":{"a":"b"}},
  "spec":{"service":"kitchen","address":"127.0.0.1","weight":3,"labels":{"version":"v2"},
  "locality":{"zone":"z"},"ports":[{"name":"http","port":8080,"inbound":"127.0.0.1:9001"}]}})";

std::string texts(const Problems& problems) { return config::to_text(problems); }

Document good(const char* text, Format format = Format::json) {
  DocumentRead read = read_document(text, format);
  EXPECT_TRUE(read.document.has_value()) << texts(read.problems);
  return read.document.value_or(Document{});
}

TEST(Read, EveryKindAndBackAgain) {
  for (const Document& document : {good(kService), good(kWorkload), good(kRoute, Format::yaml)}) {
    const DocumentRead again = read_document(to_json(document), Format::json);
    ASSERT_TRUE(again.document.has_value()) << texts(again.problems);
    EXPECT_EQ(*again.document, document);
    EXPECT_EQ(to_json(*again.document), to_json(document));
  }
}

TEST(Read, RoutesWithTheirDefaults) {
  const Document route = good(kRoute, Format::yaml);
  const HttpRouteSpec& spec = route.http_route();
  EXPECT_EQ(route.metadata.namespace_name, "default");
  EXPECT_EQ(spec.parent_refs[0].namespace_name, "default");
  EXPECT_EQ(spec.rules[0].matches[0].headers[0].name, "x-canary");
  EXPECT_EQ(spec.rules[0].timeouts.backend_request, Duration(2500ms));
  EXPECT_EQ(spec.rules[0].retry->attempts, 2u);
  EXPECT_EQ(spec.rules[0].backend_refs[1].weight, 20u);
  ASSERT_EQ(spec.rules[1].matches.size(), 1u);
  EXPECT_EQ(spec.rules[1].matches[0].path.type, PathMatch::Type::prefix);
  EXPECT_EQ(spec.rules[1].matches[0].path.value, "/");
}

TEST(Read, WhatTheStoreKeepsMayBeWrittenBack) {
  Document service = good(kService);
  service.metadata.resource_version = 7;
  service.metadata.generation = 2;
  service.metadata.creation_timestamp = "2026-01-01T00:00:00Z";
  const DocumentRead again =
      read_document(to_json(service, R"({"conditions":[]})"), Format::json);
  ASSERT_TRUE(again.document.has_value()) << texts(again.problems);
  EXPECT_EQ(again.document->metadata.resource_version, 7u);
}

DocumentRead service_at(const std::string& addresses) {
  return read_document(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"k"},
      "spec":{"ports":[{"port":80}],)" + addresses + "}}", Format::json);
}

TEST(Read, AddressesOfAService) {
  const auto ips = [](const std::string& addresses) {
    const DocumentRead read = service_at(addresses);
    EXPECT_TRUE(read.document.has_value()) << addresses << texts(read.problems);
    if (!read.document) return std::vector<std::string>{"?"};
    const DocumentRead again = read_document(to_json(*read.document), Format::json);
    EXPECT_EQ(again.document, read.document) << texts(again.problems);
    if (read.document->service().headless) return std::vector<std::string>{"headless"};
    return read.document->service().cluster_ips;
  };
  using Ips = std::vector<std::string>;
  EXPECT_EQ(ips(R"("clusterIP":"10.96.0.1")"), (Ips{"10.96.0.1"}));
  EXPECT_EQ(ips(R"("clusterIPs":["FD00:0::1"])"), (Ips{"fd00::1"}));
  EXPECT_EQ(ips(R"("clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","fd00::1"])"),
            (Ips{"10.96.0.1", "fd00::1"}));
  EXPECT_EQ(ips(R"("clusterIP":"None")"), (Ips{"headless"}));
  EXPECT_EQ(ips(R"("clusterIP":"None","clusterIPs":["None"])"), (Ips{"headless"}));
  EXPECT_EQ(ips(R"("clusterIP":"")"), Ips{});

  const auto problem = [](const std::string& addresses) {
    return texts(service_at(addresses).problems);
  };
  EXPECT_EQ(problem(R"("clusterIP":"kitchen")"), "spec.clusterIP: must be an IP address\n");
  EXPECT_EQ(problem(R"("clusterIP":7)"), "spec.clusterIP: must be an IP address\n");
  EXPECT_EQ(problem(R"("clusterIP":"127.0.0.1")"), "spec.clusterIP: a Service cannot be at 127.0.0.1\n");
  EXPECT_EQ(problem(R"("clusterIP":"169.254.169.254")"),
            "spec.clusterIP: a Service cannot be at 169.254.169.254\n");
  EXPECT_EQ(problem(R"("clusterIPs":["10.0.0.1","10.0.0.2"])"),
            "spec.clusterIPs[1]: at most one address of each family\n");
  EXPECT_EQ(problem(R"("clusterIP":"10.0.0.2","clusterIPs":["10.0.0.1"])"),
            "spec.clusterIPs[0]: must be the same as clusterIP\n");
  EXPECT_EQ(problem(R"("clusterIP":"None","clusterIPs":["None","10.0.0.1"])"),
            "spec.clusterIPs[1]: a headless Service has no address\n");
}

TEST(Read, OnlyTheStoreSaysWhoRegistered) {
  Document workload = good(kWorkload);
  std::get<WorkloadSpec>(workload.spec).source = WorkloadSpec::Source::registration;
  std::get<WorkloadSpec>(workload.spec).node = "kitchen-1";
  EXPECT_FALSE(read_document(to_json(workload), Format::json).document.has_value());
  const DocumentRead stored = read_stored_document(to_json(workload));
  ASSERT_TRUE(stored.document.has_value()) << texts(stored.problems);
  EXPECT_EQ(*stored.document, workload);
}

// One bad value each: `old` replaced by `now` in a good document.
struct Fault {
  const char* document;
  const char* old;
  const char* now;
  const char* problem;  // what a line of the problems begins with
};

class Faults : public ::testing::TestWithParam<Fault> {};

TEST_P(Faults, AreReportedWithTheirPath) {
  const Fault& fault = GetParam();
  std::string text = fault.document;
  const size_t at = text.find(fault.old);
  ASSERT_NE(at, std::string::npos) << fault.old;
  text.replace(at, std::string_view(fault.old).size(), fault.now);
  const DocumentRead read =
      read_document(text, fault.document == kRoute ? Format::yaml : Format::json);
  EXPECT_FALSE(read.document.has_value());
  const std::string found = "\n" + texts(read.problems);
  EXPECT_NE(found.find("\n" + std::string(fault.problem)), std::string::npos)
      << "wanted: " << fault.problem << "\nfound:" << found;
}

INSTANTIATE_TEST_SUITE_P(
    Service, Faults,
    ::testing::Values(
        Fault{kService, "\"ports\"", "\"prots\"", "spec.prots: unknown field; did you mean \"ports\"?"},
        Fault{kService, "\"Service\"", "\"Servce\"", "kind: unknown kind \"Servce\"; did you mean \"Service\"?"},
        Fault{kService, "\"v1\"", "\"v2\"", "apiVersion: Service has apiVersion \"v1\""},
        Fault{kService, "\"kitchen\"}", "\"Kitchen\"}", "metadata.name: is no DNS label"},
        Fault{kService, "\"kitchen\"}", "\"a'); DROP TABLE x;--\"}", "metadata.name: is no DNS label"},
        Fault{kService, "\"kitchen\"}", "\"..\"}", "metadata.name: is no DNS label"},
        Fault{kService, "\"kitchen\"}", "\"k\\u0456tchen\"}", "metadata.name: is no DNS label"},
        Fault{kService, "{\"name\":\"kitchen\"}", "{}", "metadata.name: is missing"},
        Fault{kService, "\"port\":80,", "\"port\":0,", "spec.ports[0].port: must be a whole number from 1 to 65535"},
        Fault{kService, "\"port\":80,", "\"port\":65536,", "spec.ports[0].port: must be a whole number"},
        Fault{kService, "\"port\":80,", "\"port\":\"80\",", "spec.ports[0].port: expected a number, found a string"},
        Fault{kService, "\"port\":80,", "\"port\":1e400,", "line 2, column"},
        Fault{kService, "\"port\":80,", "\"port\":81,", "spec.ports[1].port: 81 is given twice"},
        Fault{kService, "\"rpc\"", "\"http\"", "spec.ports[1].name: \"http\" is given twice"},
        Fault{kService, "\"grpc\"", "\"https\"", "spec.ports[1].appProtocol: \"https\" is not supported yet"},
        Fault{kService, "\"grpc\"", "\"smtp\"", "spec.ports[1].appProtocol: unknown protocol \"smtp\""},
        Fault{kService, "\"tulle.dev/service\":\"kitchen\",", "", "spec.selector: must contain \"tulle.dev/service\""},
        Fault{kService, "\"v2\"", "2", "spec.selector[\"version\"]: expected a string, found a number; put it in quotes"},
        Fault{kService, "{\"apiVersion\"", "{\"kind\":\"Service\",\"apiVersion\"", "kind: is given twice"}));

INSTANTIATE_TEST_SUITE_P(
    Workload, Faults,
    ::testing::Values(
        Fault{kWorkload, "\"127.0.0.1\",", "\"localhost\",", "spec.address: must be an IP address"},
        Fault{kWorkload, "\"127.0.0.1\",", "\"169.254.169.254\",", "spec.address: an instance cannot be at"},
        Fault{kWorkload, "\"127.0.0.1\",", "\"0.0.0.0\",", "spec.address: an instance cannot be at"},
        Fault{kWorkload, "127.0.0.1:9001", "127.0.0.1:0", "spec.ports[0].inbound: the port must not be 0"},
        Fault{kWorkload, "127.0.0.1:9001", "127.0.0.1", "spec.ports[0].inbound: must be ip:port"},
        Fault{kWorkload, "\"weight\":3", "\"weight\":-1", "spec.weight: must be a whole number"},
        Fault{kWorkload, "\"weight\":3", "\"weight\":4294967295", "spec.weight: must be a whole number"},
        Fault{kWorkload, "\"version\":\"v2\"", "\"tulle.dev/service\":\"bank\"",
              "spec.labels[\"tulle.dev/service\"]: labels of tulle.dev/ are reserved"},
        Fault{kWorkload, "\"a\":\"b\"", "\"a\":\"$(rm -rf)\"", "metadata.labels[\"a\"]: is no label value"},
        Fault{kWorkload, "\"service\":\"kitchen\"", "\"service\":\"\"", "spec.service: must not be empty"}));

INSTANTIATE_TEST_SUITE_P(
    Route, Faults,
    ::testing::Values(
        Fault{kRoute, "kind: Service, ", "", "spec.parentRefs[0].kind: is missing and would mean Gateway"},
        Fault{kRoute, "group: \"\", ", "", "spec.parentRefs[0].group: is missing"},
        Fault{kRoute, "kind: Service", "kind: Gateway", "spec.parentRefs[0].kind: only a Service"},
        Fault{kRoute, "value: /orders", "value: orders", "spec.rules[0].matches[0].path.value: must begin with '/'"},
        Fault{kRoute, "value: /orders", "value: /a/../b", "spec.rules[0].matches[0].path.value: must not contain \"/../\""},
        Fault{kRoute, "value: /orders", "value: /a%2fb", "spec.rules[0].matches[0].path.value: must not contain"},
        Fault{kRoute, "type: Exact", "type: Exakt", "spec.rules[0].matches[0].path.type: unknown value \"Exakt\"; did you mean \"Exact\"?"},
        Fault{kRoute, "\"a+\"", "\"a(\"", "spec.rules[0].matches[0].queryParams[0].value: is no regular expression"},
        Fault{kRoute, "\"a+\"", "'(a)\\1'", "spec.rules[0].matches[0].queryParams[0].value: is no regular expression"},
        Fault{kRoute, "method: POST", "method: Post", "spec.rules[0].matches[0].method: unknown value"},
        Fault{kRoute, "X-A, value: b", "X-A, value: \"b\\r\\nc\"", "spec.rules[0].filters[0].requestHeaderModifier.set[0].value: must be visible ASCII"},
        Fault{kRoute, "name: X-A", "name: Host", "spec.rules[0].filters[0].requestHeaderModifier.set[0].name: the host is changed by a URLRewrite"},
        Fault{kRoute, "name: X-A", "name: Content-Length", "spec.rules[0].filters[0].requestHeaderModifier.set[0].name: \"content-length\" belongs to the connection"},
        Fault{kRoute, "remove: [x-c]", "remove: [x-a]", "spec.rules[0].filters[0].requestHeaderModifier.remove[0]: \"x-a\" is changed twice"},
        Fault{kRoute, "type: URLRewrite", "type: RequestMirror", "spec.rules[0].filters[1].type: RequestMirror is not supported yet"},
        Fault{kRoute, "ReplaceFullPath, replaceFullPath", "ReplacePrefixMatch, replacePrefixMatch", "spec.rules[0].filters: ReplacePrefixMatch needs exactly one match"},
        Fault{kRoute, "weight: 80", "weight: 4294967295", "spec.rules[0].backendRefs[0].weight: must be a whole number from 0 to 1000000"},
        Fault{kRoute, "port: 80, weight: 80", "weight: 80", "spec.rules[0].backendRefs[0].port: is missing"},
        Fault{kRoute, "kitchen-v1, port: 80}]", "kitchen-v1, port: 80, weight: 0}]", "spec.rules[1].backendRefs: the weights must not all be 0"},
        Fault{kRoute, "request: 10s", "request: -1s", "spec.rules[0].timeouts.request: must be a duration"},
        Fault{kRoute, "request: 10s", "request: 1s", "spec.rules[0].timeouts.backendRequest: must not be longer than request"},
        Fault{kRoute, "request: 10s", "request: 9223372036854775807s", "spec.rules[0].timeouts.request: must be a duration"},
        Fault{kRoute, "codes: [503]", "codes: [200]", "spec.rules[0].retry.codes[0]: must be a status from 400 to 599"},
        Fault{kRoute, "attempts: 2", "attempts: -1", "spec.rules[0].retry.attempts: must be a whole number"},
        Fault{kRoute, "  rules:", "  hostnames: [a.example]\n  rules:", "spec.hostnames: a route of a Service has no host names"},
        Fault{kRoute, "      method: POST", "      method: POST\n      method: GET", "line 14, column 7: \"method\" is given twice"}));

TEST(Read, EveryProblemAtOnce) {
  const DocumentRead read = read_document(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"A","x":1},"spec":{"ports":[{"port":0},{"prot":1}]}})",
      Format::json);
  const std::string found = texts(read.problems);
  for (const char* path : {"metadata.name:", "metadata.x:", "spec.ports[0].port:", "spec.ports[0].name:",
                           "spec.ports[1].port:", "spec.ports[1].prot:"}) {
    EXPECT_NE(found.find(path), std::string::npos) << path << " in\n" << found;
  }
}

TEST(Read, HostileSizesAreRefusedCheaply) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char name = 'b'; name <= 'j'; ++name) {
    bomb += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 9; ++i) bomb += std::string(i == 0 ? "*" : ",*") + static_cast<char>(name - 1);
    bomb += "]\n";
  }
  const std::string deep(100'000, '[');
  std::string deep_yaml;
  for (int i = 0; i < 2000; ++i) deep_yaml += "- ";
  const std::string nul("kind: a\0b", 9);
  for (const std::string& text : {bomb, deep, deep_yaml, nul, std::string("kind: \xff\xfe"),
                                  std::string("a: *b"), std::string("a: &a [*a]"),
                                  std::string("!!python/object:x {}"), std::string(2'000'000, 'a')}) {
    for (const Format format : {Format::json, Format::yaml}) {
      const DocumentRead read = read_document(text, format);
      EXPECT_FALSE(read.document.has_value());
      EXPECT_FALSE(read.problems.empty());
    }
  }
}

TEST(ReadDocuments, AFileOfManyNamesEachInItsProblems) {
  const std::string text = std::string("---\n") + kRoute + "---\n# nothing\n---\n" + kService +
                           "\n---\nkind: Service\napiVersion: v1\nmetadata: {name: x}\nspec: {}\n";
  const DocumentsRead read = read_documents(text, "mesh.yaml");
  EXPECT_EQ(read.documents.size(), 2u);
  EXPECT_NE(texts(read.problems).find("mesh.yaml: document 4 (Service \"x\"): spec.ports: is missing"),
            std::string::npos)
      << texts(read.problems);
}

TEST(ServiceRules, SelectingPortsAndHosts) {
  const Document service = good(kService);
  Document workload = good(kWorkload);
  EXPECT_FALSE(selects(service, workload)) << "another namespace";
  workload.metadata.namespace_name = "default";
  EXPECT_TRUE(selects(service, workload));
  std::get<WorkloadSpec>(workload.spec).labels["version"] = "v1";
  EXPECT_FALSE(selects(service, workload));
  EXPECT_EQ(account_of(service), "kitchen");
  EXPECT_EQ(target_port(service.service().ports[0], workload.workload())->port, 8080);
  EXPECT_EQ(spiffe_id("mesh.local", "default", "kitchen"), "spiffe://mesh.local/ns/default/sa/kitchen");

  const auto is = [](std::string_view host, std::string_view space, std::string_view name) {
    return service_of_host(host, "here", "cluster.local") ==
           ServiceName{std::string(space), std::string(name)};
  };
  EXPECT_TRUE(is("a", "here", "a"));
  EXPECT_TRUE(is("a.b", "b", "a"));
  EXPECT_TRUE(is("a.b.svc", "b", "a"));
  EXPECT_TRUE(is("a.b.svc.cluster.local", "b", "a"));
  for (const char* host : {"", ".", "a.", "a.b.c", "a.b.svc.", "a.b.svc.other", "a.b.svcx"}) {
    EXPECT_FALSE(service_of_host(host, "here", "cluster.local").has_value()) << host;
  }
}

}  // namespace
}  // namespace tulle::model
