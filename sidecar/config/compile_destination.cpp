// Listener with an api_listener to Destination: where requests and connections for what is named
// "<host>:<port>" go. The api_listener says what is declared to be spoken there: HTTP or opaque TCP.
// A default_filter_chain beside HTTP takes what turns out not to be HTTP.
#include "envoy/config/listener/v3/api_listener.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/routing/destination_name.hpp"

namespace tulle::config {

namespace {

namespace listener = envoy::config::listener::v3;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using SourceProxy = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

// Nobody connects to a destination, so what belongs to a socket is a mistake.
void refuse_socket_parts(const listener::Listener& source, const Place& place) {
  constexpr std::string_view kWhy = "does not go with api_listener, which has no socket";
  if (source.has_address()) place.field("address").invalid(std::string(kWhy));
  if (source.filter_chains_size() > 0) place.field("filter_chains").invalid(std::string(kWhy));
}

std::shared_ptr<const TcpProxy> proxy_of(CompileContext& context,
                                         const google::protobuf::Any& any, const Place& place) {
  auto proxy = compile_tcp_proxy(context, any, false, place);
  if (proxy != nullptr && proxy->on_demand) {
    place.field("on_demand").invalid("a destination leads to clusters, not to another destination");
  }
  return proxy;
}

void read_declared(CompileContext& context, const listener::ApiListener& api,
                   Destination& destination, const Place& place) {
  const std::string type = packed_type(api.api_listener(), place);
  if (type == HttpConnectionManager::descriptor()->full_name()) {
    destination.routes = compile_http_manager(context, api.api_listener(), place).routes;
  } else if (type == SourceProxy::descriptor()->full_name()) {
    destination.tcp = proxy_of(context, api.api_listener(), place);
  } else if (!type.empty()) {
    place.unsupported("api_listener " + type + " is not supported yet");
  }
}

void read_otherwise(CompileContext& context, const listener::FilterChain& chain,
                    Destination& destination, const Place& place) {
  const Place filters = place.field("filters");
  if (destination.tcp != nullptr) place.invalid("the api_listener takes every connection already");
  if (chain.has_transport_socket()) place.field("transport_socket").invalid("there is no socket");
  if (chain.filters_size() != 1 || !chain.filters(0).typed_config().Is<SourceProxy>()) {
    return filters.invalid("must hold exactly one filter, the TCP proxy");
  }
  destination.tcp = proxy_of(context, chain.filters(0).typed_config(),
                             filters.at(0).field("typed_config"));
}

}  // namespace

bool is_destination(const xds::Resource& resource) {
  listener::Listener source;
  return source.ParseFromString(resource.bytes) && source.has_api_listener();
}

std::shared_ptr<Destination> compile_destination(CompileContext& context,
                                                 const xds::Resource& resource) {
  const Place place = context.place_of(resource);
  const auto source = parse_resource<listener::Listener>(resource, place);
  if (source == nullptr) return nullptr;
  if (routing::parse_destination(source->name()).port == 0) {
    place.field("name").invalid("\"" + source->name() +
                                "\" is not <host>:<port>, the host in lower case");
  }
  refuse_socket_parts(*source, place);
  auto destination = std::make_shared<Destination>();
  destination->name = source->name();
  read_declared(context, source->api_listener(), *destination,
                place.field("api_listener").field("api_listener"));
  if (source->has_default_filter_chain()) {
    read_otherwise(context, source->default_filter_chain(), *destination,
                   place.field("default_filter_chain"));
  }
  // Nothing was understood, which has been reported.
  if (destination->routes == nullptr && destination->tcp == nullptr) return nullptr;
  return destination;
}

}  // namespace tulle::config
