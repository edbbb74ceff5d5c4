// HttpConnectionManager: what a listener speaks, its HTTP filters, and where its routes come from.
#include <algorithm>
#include <set>

#include "core/base/ascii.hpp"
#include "core/http/websocket.hpp"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;
namespace network = envoy::extensions::filters::network;
using envoy::extensions::filters::http::on_demand::v3::OnDemand;
using envoy::extensions::filters::http::router::v3::Router;
using network::http_connection_manager::v3::HttpConnectionManager;
using network::http_connection_manager::v3::HttpFilter;

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

// Paths are always brought into canonical form, so that a rule cannot be walked around; what Envoy
// leaves open beyond that stays a choice.
PathRules compile_paths(const HttpConnectionManager& manager, const Place& place) {
  if (manager.has_normalize_path() && !manager.normalize_path().value()) {
    place.field("normalize_path").unsupported("paths are always normalised here; leave it out");
  }
  PathRules rules;
  rules.merge_slashes = manager.merge_slashes();
  switch (manager.path_with_escaped_slashes_action()) {
    case HttpConnectionManager::IMPLEMENTATION_SPECIFIC_DEFAULT:
    case HttpConnectionManager::KEEP_UNCHANGED: break;
    case HttpConnectionManager::REJECT_REQUEST: rules.refuse_escaped_slashes = true; break;
    default:
      place.field("path_with_escaped_slashes_action")
          .unsupported("only KEEP_UNCHANGED and REJECT_REQUEST are supported");
  }
  return rules;
}

HttpOptions compile_http(const HttpConnectionManager& manager, const Place& place) {
  HttpOptions http;
  http.limits.max_concurrent_streams = kStreamsNotGiven;
  http.codec = codec_of(manager, place);
  http.paths = compile_paths(manager, place);
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
  // A peer that takes nothing of what it is owed for so long is as idle as one that says nothing.
  if (http.stream_idle_timeout > Duration{0}) {
    http.limits.stream_stall = http.stream_idle_timeout;
    http.limits.write_stall = std::min(http.limits.write_stall, http.stream_idle_timeout);
  }
  read_duration(manager.has_request_timeout(), manager.request_timeout(), http.request_timeout,
                place.field("request_timeout"));
  read_duration(manager.has_request_headers_timeout(), manager.request_headers_timeout(),
                http.limits.head_timeout, place.field("request_headers_timeout"));
  return http;
}

// The router ends the chain. An optional filter that nobody runs is skipped, as its author allows; a
// mandatory one would be a hole.
void compile_http_filters(const HttpConnectionManager& manager, HttpManager& compiled,
                          const Place& place) {
  Router router;
  OnDemand on_demand;
  bool ended = false;
  for (int i = 0; i < manager.http_filters_size(); ++i) {
    const HttpFilter& filter = manager.http_filters(i);
    const Place at = place.field("http_filters").at(static_cast<size_t>(i));
    if (ended) at.invalid("comes after the router, which ends the list");
    const std::string type = packed_type(filter.typed_config(), at);
    if (type == router.GetTypeName()) {
      unpack(filter.typed_config(), router, at.field("typed_config"));
      ended = true;
    } else if (type == on_demand.GetTypeName()) {
      unpack(filter.typed_config(), on_demand, at.field("typed_config"));
      compiled.on_demand = true;
    } else if (!type.empty() && !filter.is_optional()) {
      at.unsupported("filter " + type + " is not supported yet");
    }
  }
  if (!ended) place.field("http_filters").invalid("must end with the router");
}

void compile_upgrades(const HttpConnectionManager& manager, HttpOptions& http, const Place& place) {
  std::set<std::string> seen;
  for (int i = 0; i < manager.upgrade_configs_size(); ++i) {
    const HttpConnectionManager::UpgradeConfig& entry = manager.upgrade_configs(i);
    const Place at = place.field("upgrade_configs").at(static_cast<size_t>(i));
    const std::string type = upgrade_type(entry.upgrade_type(), seen, at);
    const bool enabled = !entry.has_enabled() || entry.enabled().value();
    if (!enabled || type.empty()) continue;
    if (type == kConnectType) {
      http.connect = true;
    } else {
      http.upgrades.push_back(type);
    }
  }
}

// The codec passes on what the listener or any of its routes allows; each route decides for itself.
void gather_upgrades(const routing::RouteTable* routes, HttpOptions& http) {
  std::set<std::string> all(http.upgrades.begin(), http.upgrades.end());
  if (routes != nullptr) {
    for (const routing::VirtualHost& host : routes->virtual_hosts()) {
      for (const routing::Route& route : host.routes) {
        const auto* forward = std::get_if<routing::Forward>(&route.action);
        if (forward == nullptr) continue;
        for (const routing::UpgradeRule& rule : forward->upgrades) {
          if (rule.allowed) all.insert(rule.protocol);
        }
      }
    }
  }
  http.limits.upgrades =
      std::make_shared<const std::vector<std::string>>(all.begin(), all.end());
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

}  // namespace

std::string upgrade_type(const std::string& written, std::set<std::string>& seen,
                         const Place& place) {
  const std::string type = lower_case(written);
  const Place at = place.field("upgrade_type");
  if (type.empty()) {
    at.invalid("must not be empty");
  } else if (!is_upgrade_protocol(type)) {
    at.invalid("\"" + written + "\" is no protocol that can be switched to; HTTP/2 needs no upgrade");
  } else if (!seen.insert(type).second) {
    at.invalid("\"" + written + "\" is given twice");
  } else {
    return type;
  }
  return {};
}

HttpManager compile_http_manager(CompileContext& context, const google::protobuf::Any& any,
                                 const Place& place) {
  HttpManager compiled;
  HttpConnectionManager manager;
  if (!unpack(any, manager, place)) return compiled;
  compiled.http = compile_http(manager, place);
  compile_http_filters(manager, compiled, place);
  compiled.routes = find_routes(context, manager, place);
  compile_upgrades(manager, compiled.http, place);
  gather_upgrades(compiled.routes.get(), compiled.http);
  compiled.stat_prefix = manager.stat_prefix();
  if (manager.has_tracing()) {
    compiled.tracing = compile_tracing(context, manager.tracing(), place.field("tracing"));
  }
  if (manager.has_generate_request_id()) {
    compiled.make_request_id = manager.generate_request_id().value();
  }
  return compiled;
}

}  // namespace tulle::config
