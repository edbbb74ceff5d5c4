#include "control-plane/build/build.hpp"

#include <google/protobuf/text_format.h>

#include <algorithm>

#include "control-plane/build/build_fixture_test.hpp"
#include "control-plane/build/names.hpp"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/names.hpp"

namespace tulle::build {
namespace {

using testing::kMesh;
using testing::node_of;
using testing::parsed;
using testing::Scenario;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

constexpr const char* kKitchen = "80|kitchen.default";
constexpr const char* kKitchenCluster = "outbound|80||kitchen.default.svc.cluster.local";
constexpr const char* kKitchenV2Cluster = "outbound|80||kitchen-v2.default.svc.cluster.local";

// A route for kitchen with these rules (a YAML flow sequence).
std::string route(const std::string& rules, const std::string& name = "kitchen",
                  const std::string& namespace_name = "default") {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " + name +
         ", namespace: " + namespace_name +
         "}\nspec:\n  parentRefs: [{kind: Service, group: '', name: kitchen, namespace: default}]\n"
         "  rules: " + rules + "\n";
}

std::string with(const std::string& rules) {
  return Scenario(kMesh + route(rules)).routes(kKitchen);
}

TEST(Build, AServiceWithoutRoutesForwardsEverything) {
  const Scenario mesh(kMesh);
  EXPECT_EQ(mesh.routes(kKitchen), "default: / -> kitchen.default:80\n");
  const auto config =
      parsed<envoy::config::route::v3::RouteConfiguration>(mesh.built(ResourceType::route, kKitchen));
  const auto& action = config.virtual_hosts(0).routes(0).route();
  EXPECT_TRUE(action.has_timeout());  // 0 is written: absent would be 15 s
  EXPECT_EQ(action.timeout().seconds(), 0);
  EXPECT_EQ(action.retry_policy().num_retries().value(), 2u);
  EXPECT_EQ(action.retry_policy().retry_back_off().base_interval().nanos(), 25'000'000);
  EXPECT_EQ(config.virtual_hosts(0).domains(0), "*");
}

TEST(Build, WhatDoesNotExistIsNothingAndSaysWhatWasLookedFor) {
  const Scenario mesh(kMesh);
  const Built built = mesh.built(ResourceType::route, "80|nobody.default");
  EXPECT_EQ(built.resource, nullptr);
  EXPECT_EQ(built.inputs, std::vector<Input>{service_input("default", "nobody")});
  for (const char* name : {"81|kitchen.default", "80|kitchen", "080|kitchen.default", "", "|", "80|"}) {
    EXPECT_EQ(mesh.built(ResourceType::route, name).resource, nullptr) << name;
  }
  for (const char* name : {"outbound|81||kitchen.default.svc.cluster.local", "outbound|80||kitchen",
                           "outbound|||.svc.cluster.local", "inbound|9||", "x", ""}) {
    EXPECT_EQ(mesh.built(ResourceType::cluster, name).resource, nullptr) << name;
    EXPECT_EQ(mesh.built(ResourceType::endpoints, name).resource, nullptr) << name;
  }
  EXPECT_EQ(mesh.built(ResourceType::secret, "default").resource, nullptr);
}

TEST(Build, AClusterVerifiesTheAccountAndHasTheMeshsDefaults) {
  const Scenario mesh(kMesh);
  const Built built = mesh.built(ResourceType::cluster, kKitchenV2Cluster);
  const auto cluster = parsed<envoy::config::cluster::v3::Cluster>(built);
  EXPECT_EQ(cluster.type(), envoy::config::cluster::v3::Cluster::EDS);
  EXPECT_TRUE(cluster.eds_cluster_config().eds_config().has_ads());
  EXPECT_EQ(cluster.connect_timeout().seconds(), 1);
  const auto& limits = cluster.circuit_breakers().thresholds(0);
  EXPECT_EQ(limits.max_connections().value(), 1024u);
  EXPECT_EQ(limits.max_pending_requests().value(), 1024u);
  EXPECT_EQ(limits.max_requests().value(), 1024u);
  EXPECT_EQ(limits.retry_budget().budget_percent().value(), 20);
  EXPECT_EQ(limits.retry_budget().min_retry_concurrency().value(), 3u);
  EXPECT_EQ(cluster.outlier_detection().consecutive_gateway_failure().value(), 5u);
  EXPECT_EQ(cluster.outlier_detection().max_ejection_percent().value(), 50u);
  envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext tls;
  ASSERT_TRUE(cluster.transport_socket().typed_config().UnpackTo(&tls));
  const auto& common = tls.common_tls_context();
  EXPECT_EQ(common.alpn_protocols(0), "tulle-h2");
  const auto& validation = common.combined_validation_context();
  EXPECT_EQ(validation.default_validation_context().match_typed_subject_alt_names(0).matcher().exact(),
            "spiffe://mesh.local/ns/default/sa/kitchen");
  EXPECT_EQ(validation.validation_context_sds_secret_config().name(), "ROOTCA");
}

TEST(Build, EndpointsAreThoseThatTheServiceSelects) {
  const Scenario mesh(std::string(kMesh) + R"(
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: kitchen-3}
spec:
  service: kitchen
  address: 127.0.0.1
  labels: {version: v2}
  locality: {region: eu, zone: a}
  ports: [{name: http, port: 3003, inbound: "127.0.0.1:9003"}]
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: stranger}
spec:
  service: orders
  address: 127.0.0.1
  labels: {version: v2}
  ports: [{name: http, port: 3004, inbound: "127.0.0.1:9004"}]
)");
  EXPECT_EQ(mesh.endpoints(kKitchenCluster),
            "127.0.0.1:9001 weight=1\n127.0.0.1:9002 weight=2\n"
            "127.0.0.1:9003 weight=1 eu/a/\n");
  EXPECT_EQ(mesh.endpoints(kKitchenV2Cluster),
            "127.0.0.1:9002 weight=2\n127.0.0.1:9003 weight=1 eu/a/\n");
  EXPECT_EQ(mesh.endpoints("outbound|8080||orders.default.svc.cluster.local"),
            "127.0.0.1:9004 weight=1\n");
}

