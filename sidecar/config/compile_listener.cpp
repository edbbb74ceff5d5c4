// Listener to ListenerConfig: filter chains with an HttpConnectionManager or a TcpProxy each. A
// Listener that has an api_listener instead of an address is a destination: see
// compile_destination.cpp.
#include <algorithm>
#include <utility>

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;
namespace listener = envoy::config::listener::v3;
namespace network = envoy::extensions::filters::network;
namespace inspectors = envoy::extensions::filters::listener;
using network::http_connection_manager::v3::HttpConnectionManager;
using network::tcp_proxy::v3::TcpProxy;

// A sidecar's connection carries all of its callers: their streams, and what they cancel. Each of them
// has a budget of its own at that sidecar; here only what no crowd of them would do is too much.
constexpr uint32_t kMeshStreams = 1024;
constexpr uint32_t kMeshMisbehaviour = 10'000;

// What a chain does, before it is known whether the listener has others.
struct Chain {
  HttpManager manager;                          // routes null: not HTTP, or reported
  std::shared_ptr<const config::TcpProxy> tcp;  // null: not TCP, or reported
  ServerTls tls;
  Duration tls_handshake_timeout = 5s;
};

// What all chains of a listener share.
struct Frame {
  Inspectors looks_for;
  bool by_original_destination = false;
  bool asks_for_original = false;  // chains and clusters may go by it
};

void compile_filters(CompileContext& context, const listener::FilterChain& source,
                     const Frame& frame, Chain& chain, const Place& place) {
  const Place filters = place.field("filters");
  if (source.filters_size() != 1) {
    filters.invalid("must hold exactly one filter, the HTTP connection manager or the TCP proxy");
    return;
  }
  const Place at = filters.at(0);
  const google::protobuf::Any& any = source.filters(0).typed_config();
  const std::string type = packed_type(any, at);
  if (type == HttpConnectionManager::descriptor()->full_name()) {
    chain.manager = compile_http_manager(context, any, at.field("typed_config"));
  } else if (type == TcpProxy::descriptor()->full_name()) {
    chain.tcp = compile_tcp_proxy(context, any, frame.by_original_destination,
                                  at.field("typed_config"));
  } else if (!type.empty()) {
    at.unsupported("filter " + type + " is not supported yet");
  }
}

Chain compile_chain(CompileContext& context, const listener::FilterChain& source,
                    const Frame& frame, const Place& place) {
  Chain chain;
  compile_filters(context, source, frame, chain, place);
  if (source.has_transport_socket()) {
    const Spoken spoken = chain.tcp != nullptr ? Spoken{.tcp = true}
                                               : spoken_by(chain.manager.http.codec);
    chain.tls = compile_server_socket(context, source.transport_socket(), spoken,
                                      place.field("transport_socket"));
  }
  HttpLimits& limits = chain.manager.http.limits;
  if (chain.tls.verifies_clients) {
    limits.misbehaviour_burst = kMeshMisbehaviour;
    limits.misbehaviour_per_second = kMeshMisbehaviour;
  }
  if (limits.max_concurrent_streams == kStreamsNotGiven) {
    limits.max_concurrent_streams =
        chain.tls.verifies_clients ? kMeshStreams : HttpLimits().max_concurrent_streams;
  }
  if (source.has_transport_socket_connect_timeout()) {
    const Place at = place.field("transport_socket_connect_timeout");
    const auto limit = positive_duration_of(source.transport_socket_connect_timeout(), at);
    if (limit) chain.tls_handshake_timeout = *limit;
  }
  return chain;
}

// The chain as the one thing the listener does.
void use_alone(Chain chain, ListenerConfig& config) {
  config.http = std::move(chain.manager.http);
  config.routes = std::move(chain.manager.routes);
  config.on_demand = chain.manager.on_demand;
  config.tracing = std::move(chain.manager.tracing);
  config.make_request_id = chain.manager.make_request_id;
  config.tls = chain.tls.context;
  config.tls_handshake_timeout = chain.tls_handshake_timeout;
  if (config.stat_name.empty()) config.stat_name = std::move(chain.manager.stat_prefix);
}

FilterChain one_of_several(Chain chain, ChainMatch match, std::string name,
                           bool by_original_destination, const ListenerConfig& config) {
  FilterChain made;
  made.name = std::move(name);
  made.match = std::move(match);
  made.tls = chain.tls.context;
  made.tls_handshake_timeout = chain.tls_handshake_timeout;
  made.tcp = std::move(chain.tcp);
  if (made.tcp != nullptr || chain.manager.routes == nullptr) return made;
  auto http = std::make_shared<ListenerConfig>(config);
  http->stat_name = config.name;
  http->by_original_destination = by_original_destination;
  use_alone(std::move(chain), *http);
  made.http = std::move(http);
  return made;
}

