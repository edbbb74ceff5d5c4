// The steps of compile(), one per concept, each in its own compile_*.cpp.
//
// Every step reports what is wrong at the place it is given and then returns nothing; whether the
// whole has compiled is decided by the list of problems alone. Protobuf types are declared only.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/config/compile_context.hpp"

namespace envoy::config::core::v3 {
class TransportSocket;
}
namespace envoy::config::listener::v3 {
class FilterChainMatch;
}
namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}
namespace envoy::config::route::v3 {
class RouteConfiguration;
class RouteMatch;
}  // namespace envoy::config::route::v3
namespace envoy::type::matcher::v3 {
class StringMatcher;
}
namespace google::protobuf {
class Any;
class Message;
}

namespace tulle::config {

// Resources to nodes. Null: reported.
std::shared_ptr<ListenerConfig> compile_listener(CompileContext& context,
                                                 const xds::Resource& resource);
// A Listener with an api_listener: the routes of what is named "<host>:<port>".
bool is_destination(const xds::Resource& listener);
std::shared_ptr<Destination> compile_destination(CompileContext& context,
                                                 const xds::Resource& resource);
std::shared_ptr<const routing::RouteTable> compile_route_resource(CompileContext& context,
                                                                  const xds::Resource& resource);
std::shared_ptr<ClusterConfig> compile_cluster(CompileContext& context,
                                               const xds::Resource& resource);

// Parts.
struct HttpManager {
  HttpOptions http;                                   // streams may be left open: kStreamsNotGiven
  std::shared_ptr<const routing::RouteTable> routes;  // null: reported
  std::string stat_prefix;
  bool on_demand = false;
  std::shared_ptr<const tracing::Tracing> tracing;    // null: no spans
  bool make_request_id = true;
};
inline constexpr uint32_t kStreamsNotGiven = 0;  // not a value anybody can give
// The protocol that an upgrade_type names, in lower case, kConnectType for CONNECT; empty: reported.
// `seen` has those of the same list.
inline constexpr std::string_view kConnectType = "connect";
std::string upgrade_type(const std::string& written, std::set<std::string>& seen,
                         const Place& place);

// `any` must hold an HttpConnectionManager.
HttpManager compile_http_manager(CompileContext& context, const google::protobuf::Any& any,
                                 const Place& place);

// Null: reported.
std::shared_ptr<const tracing::Tracing> compile_tracing(
    CompileContext& context, const google::protobuf::Message& manager_tracing, const Place& place);

// `any` must hold a TcpProxy. Null: reported.
std::shared_ptr<const TcpProxy> compile_tcp_proxy(CompileContext& context,
                                                  const google::protobuf::Any& any,
                                                  bool by_original_destination,
                                                  const Place& place);

// What a listener finds out about a connection before it chooses a chain.
struct Inspectors {
  bool tls = false;
  bool http = false;
};
ChainMatch compile_chain_match(const envoy::config::listener::v3::FilterChainMatch& source,
                               const Inspectors& inspectors, const Place& place);

std::shared_ptr<const routing::RouteTable> compile_routes(
    CompileContext& context, const envoy::config::route::v3::RouteConfiguration& config,
    const Place& place);

routing::RouteMatch compile_route_match(const envoy::config::route::v3::RouteMatch& match,
                                        const Place& place);

// False: reported. `match` is then not to be used.
bool compile_string_match(const envoy::type::matcher::v3::StringMatcher& matcher,
                          routing::StringMatch& match, const Place& place);

std::vector<EndpointConfig> compile_endpoints(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& assignment, const Place& place);

// What is spoken inside TLS: decides which application protocols are offered by default.
struct Spoken {
  bool http1 = false;
  bool http2 = false;
  bool tcp = false;
};
Spoken spoken_by(HttpOptions::Codec codec);

struct ServerTls {
  std::shared_ptr<const TlsContext> context;  // null: plaintext, or reported
  bool verifies_clients = false;
};
ServerTls compile_server_socket(CompileContext& context,
                                const envoy::config::core::v3::TransportSocket& socket,
                                const Spoken& spoken, const Place& place);

struct ClientTls {
  std::shared_ptr<const TlsContext> context;  // null: plaintext, or reported
  std::string sni;
  std::vector<std::string> tcp_alpn;          // what it offers when it carries opaque TCP
};
ClientTls compile_client_socket(CompileContext& context,
                                const envoy::config::core::v3::TransportSocket& socket,
                                UpstreamProtocol protocol, const Place& place);

}  // namespace tulle::config