TEST(Build, AnAddressBelongsToWhoeverTookItLast) {
  const Scenario mesh(std::string(kMesh) + R"(
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: a-successor}
spec:
  service: kitchen
  address: 127.0.0.1
  weight: 7
  ports: [{name: http, port: 3001, inbound: "127.0.0.1:9001"}]
)");
  EXPECT_EQ(mesh.endpoints(kKitchenCluster),
            "127.0.0.1:9001 weight=7\n127.0.0.1:9002 weight=2\n");
}

TEST(Build, MatchesAreTriedMostSpecificFirst) {
  EXPECT_EQ(with(R"([
    {name: rest, backendRefs: [{name: kitchen, port: 80}]},
    {name: prefixes, backendRefs: [{name: kitchen, port: 80}], matches: [
      {path: {type: PathPrefix, value: /a}}, {path: {type: PathPrefix, value: /a/b/}},
      {path: {type: PathPrefix, value: /a}, method: GET},
      {path: {type: PathPrefix, value: /a}, headers: [{name: X-One, value: "1"}]},
      {path: {type: PathPrefix, value: /a}, queryParams: [{name: q, value: "1"}]}]},
    {name: exact, backendRefs: [{name: kitchen, port: 80}], matches: [
      {path: {type: RegularExpression, value: "/r[0-9]+"}}, {path: {type: Exact, value: /a}}]}])"),
            "default/kitchen[exact]: =/a -> kitchen.default:80\n"
            "default/kitchen[exact]: ~/r[0-9]+ -> kitchen.default:80\n"
            "default/kitchen[prefixes]: /a/b/* -> kitchen.default:80\n"
            "default/kitchen[prefixes]: /a/* :method=GET -> kitchen.default:80\n"
            "default/kitchen[prefixes]: /a/* x-one=1 -> kitchen.default:80\n"
            "default/kitchen[prefixes]: /a/* ?q=1 -> kitchen.default:80\n"
            "default/kitchen[prefixes]: /a/* -> kitchen.default:80\n"
            "default/kitchen[rest]: / -> kitchen.default:80\n");
}

