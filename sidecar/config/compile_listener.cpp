// Listener to ListenerConfig: one filter chain with an HttpConnectionManager. A Listener that has an
// api_listener instead of an address is a destination: see compile_destination.cpp.
#include <utility>

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;
namespace listener = envoy::config::listener::v3;
namespace network = envoy::extensions::filters::network;
using network::http_connection_manager::v3::HttpConnectionManager;
using network::tcp_proxy::v3::TcpProxy;

// A sidecar's connection carries all of its callers: their streams, and what they cancel. Each of them
// has a budget of its own at that sidecar; here only what no crowd of them would do is too much.
constexpr uint32_t kMeshStreams = 1024;
constexpr uint32_t kMeshMisbehaviour = 10'000;

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
    HttpManager manager = compile_http_manager(context, any, at.field("typed_config"));
    config.http = std::move(manager.http);
    config.routes = std::move(manager.routes);
    config.on_demand = manager.on_demand;
    config.tracing = std::move(manager.tracing);
    config.make_request_id = manager.make_request_id;
    if (config.stat_name.empty()) config.stat_name = std::move(manager.stat_prefix);
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
  if (verifies_clients) {
    config.http.limits.misbehaviour_burst = kMeshMisbehaviour;
    config.http.limits.misbehaviour_per_second = kMeshMisbehaviour;
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
  if (const std::string* why = context.unusable(config->name)) place.field("address").invalid(*why);
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
