// Opaque TCP in configuration: proxies, the choice of a filter chain, and what is refused.
#include <gtest/gtest.h>

#include <vector>

#include "sidecar/config/config_fixture_test.hpp"

namespace tulle::config {
namespace {

using nlohmann::json;
using testing::compile_json;

const std::string kType = "type.googleapis.com/envoy.";
const std::string kInspector = "extensions.filters.listener.";

json proxy(json fields = {{"cluster", "redis"}}) {
  fields["@type"] = kType + "extensions.filters.network.tcp_proxy.v3.TcpProxy";
  fields["stat_prefix"] = "tcp";
  return fields;
}

json manager() {
  return {{"@type", kType + "extensions.filters.network.http_connection_manager.v3."
                            "HttpConnectionManager"},
          {"stat_prefix", "http"},
          {"route_config", {{"name", "none"}}},
          {"http_filters",
           {{{"name", "router"},
             {"typed_config", {{"@type", kType + "extensions.filters.http.router.v3.Router"}}}}}}};
}

json chain(const json& filter, const json& match = nullptr) {
  json made = {{"filters", {{{"name", "x"}, {"typed_config", filter}}}}};
  if (!match.is_null()) made["filter_chain_match"] = match;
  return made;
}

json listener(const std::vector<json>& chains) {
  return {{"@type", kType + "config.listener.v3.Listener"},
          {"name", "outbound"},
          {"traffic_direction", "OUTBOUND"},
          {"address", {{"socket_address", {{"address", "127.0.0.1"}, {"port_value", 15001}}}}},
          {"filter_chains", chains}};
}

json inspectors() {
  return {{{"name", "tls"},
           {"typed_config", {{"@type", kType + kInspector + "tls_inspector.v3.TlsInspector"}}}},
          {{"name", "http"},
           {"typed_config", {{"@type", kType + kInspector + "http_inspector.v3.HttpInspector"}}}}};
}

json cluster(const std::string& name) {
  return {{"@type", kType + "config.cluster.v3.Cluster"}, {"name", name}};
}

json bootstrap(const json& first) {
  return {{"node", {{"id", "n"}, {"cluster", "n"}}},
          {"admin", {{"address", "127.0.0.1"}, {"port", 0}}},
          {"static_resources", {first, cluster("redis"), cluster("other")}}};
}

std::shared_ptr<const Snapshot> compiled(const json& first) {
  auto outcome = compile_json(bootstrap(first));
  EXPECT_EQ(outcome.problems, "");
  return outcome.snapshot;
}

// What is said about it, without the resource's title.
std::string refusal(const json& first) {
  const std::string title = "static_resources[0] ";
  std::string text = compile_json(bootstrap(first)).problems;
  EXPECT_NE(text, "");
  EXPECT_NE(text.find(title), std::string::npos) << text;
  const size_t path = text.find(": ", text.find(title));
  return path == std::string::npos ? text : text.substr(path + 2);
}

TEST(CompileTcp, OneProxyForEveryConnection) {
  const auto snapshot = compiled(listener({chain(proxy())}));
  ASSERT_NE(snapshot, nullptr);
  const ListenerConfig& outbound = *snapshot->listeners[0];
  ASSERT_NE(outbound.chains, nullptr);
  EXPECT_FALSE(outbound.chains->inspects());
  const FilterChain* chosen = outbound.chains->choose({});
  ASSERT_NE(chosen, nullptr);
  ASSERT_NE(chosen->tcp, nullptr);
  EXPECT_EQ(chosen->http, nullptr);
  EXPECT_EQ(chosen->tcp->idle_timeout, 1h);
  EXPECT_EQ(chosen->tcp->connect_attempts, 1u);
  EXPECT_EQ(chosen->tcp->forward()->pick(3).cluster, snapshot->find_cluster("redis")->index);
}

TEST(CompileTcp, ReadsTheProxy) {
  const auto snapshot = compiled(listener(
      {chain(proxy({{"weighted_clusters",
                     {{"clusters",
                       {{{"name", "redis"}, {"weight", 3}}, {{"name", "other"}, {"weight", 1}}}}}},
                    {"idle_timeout", "5s"},
                    {"max_connect_attempts", 3}}))}));
  ASSERT_NE(snapshot, nullptr);
  const TcpProxy& tcp = *snapshot->listeners[0]->chains->chains[0].tcp;
  EXPECT_EQ(tcp.idle_timeout, 5s);
  EXPECT_EQ(tcp.connect_attempts, 3u);
  EXPECT_EQ(tcp.forward()->total_weight, 4u);
  EXPECT_EQ(tcp.forward()->targets.size(), 2u);
}

TEST(CompileTcp, OnDemandNamesADestination) {
  const auto snapshot =
      compiled(listener({chain(proxy({{"cluster", "redis:6379"}, {"on_demand", json::object()}}))}));
  ASSERT_NE(snapshot, nullptr);
  const TcpProxy& tcp = *snapshot->listeners[0]->chains->chains[0].tcp;
  EXPECT_TRUE(tcp.on_demand);
  EXPECT_EQ(tcp.destination, "redis:6379");
  EXPECT_EQ(tcp.forward(), nullptr);
}

TEST(CompileTcp, PlainHttpStaysAsItWas) {
  const auto snapshot = compiled(listener({chain(manager())}));
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(snapshot->listeners[0]->chains, nullptr);
}

TEST(CompileTcp, ChainsAreChosenFromTheMostSpecificOn) {
  json source = listener({
      chain(manager(), {{"application_protocols", {"http/1.0", "http/1.1", "h2c"}}}),
      chain(proxy(), {{"server_names", {"*.example.com", "a.example.com"}},
                      {"transport_protocol", "tls"}}),
      chain(proxy({{"cluster", "other"}}), {{"server_names", {"*.b.example.com"}}}),
      chain(proxy({{"cluster", "other"}}), {{"destination_port", 9000}}),
  });
  source["listener_filters"] = inspectors();
  source["listener_filters_timeout"] = "0.05s";
  source["continue_on_listener_filters_timeout"] = true;
  source["default_filter_chain"] = chain(proxy());
  const auto snapshot = compiled(source);
  ASSERT_NE(snapshot, nullptr);
  const FilterChains& chains = *snapshot->listeners[0]->chains;
  EXPECT_EQ(chains.inspection_timeout, 50ms);
  EXPECT_TRUE(chains.goes_on_when_silent);
  const auto name = [&](const ConnectionFacts& facts) {
    const FilterChain* chosen = chains.choose(facts);
    return chosen == nullptr ? "none" : chosen->name;
  };
  const std::vector<std::string> http{"http/1.1"};
  const std::vector<std::string> alpn{"h2", "http/1.1"};
  EXPECT_EQ(name({.protocols = http}), "0");
  EXPECT_EQ(name({}), "default");
  EXPECT_EQ(name({.tls = true, .server_name = "a.example.com"}), "1");
  EXPECT_EQ(name({.tls = true, .server_name = "x.example.com"}), "1");
  EXPECT_EQ(name({.tls = true, .server_name = "x.b.example.com"}), "2");
  EXPECT_EQ(name({.tls = true, .server_name = "example.com"}), "default");
  EXPECT_EQ(name({.tls = true, .server_name = "else.org", .protocols = alpn}), "0");
  // A port that is named excludes what does not name it.
  EXPECT_EQ(name({.destination_port = 9000, .protocols = http}), "3");
}

TEST(CompileTcp, WithoutADefaultNothingIsTaken) {
  json source = listener({chain(proxy(), {{"server_names", {"a.example.com"}}})});
  source["listener_filters"] = inspectors();
  const auto snapshot = compiled(source);
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(snapshot->listeners[0]->chains->choose({.tls = true, .server_name = "b"}), nullptr);
}

TEST(CompileTcp, DestinationsTakeHttpOrTcpOrBoth) {
  json only = {{"@type", kType + "config.listener.v3.Listener"},
               {"name", "redis:6379"},
               {"api_listener", {{"api_listener", proxy()}}}};
  const auto tcp = compiled(only);
  ASSERT_NE(tcp, nullptr);
  EXPECT_EQ(tcp->find_destination("redis:6379")->routes, nullptr);
  ASSERT_NE(tcp->find_destination("redis:6379")->tcp, nullptr);

  json both = only;
  both["api_listener"]["api_listener"] = manager();
  both["default_filter_chain"] = chain(proxy());
  const auto either = compiled(both);
  ASSERT_NE(either, nullptr);
  EXPECT_NE(either->find_destination("redis:6379")->routes, nullptr);
  EXPECT_NE(either->find_destination("redis:6379")->tcp, nullptr);
}

TEST(CompileTcp, OriginalDestinationClusters) {
  json passthrough = cluster("redis");
  passthrough["type"] = "ORIGINAL_DST";
  passthrough["lb_policy"] = "CLUSTER_PROVIDED";
  json whole = bootstrap(listener({chain(proxy())}));
  whole["static_resources"][1] = passthrough;
  const auto outcome = compile_json(whole);
  EXPECT_EQ(outcome.problems, "");
  ASSERT_NE(outcome.snapshot, nullptr);
  EXPECT_TRUE(outcome.snapshot->find_cluster("redis")->original_destination);
}

TEST(CompileTcp, SourcesToConnectFrom) {
  const auto with = [](const json& bind) {
    json whole = bootstrap(listener({chain(proxy())}));
    whole["static_resources"][1]["upstream_bind_config"] = bind;
    return compile_json(whole);
  };
  const auto source = [](const std::string& ip, int port = 0) {
    return json{{"address", ip}, {"port_value", port}};
  };
  const auto both = with({{"source_address", source("127.0.0.6")},
                          {"extra_source_addresses", {{{"address", source("::6")}}}}});
  ASSERT_EQ(both.problems, "");
  const ClusterConfig& redis = *both.snapshot->find_cluster("redis");
  EXPECT_EQ(redis.source4.to_string(), "127.0.0.6:0");
  EXPECT_EQ(redis.source6.to_string(), "[::6]:0");
  const std::string at = "static_resources[1] Cluster \"redis\": upstream_bind_config.";
  EXPECT_EQ(with(json::object()).problems, at + "source_address: is missing\n");
  EXPECT_EQ(with({{"source_address", source("127.0.0.6", 80)}}).problems,
            at + "source_address.port_value: must be 0: every connection needs a port of its own\n");
  EXPECT_EQ(with({{"source_address", source("127.0.0.6")},
                  {"extra_source_addresses", {{{"address", source("127.0.0.7")}}}}}).problems,
            at + "extra_source_addresses[0].address.address: there is one of this family already\n");
}

TEST(CompileTcp, WhoeverAsksForTheOriginalDestinationHasChains) {
  json source = listener({chain(manager())});
  source["transparent"] = true;
  source["listener_filters"] = json::array(
      {{{"name", "x"},
        {"typed_config", {{"@type", kType + kInspector + "original_dst.v3.OriginalDst"}}}}});
  const auto snapshot = compiled(source);
  ASSERT_NE(snapshot, nullptr);
  EXPECT_TRUE(snapshot->listeners[0]->transparent);
  ASSERT_NE(snapshot->listeners[0]->chains, nullptr);
  EXPECT_FALSE(snapshot->listeners[0]->chains->chains[0].http->by_original_destination);
  source["use_original_dst"] = true;
  const auto virtual_one = compiled(source);
  ASSERT_NE(virtual_one, nullptr);
  EXPECT_TRUE(virtual_one->listeners[0]->chains->chains[0].http->by_original_destination);
}

TEST(CompileTcp, RefusesFaultyProxies) {
  const std::string at = "filter_chains[0].filters[0].typed_config";
  EXPECT_EQ(refusal(listener({chain(proxy({{"cluster", "nobody"}}))})),
            at + ".cluster: Cluster \"nobody\" does not exist\n");
  EXPECT_EQ(refusal(listener({chain(proxy(json::object()))})),
            at + ": needs one of cluster, weighted_clusters\n");
  EXPECT_EQ(refusal(listener({chain(proxy({{"cluster", "redis"}, {"idle_timeout", "-1s"}}))})),
            at + ".idle_timeout: must not be negative\n");
  EXPECT_EQ(refusal(listener({chain(proxy({{"cluster", "redis"}, {"max_connect_attempts", 17}}))})),
            at + ".max_connect_attempts: must be from 1 to 16\n");
  EXPECT_EQ(refusal(listener({chain(proxy({{"cluster", "Redis"}, {"on_demand", json::object()}}))})),
            at + ".cluster: \"Redis\" is not <host>:<port>, which on_demand looks up; the host in "
                 "lower case\n");
  EXPECT_EQ(refusal(listener({chain(proxy({{"cluster", "redis"},
                                           {"tunneling_config", json::object()}}))})),
            at + ".tunneling_config: not supported yet\n");
}

TEST(CompileTcp, RefusesWhatCannotBeKnown) {
  const std::string at = "filter_chains[0].filter_chain_match";
  EXPECT_EQ(refusal(listener({chain(proxy(), {{"server_names", {"a"}}})})),
            at + ".server_names: can only be known by the listener filter TlsInspector\n");
  EXPECT_EQ(refusal(listener({chain(proxy(), {{"application_protocols", {"h2c"}}})})),
            at + ".application_protocols: can only be known by the listener filter "
                 "HttpInspector\n");
  json twice = listener({chain(proxy(), {{"destination_port", 1}}),
                         chain(proxy(), {{"destination_port", 1}})});
  EXPECT_EQ(refusal(twice),
            "filter_chains[1].filter_chain_match: is the same as that of another chain\n");
  json wild = listener({chain(proxy(), {{"server_names", {"*"}}})});
  wild["listener_filters"] = inspectors();
  EXPECT_EQ(refusal(wild), at + ".server_names[0]: \"*\" is neither a host name nor \"*.\" and a "
                                "host name\n");
}

}  // namespace
}  // namespace tulle::config