TEST(Build, RoutesOfOneServiceAreMergedTheOlderFirst) {
  const Scenario mesh(kMesh + route("[{backendRefs: [{name: kitchen, port: 80}]}]", "older") +
                      route(R"([{backendRefs: [{name: kitchen-v2, port: 80}]},
                                {backendRefs: [{name: kitchen-v2, port: 80}], matches: [
                                  {path: {type: PathPrefix, value: /new}}]}])", "newer"));
  EXPECT_EQ(mesh.routes(kKitchen),
            "default/newer[1]: /new/* -> kitchen-v2.default:80\n"
            "default/older[0]: / -> kitchen.default:80\n"
            "default/newer[0]: / -> kitchen-v2.default:80\n");
}

// The reader refuses such a rule where it can; other sources of documents may not.
std::string without_weights(const std::string& backend) {
  Scenario mesh(kMesh + route("[{backendRefs: [{name: " + backend + ", port: 80}]}]"));
  const model::StoreView& view = mesh.index.view();
  model::Document document = *view.find(model::Kind::http_route, "default", "kitchen");
  std::get<model::HttpRouteSpec>(document.spec).rules[0].backend_refs[0].weight = 0;
  mesh.index.advance(view.with(std::make_shared<const model::Document>(document), 99));
  return mesh.routes(kKitchen);
}

TEST(Build, WeightsAreSharesAndZeroIsNone) {
  EXPECT_EQ(with(R"([{backendRefs: [{name: kitchen, port: 80, weight: 80},
                                    {name: kitchen-v2, port: 80, weight: 20},
                                    {name: orders, port: 8080, weight: 0}]}])"),
            "default/kitchen[0]: / -> kitchen.default:80*80 kitchen-v2.default:80*20\n");
  EXPECT_EQ(with(R"([{backendRefs: [{name: kitchen, port: 80, weight: 0},
                                    {name: kitchen-v2, port: 80, weight: 5}]}])"),
            "default/kitchen[0]: / -> kitchen-v2.default:80\n");
  EXPECT_EQ(without_weights("kitchen"), "default/kitchen[0]: / -> answer 503\n");
}

TEST(Build, ABackendThatDoesNotExistKeepsItsShare) {
  EXPECT_EQ(with(R"([{backendRefs: [{name: kitchen, port: 80, weight: 3}, {name: gone, port: 80}]}])"),
            "default/kitchen[0]: / -> kitchen.default:80*3 tulle.invalid_backend*1\n");
  EXPECT_EQ(with("[{backendRefs: [{name: kitchen, port: 81}]}]"),
            "default/kitchen[0]: / -> tulle.invalid_backend\n");
  EXPECT_EQ(without_weights("gone"), "default/kitchen[0]: / -> tulle.invalid_backend\n");
  EXPECT_EQ(with("[{matches: [{path: {type: Exact, value: /x}}]}]"),
            "default/kitchen[0]: =/x -> tulle.invalid_backend\n");
  const Scenario mesh(kMesh + route("[{backendRefs: [{name: gone, port: 80}]}]"));
  const auto inputs = mesh.built(ResourceType::route, kKitchen).inputs;
  EXPECT_TRUE(std::ranges::count(inputs, service_input("default", "gone")));
}

TEST(Build, FiltersChangeHeadersOfRoutesAndBackends) {
  EXPECT_EQ(with(R"([{
      filters: [
        {type: RequestHeaderModifier, requestHeaderModifier: {
           set: [{name: X-Set, value: "50%"}], add: [{name: x-add, value: a}], remove: [x-gone]}},
        {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-out, value: b}]}}],
      backendRefs: [{name: kitchen, port: 80, filters: [
        {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-version, value: v1}]}}]}]}])"),
            "default/kitchen[0]: / -> kitchen.default:80*1 request set x-version=v1 "
            "request set x-set=50%% request add x-add=a request remove x-gone "
            "response add x-out=b\n");
}