Frame compile_listener_filters(const listener::Listener& source, const Place& place) {
  Frame frame;
  inspectors::tls_inspector::v3::TlsInspector tls;
  inspectors::http_inspector::v3::HttpInspector http;
  inspectors::original_dst::v3::OriginalDst original;
  for (int i = 0; i < source.listener_filters_size(); ++i) {
    const Place at = place.field("listener_filters").at(static_cast<size_t>(i));
    const google::protobuf::Any& any = source.listener_filters(i).typed_config();
    const std::string type = packed_type(any, at);
    if (type == tls.GetTypeName()) {
      frame.looks_for.tls = unpack(any, tls, at.field("typed_config"));
    } else if (type == http.GetTypeName()) {
      frame.looks_for.http = unpack(any, http, at.field("typed_config"));
    } else if (type == original.GetTypeName()) {
      frame.asks_for_original = unpack(any, original, at.field("typed_config"));
    } else if (!type.empty()) {
      at.unsupported("listener filter " + type + " is not supported yet");
    }
  }
  frame.by_original_destination = source.use_original_dst().value();
  return frame;
}

bool is_plain_http(const listener::Listener& source, const Frame& frame) {
  if (source.filter_chains_size() != 1 || source.has_default_filter_chain()) return false;
  const listener::FilterChain& chain = source.filter_chains(0);
  if (frame.by_original_destination || frame.asks_for_original) return false;
  if (chain.filters_size() != 1) return false;
  const bool conditions = chain.has_filter_chain_match() &&
                          chain.filter_chain_match().ByteSizeLong() > 0;
  return !conditions && !chain.filters(0).typed_config().Is<TcpProxy>();
}

void compile_chains(CompileContext& context, const listener::Listener& source, const Frame& frame,
                    ListenerConfig& config, const Place& place) {
  auto chains = std::make_shared<FilterChains>();
  chains->inspects_tls = frame.looks_for.tls;
  chains->inspects_http = frame.looks_for.http;
  chains->by_original_destination = frame.by_original_destination;
  chains->goes_on_when_silent = source.continue_on_listener_filters_timeout();
  if (source.has_listener_filters_timeout()) {
    const auto limit = positive_duration_of(source.listener_filters_timeout(),
                                            place.field("listener_filters_timeout"));
    if (limit) chains->inspection_timeout = *limit;
  }
  const Place all = place.field("filter_chains");
  if (static_cast<size_t>(source.filter_chains_size()) > FilterChains::kMost) {
    all.invalid("at most " + std::to_string(FilterChains::kMost) + " are possible");
    return;
  }
  for (int i = 0; i < source.filter_chains_size(); ++i) {
    const Place at = all.at(static_cast<size_t>(i));
    const listener::FilterChain& chain = source.filter_chains(i);
    ChainMatch match = compile_chain_match(chain.filter_chain_match(), frame.looks_for,
                                           at.field("filter_chain_match"));
    const auto same = std::ranges::find(chains->chains, match, &FilterChain::match);
    if (same != chains->chains.end()) {
      at.field("filter_chain_match").invalid("is the same as that of another chain");
    }
    const std::string name = chain.name().empty() ? std::to_string(i) : chain.name();
    chains->chains.push_back(one_of_several(compile_chain(context, chain, frame, at),
                                            std::move(match), name,
                                            frame.by_original_destination, config));
  }
  if (source.has_default_filter_chain()) {
    const Place at = place.field("default_filter_chain");
    const listener::FilterChain& chain = source.default_filter_chain();
    if (chain.filter_chain_match().ByteSizeLong() > 0) {
      at.field("filter_chain_match").invalid("the default chain has no conditions");
    }
    chains->fallback = one_of_several(compile_chain(context, chain, frame, at), {},
                                      chain.name().empty() ? "default" : chain.name(),
                                      frame.by_original_destination, config);
  }
  config.routes = std::make_shared<const routing::RouteTable>(
      config.name, std::vector<routing::VirtualHost>(), false);
  config.chains = std::move(chains);
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

// A chain that was reported does neither; such a listener is never used.
bool is_whole(const FilterChains& chains) {
  const auto does_something = [](const FilterChain& chain) {
    return chain.http != nullptr || chain.tcp != nullptr;
  };
  return std::ranges::all_of(chains.chains, does_something) &&
         (!chains.fallback || does_something(*chains.fallback));
}

}  // namespace

Spoken spoken_by(HttpOptions::Codec codec) {
  return {.http1 = codec != HttpOptions::Codec::http2, .http2 = codec != HttpOptions::Codec::http1};
}

std::shared_ptr<ListenerConfig> compile_listener(CompileContext& context,
                                                 const xds::Resource& resource) {
  const Place place = context.place_of(resource);
  const auto source = parse_resource<listener::Listener>(resource, place);
  if (source == nullptr) return nullptr;
  auto config = std::make_shared<ListenerConfig>();
  config->name = source->name();
  config->stat_name = source->stat_prefix();
  config->transparent = source->transparent().value();
  compile_direction(*source, *config, place);
  const auto address = address_of(source->address(), true, place.field("address"));
  if (address) config->address = *address;
  if (const std::string* why = context.unusable(config->name)) place.field("address").invalid(*why);
  const Frame frame = compile_listener_filters(*source, place);
  if (source->filter_chains_size() == 0 && !source->has_default_filter_chain()) {
    place.field("filter_chains").invalid("must not be empty");
  } else if (is_plain_http(*source, frame)) {
    use_alone(compile_chain(context, source->filter_chains(0), frame,
                            place.field("filter_chains").at(0)),
              *config);
  } else {
    compile_chains(context, *source, frame, *config, place);
    if (config->chains != nullptr && !is_whole(*config->chains)) return nullptr;
  }
  if (config->stat_name.empty()) config->stat_name = config->name;
  return config;
}

}  // namespace tulle::config
