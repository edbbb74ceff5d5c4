// Listener to ListenerConfig: one filter chain with an HttpConnectionManager.
#include <algorithm>

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;
namespace listener = envoy::config::listener::v3;
namespace network = envoy::extensions::filters::network;
using envoy::extensions::filters::http::router::v3::Router;
using network::http_connection_manager::v3::HttpConnectionManager;
using network::http_connection_manager::v3::HttpFilter;
using network::tcp_proxy::v3::TcpProxy;

constexpr uint32_t kMeshStreams = 1024;  // a sidecar's connection carries all of its callers
constexpr uint32_t kStreamsNotGiven = 0;  // not a value anybody can give
constexpr uint32_t kLargestWindow = 0x7fffffff;
constexpr uint32_t kSmallestWindow = 65535;
constexpr uint32_t kLargestHeaders = 8192;

void read_duration(bool present, const google::protobuf::Duration& value, Duration& into,
                   const Place& place) {
  if (!present) return;
  if (const auto duration = duration_of(value, place)) into = *duration;
}

void read_http2(const core::Http2ProtocolOptions& options, HttpLimits& limits,
                const Place& place) {
  if (options.has_max_concurrent_streams()) {
    read_number(options.max_concurrent_streams(), 1, kLargestWindow, limits.max_concurrent_streams,
                place.field("max_concurrent_streams"));
  }
  if (options.has_initial_stream_window_size()) {
    read_number(options.initial_stream_window_size(), kSmallestWindow, kLargestWindow,
                limits.stream_window, place.field("initial_stream_window_size"));
    limits.stream_window_max = std::max(limits.stream_window_max, limits.stream_window);
  }
  if (options.has_initial_connection_window_size()) {
    read_number(options.initial_connection_window_size(), kSmallestWindow, kLargestWindow,
                limits.connection_window, place.field("initial_connection_window_size"));
  }
}

HttpOptions::Codec codec_of(const HttpConnectionManager& manager, const Place& place) {
  switch (manager.codec_type()) {
    case HttpConnectionManager::AUTO: return HttpOptions::Codec::automatic;
    case HttpConnectionManager::HTTP1: return HttpOptions::Codec::http1;
    case HttpConnectionManager::HTTP2: return HttpOptions::Codec::http2;
    default: break;
  }
  place.field("codec_type").unsupported("only AUTO, HTTP1 and HTTP2 are supported yet");
  return HttpOptions::Codec::automatic;
}

HttpOptions compile_http(const HttpConnectionManager& manager, const Place& place) {
  HttpOptions http;
  http.limits.max_concurrent_streams = kStreamsNotGiven;
  http.codec = codec_of(manager, place);
  const core::HttpProtocolOptions& common = manager.common_http_protocol_options();
  const Place common_place = place.field("common_http_protocol_options");
  read_duration(common.has_idle_timeout(), common.idle_timeout(), http.limits.idle_timeout,
                common_place.field("idle_timeout"));
  if (common.has_max_headers_count()) {
    uint32_t count = 0;
    read_number(common.max_headers_count(), 1, UINT16_MAX, count,
                common_place.field("max_headers_count"));
    http.limits.head_fields = count;
  }
  if (manager.has_max_request_headers_kb()) {
    uint32_t kilobytes = 0;
    read_number(manager.max_request_headers_kb(), 1, kLargestHeaders, kilobytes,
                place.field("max_request_headers_kb"));
    http.limits.head_weight = size_t{kilobytes} * 1024;
  }
  read_http2(manager.http2_protocol_options(), http.limits,
             place.field("http2_protocol_options"));
  read_duration(manager.has_stream_idle_timeout(), manager.stream_idle_timeout(),
                http.stream_idle_timeout, place.field("stream_idle_timeout"));
  read_duration(manager.has_request_timeout(), manager.request_timeout(), http.request_timeout,
                place.field("request_timeout"));
  read_duration(manager.has_request_headers_timeout(), manager.request_headers_timeout(),
                http.limits.head_timeout, place.field("request_headers_timeout"));
  return http;
}

// The router ends the chain and nothing else is implemented. An optional filter is skipped, as its
// author allows; a mandatory one that nobody runs would be a hole.
void check_http_filters(const HttpConnectionManager& manager, const Place& place) {
  Router router;
  bool ended = false;
  for (int i = 0; i < manager.http_filters_size(); ++i) {
    const HttpFilter& filter = manager.http_filters(i);
    const Place at = place.field("http_filters").at(static_cast<size_t>(i));
    if (ended) at.invalid("comes after the router, which ends the list");
    const std::string type = packed_type(filter.typed_config(), at);
    if (type == router.GetTypeName()) {
      unpack(filter.typed_config(), router, at.field("typed_config"));
      ended = true;
    } else if (!type.empty() && !filter.is_optional()) {
      at.unsupported("filter " + type + " is not supported yet");
    }
  }
  if (!ended) place.field("http_filters").invalid("must end with the router");
}