std::string rewritten(const std::string& prefix, const std::string& rewrite) {
  return with("[{matches: [{path: {type: PathPrefix, value: " + prefix +
              "}}], backendRefs: [{name: kitchen, port: 80}], filters: [{type: URLRewrite, "
              "urlRewrite: " + rewrite + "}]}]");
}

TEST(Build, PathsAndHostsAreRewritten) {
  const auto prefix = [](const std::string& value) {
    return "{path: {type: ReplacePrefixMatch, replacePrefixMatch: " + value + "}}";
  };
  EXPECT_EQ(rewritten("/foo", prefix("/xyz")), "default/kitchen[0]: /foo/* -> kitchen.default:80 prefix=/xyz\n");
  EXPECT_EQ(rewritten("/foo/", prefix("/xyz/")), "default/kitchen[0]: /foo/* -> kitchen.default:80 prefix=/xyz\n");
  EXPECT_EQ(rewritten("/foo", prefix("/")), "default/kitchen[0]: /foo/* -> kitchen.default:80 prefix=/\n");
  // "/" matches one character: what replaces it has to bring a slash along.
  EXPECT_EQ(rewritten("/", prefix("/xyz")), "default/kitchen[0]: / -> kitchen.default:80 prefix=/xyz/\n");
  EXPECT_EQ(rewritten("/", "{hostname: example.org, path: {type: ReplaceFullPath, replaceFullPath: /50%x}}"),
            "default/kitchen[0]: / -> kitchen.default:80 path=/50%%x host=example.org\n");
}

std::string redirected(const std::string& redirect) {
  return with("[{filters: [{type: RequestRedirect, requestRedirect: " + redirect + "}]}]");
}

TEST(Build, RedirectsNameThePort) {
  EXPECT_EQ(redirected("{}"), "default/kitchen[0]: / -> redirect FOUND :80\n");
  EXPECT_EQ(redirected("{scheme: https, statusCode: 301}"),
            "default/kitchen[0]: / -> redirect MOVED_PERMANENTLY https:// :443\n");
  EXPECT_EQ(redirected("{hostname: example.org, port: 8443}"),
            "default/kitchen[0]: / -> redirect FOUND example.org:8443\n");
  EXPECT_EQ(redirected("{path: {type: ReplaceFullPath, replaceFullPath: /new}}"),
            "default/kitchen[0]: / -> redirect FOUND :80 path=/new\n");
}

TEST(Build, TimeoutsAndRetries) {
  const std::string backends = "backendRefs: [{name: kitchen, port: 80}]";
  const auto limits = [&](const std::string& more) {
    return with("[{" + backends + ", " + more + "}]");
  };
  const std::string to = "default/kitchen[0]: / -> kitchen.default:80";
  EXPECT_EQ(limits("timeouts: {request: 2s, backendRequest: 500ms}"),
            to + " timeout 2000ms retry 2 on connect-failure,refused-stream,reset 25ms..250ms "
                 "each 500ms\n");
  EXPECT_EQ(limits("timeouts: {request: 0s}"), to + "\n");
  EXPECT_EQ(limits("retry: {attempts: 3, codes: [500, 503], backoff: 100ms}"),
            to + " retry 3 on connect-failure,refused-stream,reset,retriable-status-codes 500 503 "
                 "100ms..1000ms\n");
  EXPECT_EQ(limits("retry: {attempts: 0}"),
            to + " retry 0 on connect-failure,refused-stream,reset 25ms..250ms\n");
}

TEST(Build, ARouteOfTheCallersNamespaceReplacesThoseOfTheService) {
  const Scenario mesh(kMesh + route("[{backendRefs: [{name: kitchen, port: 80}]}]") +
                      route("[{backendRefs: [{name: kitchen-v2, namespace: default, port: 80}]}]",
                            "mine", "client"));
  EXPECT_EQ(mesh.routes(kKitchen), "default/kitchen[0]: / -> kitchen.default:80\n");
  EXPECT_EQ(mesh.routes(kKitchen, "client"), "client/mine[0]: / -> kitchen-v2.default:80\n");
  EXPECT_EQ(mesh.routes(kKitchen, "other"), "default/kitchen[0]: / -> kitchen.default:80\n");
  EXPECT_NE(scope_of(node_of("client"), ResourceType::route, kKitchen),
            scope_of(node_of("default"), ResourceType::route, kKitchen));
}

