// The steps of build(), one per type of resource, each in its own build_*.cpp.
//
// A step fills `inputs` with all it looked at, also when it finds nothing: what is missing today may
// be there tomorrow. Protobuf types are declared only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/build/build.hpp"
#include "control-plane/build/names.hpp"

namespace google::protobuf {
class Any;
class Duration;
class Message;
}  // namespace google::protobuf
namespace envoy::config::core::v3 {
class Address;
class ConfigSource;
class TransportSocket;
}  // namespace envoy::config::core::v3
namespace envoy::config::route::v3 {
class RetryPolicy;
class Route;
class RouteMatch;
}  // namespace envoy::config::route::v3
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}  // namespace envoy::extensions::filters::network::http_connection_manager::v3

namespace tulle::build {

// What a step works on.
struct Scene {
  const Index& index;
  const Mesh& mesh;
  const Node& node;
  std::vector<Input>& inputs;

  // The port of a Service, or null; looked at either way.
  const model::ServicePort* find_port(const ServicePortName& name, model::DocumentPtr& service);
  // The Service whose own address that is; the name is without a Service where there is none.
  ServicePortName at_cluster_ip(const AddressPortName& name);
  // The same of what is at an address.
  const model::WorkloadPort* find_port(const AddressPortName& name, model::DocumentPtr& workload);
};

// The serialized resource of that name, or nothing.
std::optional<std::string> build_listener(Scene& scene, std::string_view name);
std::optional<std::string> build_captured(const Scene& scene, std::string_view name);  // listeners
std::optional<std::string> build_route(Scene& scene, std::string_view name);
std::optional<std::string> build_cluster(Scene& scene, std::string_view name);
std::optional<std::string> build_endpoints(Scene& scene, std::string_view name);
std::optional<std::string> build_secret(Scene& scene, std::string_view name);

// Parts of listeners and clusters.
enum class Inside : uint8_t { http, tcp };  // what the TLS carries
void build_server_tls(Inside inside, envoy::config::core::v3::TransportSocket& socket);
void build_client_tls(const std::string& server_spiffe_id,
                      envoy::config::core::v3::TransportSocket& socket);

void build_tracing(const Scene& scene,
                   envoy::extensions::filters::network::http_connection_manager::v3::
                       HttpConnectionManager& manager);
std::optional<std::string> build_collector_cluster(const Scene& scene);

// Parts of routes.
// The mesh's defaults where `wanted` (may be null) says nothing.
void build_retry(const model::Retry* wanted, const model::Timeouts& timeouts,
                 envoy::config::route::v3::RetryPolicy& policy);
void build_match(const model::HttpMatch& match, envoy::config::route::v3::RouteMatch& into);
// What one rule does with the requests of one of its matches. `port`: the one they called.
void build_action(Scene& scene, const model::HttpRule& rule, const model::HttpMatch& match,
                  uint16_t port, envoy::config::route::v3::Route& route);
// What happens to requests of a Service that has no HTTPRoute.
void build_default_action(const std::string& cluster, envoy::config::route::v3::Route& route);

// Small values.
std::string to_bytes(const google::protobuf::Message& message);  // maps in order of their keys
void pack(const google::protobuf::Message& message, google::protobuf::Any& into);
void set_duration(Duration value, google::protobuf::Duration& into);
void set_address(const Address& address, envoy::config::core::v3::Address& into);
void use_ads(envoy::config::core::v3::ConfigSource& source);

}  // namespace tulle::build