std::shared_ptr<const routing::RouteTable> find_routes(CompileContext& context,
                                                       const HttpConnectionManager& manager,
                                                       const Place& place) {
  switch (manager.route_specifier_case()) {
    case HttpConnectionManager::kRouteConfig:
      return compile_routes(context, manager.route_config(), place.field("route_config"));
    case HttpConnectionManager::kRds: {
      const std::string& name = manager.rds().route_config_name();
      auto routes = context.routes(name);
      if (routes == nullptr && !context.has_routes(name)) {
        place.field("rds").field("route_config_name")
            .dangling("RouteConfiguration \"" + name + "\" does not exist");
      }
      return routes;
    }
    case HttpConnectionManager::ROUTE_SPECIFIER_NOT_SET:
      place.invalid("needs one of route_config, rds");
      return nullptr;
    default: return nullptr;  // refused as unsupported
  }
}

void compile_manager(CompileContext& context, const google::protobuf::Any& any,
                     ListenerConfig& config, const Place& place) {
  HttpConnectionManager manager;
  if (!unpack(any, manager, place)) return;
  config.http = compile_http(manager, place);
  check_http_filters(manager, place);
  config.routes = find_routes(context, manager, place);
  if (config.stat_name.empty()) config.stat_name = manager.stat_prefix();
}

void compile_filters(CompileContext& context, const listener::FilterChain& chain,
                     ListenerConfig& config, const Place& place) {
  const Place filters = place.field("filters");
  if (chain.filters_size() != 1) {
    filters.invalid("must hold exactly one filter, the HTTP connection manager");
    return;
  }
  const Place at = filters.at(0);
  const google::protobuf::Any& any = chain.filters(0).typed_config();
  const std::string type = packed_type(any, at);
  if (type == HttpConnectionManager::descriptor()->full_name()) {
    compile_manager(context, any, config, at.field("typed_config"));
  } else if (type == TcpProxy::descriptor()->full_name()) {
    at.unsupported("opaque TCP is not supported yet");
  } else if (!type.empty()) {
    at.unsupported("filter " + type + " is not supported yet");
  }
}

void compile_chain(CompileContext& context, const listener::FilterChain& chain,
                   ListenerConfig& config, const Place& place) {
  compile_filters(context, chain, config, place);
  bool verifies_clients = false;
  if (chain.has_transport_socket()) {
    const ServerTls tls = compile_server_socket(context, chain.transport_socket(),
                                                config.http.codec, place.field("transport_socket"));
    config.tls = tls.context;
    verifies_clients = tls.verifies_clients;
  }
  if (config.http.limits.max_concurrent_streams == kStreamsNotGiven) {
    config.http.limits.max_concurrent_streams =
        verifies_clients ? kMeshStreams : HttpLimits().max_concurrent_streams;
  }
  if (chain.has_transport_socket_connect_timeout()) {
    const Place at = place.field("transport_socket_connect_timeout");
    const auto limit = positive_duration_of(chain.transport_socket_connect_timeout(), at);
    if (limit) config.tls_handshake_timeout = *limit;
  }
}

void compile_direction(const listener::Listener& source, ListenerConfig& config,
                       const Place& place) {
  if (source.traffic_direction() == core::INBOUND) {
    config.direction = Direction::inbound;
  } else if (source.traffic_direction() == core::OUTBOUND) {
    config.direction = Direction::outbound;
  } else {
    place.field("traffic_direction").invalid("must be INBOUND or OUTBOUND");
  }
}

}  // namespace

std::shared_ptr<ListenerConfig> compile_listener(CompileContext& context,
                                                 const xds::Resource& resource) {
  const Place place = context.place_of(resource);
  const auto source = parse_resource<listener::Listener>(resource, place);
  if (source == nullptr) return nullptr;
  auto config = std::make_shared<ListenerConfig>();
  config->name = source->name();
  config->stat_name = source->stat_prefix();
  compile_direction(*source, *config, place);
  const auto address = address_of(source->address(), true, place.field("address"));
  if (address) config->address = *address;
  if (source->filter_chains_size() == 1) {
    compile_chain(context, source->filter_chains(0), *config, place.field("filter_chains").at(0));
  } else if (source->filter_chains_size() == 0) {
    place.field("filter_chains").invalid("must not be empty");
  } else {
    place.field("filter_chains").unsupported("only one filter chain is supported yet");
  }
  if (config->stat_name.empty()) config->stat_name = config->name;
  return config;
}

}  // namespace tulle::config