TEST(Build, DestinationsAreWhatTheCallersNamespaceMakesOfAHost) {
  const Scenario mesh(kMesh);
  const auto table = [&](const char* name, const std::string& caller) -> std::string {
    const Built built = mesh.built(ResourceType::listener, name, caller);
    if (built.resource == nullptr) return "nothing";
    const auto listener = parsed<envoy::config::listener::v3::Listener>(built);
    EXPECT_EQ(listener.name(), name);
    HttpConnectionManager manager;
    EXPECT_TRUE(listener.api_listener().api_listener().UnpackTo(&manager));
    EXPECT_TRUE(manager.rds().config_source().has_ads());
    return manager.rds().route_config_name();
  };
  for (const char* name : {"kitchen:80", "kitchen.default:80", "kitchen.default.svc:80",
                           "kitchen.default.svc.cluster.local:80"}) {
    EXPECT_EQ(table(name, "default"), kKitchen) << name;
  }
  EXPECT_EQ(table("kitchen:80", "other"), "nothing");
  EXPECT_EQ(table("kitchen.default:80", "other"), kKitchen);
  EXPECT_EQ(table("kitchen:8080", "default"), "nothing");
  EXPECT_EQ(table("example.org:80", "default"), "nothing");
}

TEST(Build, WithoutACollectorThereIsNoTracing) {
  const Scenario mesh(kMesh);
  const auto listener = parsed<envoy::config::listener::v3::Listener>(
      build(mesh.index, mesh.mesh, node_of(), ResourceType::listener, "outbound"));
  HttpConnectionManager manager;
  ASSERT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
  EXPECT_FALSE(manager.has_tracing());
  EXPECT_EQ(mesh.built(ResourceType::cluster, "tracing-collector").resource, nullptr);
}

TEST(Build, EveryListenerOfANodeTellsTheCollector) {
  Scenario scenario(kMesh);
  const Node node = node_of();
  for (const auto format : {Collector::Format::otlp, Collector::Format::zipkin}) {
    scenario.mesh.collector = *read_collector(format, "http://127.0.0.2:4318");
    scenario.mesh.collector->sampling_percent = 2.5;
    const xds::ResourceSet all = build_all(scenario.index, scenario.mesh, node, {});
    for (const std::string& name : own_listeners(node)) {
      const auto listener = parsed<envoy::config::listener::v3::Listener>(
          build(scenario.index, scenario.mesh, node, ResourceType::listener, name));
      HttpConnectionManager manager;
      ASSERT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
      EXPECT_EQ(manager.tracing().random_sampling().value(), 2.5) << name;
    }
    EXPECT_NE(all.find(ResourceType::cluster, "tracing-collector"), nullptr) << "it is referred to";
  }
}

