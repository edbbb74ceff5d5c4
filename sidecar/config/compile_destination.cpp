// Listener with an api_listener to Destination: the routes of what is named "<host>:<port>".
#include "envoy/config/listener/v3/api_listener.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/routing/destination_name.hpp"

namespace tulle::config {

namespace {

namespace listener = envoy::config::listener::v3;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// Nobody connects to a destination, so what belongs to a socket is a mistake.
void refuse_socket_parts(const listener::Listener& source, const Place& place) {
  constexpr std::string_view kWhy = "does not go with api_listener, which has no socket";
  if (source.has_address()) place.field("address").invalid(std::string(kWhy));
  if (source.filter_chains_size() > 0) place.field("filter_chains").invalid(std::string(kWhy));
}

std::shared_ptr<const routing::RouteTable> routes_of(CompileContext& context,
                                                     const listener::ApiListener& api,
                                                     const Place& place) {
  const std::string type = packed_type(api.api_listener(), place);
  if (type == HttpConnectionManager::descriptor()->full_name()) {
    return compile_http_manager(context, api.api_listener(), place).routes;
  }
  if (!type.empty()) place.unsupported("api_listener " + type + " is not supported yet");
  return nullptr;
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
  destination->routes = routes_of(context, source->api_listener(),
                                  place.field("api_listener").field("api_listener"));
  return destination;
}

}  // namespace tulle::config
