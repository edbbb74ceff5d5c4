#include "tests/sim/resources.hpp"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "sidecar/config/resource_json.hpp"
#include "tests/sim/application.hpp"
#include "tests/support/certificates.hpp"

namespace tulle::sim {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kType = "type.googleapis.com/envoy.";
std::string type(std::string_view name) {
  return std::string(kType).append(name);
}

std::string spiffe_of(Side side) {
  return std::string("spiffe://example.org/ns/default/sa/") + (side == Side::a ? "web" : "orders");
}

// Ed25519: with ECDSA the sizes of messages, and so the whole run, would vary from run to run.
const testing::TestCa& authority() {
  static const testing::TestCa ca("Simulated CA", testing::KeyType::ed25519);
  return ca;
}

const testing::IssuedCertificate& certificate_of(Side side, uint64_t number) {
  static std::map<std::pair<Side, uint64_t>, testing::IssuedCertificate> issued;
  const auto found = issued.find({side, number});
  if (found != issued.end()) return found->second;
  return issued[{side, number}] = authority().issue_spiffe(spiffe_of(side));
}

Json socket_address(const Address& at) {
  return {{"socket_address", {{"address", at.ip()}, {"port_value", at.port()}}}};
}

// What the mesh does by default: everywhere for callers, and at the application's side only for a
// kept connection that was closed under the request.
Json retries(Side side) {
  if (side == Side::b) return {{"retry_on", "reset-before-request"}, {"num_retries", 1}};
  return {{"retry_on", "connect-failure,refused-stream,reset-before-request,reset"},
          {"num_retries", 2}};
}

// Long enough for every honest request; a black hole must not hold one for ever.
Json route(Side side, const Plan& plan, std::string_view prefix) {
  Json action = {{"cluster", cluster_of(side)}, {"timeout", plan.black_holes ? "20s" : "120s"}};
  if (plan.resilient) action["retry_policy"] = retries(side);
  return {{"match", {{"prefix", prefix}}}, {"route", action}};
}

Json virtual_host(Side side, const Plan& plan, const Setup& setup) {
  Json routes = Json::array();
  if (setup.second_route) {
    Json marked = route(side, plan, "/requests/");
    marked["request_headers_to_add"] = {{{"header", {{"key", "sim-route"}, {"value", "second"}}}}};
    routes.push_back(marked);
  }
  routes.push_back(route(side, plan, "/"));
  return {{"name", "orders"}, {"domains", {side == Side::a ? "orders" : "*"}}, {"routes", routes}};
}

Json connection_manager(Side side, const Plan& plan, const Setup& setup) {
  const Json router = {
      {"name", "envoy.filters.http.router"},
      {"typed_config", {{"@type", type("extensions.filters.http.router.v3.Router")}}}};
  const Json routes = {{"name", "routes"}, {"virtual_hosts", {virtual_host(side, plan, setup)}}};
  return {{"name", "envoy.filters.network.http_connection_manager"},
          {"typed_config",
           {{"@type", type("extensions.filters.network.http_connection_manager.v3."
                           "HttpConnectionManager")},
            {"stat_prefix", side == Side::a ? "outbound" : "inbound"},
            {"http_filters", {router}},
            {"route_config", routes}}}};
}

Json own_certificate() {
  return {{{"name", "default"}}};
}

Json server_socket() {
  const Json common = {{"tls_certificate_sds_secret_configs", own_certificate()},
                       {"validation_context_sds_secret_config", {{"name", "ROOTCA"}}}};
  return {{"name", "envoy.transport_sockets.tls"},
          {"typed_config",
           {{"@type", type("extensions.transport_sockets.tls.v3.DownstreamTlsContext")},
            {"require_client_certificate", true},
            {"common_tls_context", common}}}};
}

Json client_socket() {
  const Json san = {{"san_type", "URI"}, {"matcher", {{"exact", spiffe_of(Side::b)}}}};
  const Json validation = {
      {"default_validation_context", {{"match_typed_subject_alt_names", {san}}}},
      {"validation_context_sds_secret_config", {{"name", "ROOTCA"}}}};
  const Json common = {{"tls_certificate_sds_secret_configs", own_certificate()},
                       {"combined_validation_context", validation}};
  return {{"name", "envoy.transport_sockets.tls"},
          {"typed_config",
           {{"@type", type("extensions.transport_sockets.tls.v3.UpstreamTlsContext")},
            {"sni", "orders.default"},
            {"common_tls_context", common}}}};
}

Json listener(Side side, const Plan& plan, const Setup& setup) {
  Json chain = {{"filters", {connection_manager(side, plan, setup)}}};
  if (side == Side::b) chain["transport_socket"] = server_socket();
  return {{"@type", type("config.listener.v3.Listener")},
          {"name", side == Side::a ? "outbound" : "inbound"},
          {"traffic_direction", side == Side::a ? "OUTBOUND" : "INBOUND"},
          {"address", socket_address(listener_of(side))},
          {"filter_chains", {chain}}};
}

Json endpoints(Side side, const Plan& plan, const Setup& setup) {
  Json list = Json::array();
  if (side == Side::a) {
    list.push_back({{"endpoint", {{"address", socket_address(listener_of(Side::b))}}}});
    return list;
  }
  for (uint32_t i = 0; i < plan.apps; ++i) {
    if (!setup.apps[i]) continue;
    list.push_back({{"endpoint", {{"address", socket_address(Application::address_of(i))}}}});
  }
  return list;
}

Json protocol_options(bool http2) {
  const std::string name = "extensions.upstreams.http.v3.HttpProtocolOptions";
  const char* protocol = http2 ? "http2_protocol_options" : "http_protocol_options";
  return {{"envoy." + name,
           {{"@type", type(name)}, {"explicit_http_config", {{protocol, Json::object()}}}}}};
}

Json cluster(Side side, const Plan& plan, const Setup& setup) {
  const bool http2 = side == Side::a ? plan.mesh_is_h2 : plan.app_is_h2;
  Json out = {{"@type", type("config.cluster.v3.Cluster")},
              {"name", cluster_of(side)},
              {"type", "STATIC"},
              {"connect_timeout", "2s"},
              {"lb_policy", plan.round_robin ? "ROUND_ROBIN" : "LEAST_REQUEST"},
              {"load_assignment",
               {{"cluster_name", cluster_of(side)},
                {"endpoints", {{{"lb_endpoints", endpoints(side, plan, setup)}}}}}},
              {"typed_extension_protocol_options", protocol_options(http2)}};
  if (side == Side::a) out["transport_socket"] = client_socket();
  if (plan.resilient) {
    out["outlier_detection"] = {{"consecutive_gateway_failure", 5},
                                {"base_ejection_time", "1s"},
                                {"max_ejection_time", "60s"},
                                {"max_ejection_percent", 50}};
  }
  return out;
}

config::Materials materials_of(Side side, const Setup& setup) {
  const testing::IssuedCertificate& own = certificate_of(side, setup.certificates);
  config::Materials materials;
  materials.identity = config::Identity{.certificate_pem = own.certificate_pem,
                                        .key_pem = own.key_pem,
                                        .trust_pem = authority().pem(),
                                        .trust_domain = "example.org",
                                        .origin = "simulated"};
  return materials;
}

}  // namespace

std::string_view ip_of(Side side) {
  return side == Side::a ? "10.0.0.1" : "10.0.0.2";
}
Address listener_of(Side side) {
  return *Address::parse(ip_of(side), side == Side::a ? 15001 : 15006);
}
std::string cluster_of(Side side) {
  return side == Side::a ? "orders" : "application";
}

std::shared_ptr<const config::Snapshot> compile_setup(Side side, const Plan& plan,
                                                      const Setup& setup,
                                                      const config::Snapshot* previous) {
  config::Problems problems;
  xds::ResourceSet resources;
  for (const Json& json : {listener(side, plan, setup), cluster(side, plan, setup)}) {
    auto resource = config::resource_from_json(json.dump(), "simulation", problems);
    if (resource) resources.put(std::move(*resource));
  }
  config::Compiled compiled = config::compile(resources, materials_of(side, setup), previous);
  problems.insert(problems.end(), compiled.problems.begin(), compiled.problems.end());
  EXPECT_TRUE(problems.empty()) << config::to_text(problems);
  return std::move(compiled.snapshot);
}

}  // namespace tulle::sim