TEST(Build, ANodesOwnListenersAndClusters) {
  const Scenario mesh(kMesh);
  Node node = node_of();
  node.ports.push_back({"grpc", 9090, *Address::parse("127.0.0.1:15007"), model::AppProtocol::grpc});
  EXPECT_EQ(own_listeners(node),
            (std::vector<std::string>{"inbound|8080", "inbound|9090", "outbound"}));
  const auto own = [&](ResourceType type, const char* name) {
    return build(mesh.index, mesh.mesh, node, type, name);
  };
  const auto inbound =
      parsed<envoy::config::listener::v3::Listener>(own(ResourceType::listener, "inbound|9090"));
  EXPECT_EQ(inbound.address().socket_address().port_value(), 15007u);
  EXPECT_EQ(inbound.traffic_direction(), envoy::config::core::v3::INBOUND);
  HttpConnectionManager towards_application;
  ASSERT_TRUE(
      inbound.filter_chains(0).filters(0).typed_config().UnpackTo(&towards_application));
  const auto& retry =
      towards_application.route_config().virtual_hosts(0).routes(0).route().retry_policy();
  EXPECT_EQ(retry.retry_on(), "reset-before-request");
  EXPECT_EQ(retry.num_retries().value(), 1u);
  envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext tls;
  ASSERT_TRUE(inbound.filter_chains(0).transport_socket().typed_config().UnpackTo(&tls));
  EXPECT_TRUE(tls.require_client_certificate().value());
  const auto cluster =
      parsed<envoy::config::cluster::v3::Cluster>(own(ResourceType::cluster, "inbound|9090||"));
  EXPECT_EQ(cluster.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address()
                .socket_address().port_value(), 9090u);
  EXPECT_FALSE(cluster.has_transport_socket());
  const auto outbound =
      parsed<envoy::config::listener::v3::Listener>(own(ResourceType::listener, "outbound"));
  HttpConnectionManager manager;
  ASSERT_TRUE(outbound.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
  EXPECT_EQ(manager.http_filters(0).name(), "envoy.filters.http.on_demand");
  EXPECT_EQ(manager.route_config().virtual_hosts_size(), 0);
  for (const auto& listener : {inbound, outbound}) {
    ASSERT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
    ASSERT_EQ(manager.upgrade_configs_size(), 1);
    EXPECT_EQ(manager.upgrade_configs(0).upgrade_type(), "websocket");
  }

  // With other ports the node's own resources are others, and nobody else's.
  const std::string scope = scope_of(node, ResourceType::listener, "inbound|8080");
  EXPECT_NE(scope, scope_of(node_of(), ResourceType::listener, "inbound|8080"));
  EXPECT_EQ(scope, scope_of(node, ResourceType::cluster, "inbound|8080||"));
  EXPECT_EQ(scope_of(node, ResourceType::endpoints, kKitchenCluster), "");
}

TEST(Build, TheTrustBundleIsASecret) {
  Scenario mesh(kMesh);
  EXPECT_EQ(mesh.built(ResourceType::secret, "ROOTCA").resource, nullptr);
  mesh.mesh.trust_bundle_pem = "PEM";
  const auto secret = parsed<envoy::extensions::transport_sockets::tls::v3::Secret>(
      mesh.built(ResourceType::secret, "ROOTCA"));
  EXPECT_EQ(secret.validation_context().trusted_ca().inline_string(), "PEM");
}

TEST(Build, EqualInputGivesEqualBytes) {
  const Scenario mesh(kMesh + route("[{backendRefs: [{name: kitchen, port: 80}]}]"));
  // The same documents, arrived in another order and after detours.
  Index index;
  model::StoreView view;
  for (const model::Kind kind : {model::Kind::http_route, model::Kind::workload, model::Kind::service}) {
    const auto all = mesh.index.view().all(kind);
    for (size_t i = all.size(); i-- > 0;) {
      view = view.with(all[i], view.revision() + 1);
      index.advance(view);
      index.advance(view.without(all[i]->key(), view.revision() + 1));
      index.advance(view);
    }
  }
  const std::vector<std::string> destinations{"kitchen:80", "orders:8080", "kitchen-v2:80"};
  const xds::ResourceSet a = build_all(mesh.index, mesh.mesh, node_of(), destinations);
  const xds::ResourceSet b = build_all(index, mesh.mesh, node_of(), destinations);
  for (const ResourceType type : xds::kResourceTypes) {
    ASSERT_EQ(a.all(type).size(), b.all(type).size());
    for (const auto& [name, resource] : a.all(type)) {
      EXPECT_EQ(resource->bytes, b.find(type, name)->bytes) << name;
      EXPECT_EQ(resource->version, resource->hash.hex());
    }
  }
  EXPECT_EQ(a.all(ResourceType::listener).size(), 5u);
  EXPECT_EQ(a.all(ResourceType::route).size(), 3u);
  EXPECT_EQ(a.all(ResourceType::endpoints).size(), 3u);
  EXPECT_EQ(a.find(ResourceType::cluster, xds::kInvalidBackendCluster), nullptr);
}

}  // namespace
}  // namespace tulle::build
