// Cluster to ClusterConfig: endpoints, protocol and TLS. Limits and the like are policies.
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/policies/catalog.hpp"
#include "tulle/config/v1/load_balancing.pb.h"

namespace tulle::config {

namespace {

namespace cluster = envoy::config::cluster::v3;
namespace balancing = envoy::extensions::load_balancing_policies;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
using Source = cluster::Cluster;

constexpr std::string_view kHttpOptionsKey =
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

template <class Policy>
bool is_policy(const google::protobuf::Any& any, const std::string& type, const Place& place) {
  Policy policy;
  return type == policy.GetTypeName() && unpack(any, policy, place);
}

// The list is in order of preference; the first policy we have is the one.
Balancing preferred_policy(const cluster::LoadBalancingPolicy& list, const Place& place) {
  for (int i = 0; i < list.policies_size(); ++i) {
    const Place at = place.field("policies").at(static_cast<size_t>(i))
                         .field("typed_extension_config").field("typed_config");
    const google::protobuf::Any& any = list.policies(i).typed_extension_config().typed_config();
    const std::string type = packed_type(any, at);
    if (is_policy<::tulle::config::v1::PeakEwma>(any, type, at) ||
        is_policy<balancing::least_request::v3::LeastRequest>(any, type, at)) {
      return Balancing::peak_ewma;
    }
    if (is_policy<balancing::round_robin::v3::RoundRobin>(any, type, at)) {
      return Balancing::round_robin;
    }
  }
  place.unsupported("none of the policies is supported yet");
  return Balancing::round_robin;
}

Balancing compile_balancing(const Source& source, const Place& place) {
  if (source.has_load_balancing_policy()) {
    return preferred_policy(source.load_balancing_policy(), place.field("load_balancing_policy"));
  }
  switch (source.lb_policy()) {
    case Source::ROUND_ROBIN: return Balancing::round_robin;
    case Source::LEAST_REQUEST: return Balancing::peak_ewma;
    case Source::CLUSTER_PROVIDED:
      if (source.type() != Source::ORIGINAL_DST) {
        place.field("lb_policy").invalid("CLUSTER_PROVIDED is for clusters of type ORIGINAL_DST");
      }
      return Balancing::round_robin;
    default: break;
  }
  place.field("lb_policy").unsupported("only ROUND_ROBIN and LEAST_REQUEST are supported yet");
  return Balancing::round_robin;
}

UpstreamProtocol explicit_protocol(const HttpProtocolOptions::ExplicitHttpConfig& config,
                                   const Place& place) {
  switch (config.protocol_config_case()) {
    case HttpProtocolOptions::ExplicitHttpConfig::kHttpProtocolOptions:
      return UpstreamProtocol::http1;
    case HttpProtocolOptions::ExplicitHttpConfig::kHttp2ProtocolOptions:
      return UpstreamProtocol::http2;
    case HttpProtocolOptions::ExplicitHttpConfig::PROTOCOL_CONFIG_NOT_SET:
      place.invalid("needs one of http_protocol_options, http2_protocol_options");
      break;
    default: break;  // refused as unsupported
  }
  return UpstreamProtocol::http1;
}

void compile_http_options(const google::protobuf::Any& any, const Source& source,
                          ClusterConfig& config, const Place& place) {
  HttpProtocolOptions options;
  if (packed_type(any, place) != options.GetTypeName()) {
    place.invalid("must be a " + options.GetTypeName());
    return;
  }
  if (!unpack(any, options, place)) return;
  const auto& common = options.common_http_protocol_options();
  const Place common_place = place.field("common_http_protocol_options");
  if (common.has_idle_timeout()) {
    const auto idle = duration_of(common.idle_timeout(), common_place.field("idle_timeout"));
    if (idle) config.http.idle_timeout = *idle;
  }
  if (common.has_max_headers_count()) {
    uint32_t count = 0;
    read_number(common.max_headers_count(), 1, UINT16_MAX, count,
                common_place.field("max_headers_count"));
    config.http.head_fields = count;
  }
  switch (options.upstream_protocol_options_case()) {
    case HttpProtocolOptions::kExplicitHttpConfig:
      config.protocol =
          explicit_protocol(options.explicit_http_config(), place.field("explicit_http_config"));
      break;
    case HttpProtocolOptions::kAutoConfig:
      config.protocol = UpstreamProtocol::automatic;
      if (!source.has_transport_socket()) {
        place.field("auto_config").invalid("chooses by ALPN and so needs a TLS transport_socket");
      }
      break;
    case HttpProtocolOptions::UPSTREAM_PROTOCOL_OPTIONS_NOT_SET:
      place.invalid("needs one of explicit_http_config, auto_config");
      break;
    default: break;  // refused as unsupported
  }
}

void compile_protocol(const Source& source, ClusterConfig& config, const Place& place) {
  // The older way to say it: presence of the message.
  if (source.has_http2_protocol_options()) config.protocol = UpstreamProtocol::http2;
  for (const auto& [key, any] : source.typed_extension_protocol_options()) {
    const Place at = place.field("typed_extension_protocol_options").key(key);
    if (key == kHttpOptionsKey) {
      compile_http_options(any, source, config, at);
    } else {
      at.unsupported();
    }
  }
}

std::vector<EndpointConfig> eds_endpoints(CompileContext& context, const Source& source,
                                          const Place& place) {
  const std::string& service = source.eds_cluster_config().service_name();
  const std::string& name = service.empty() ? source.name() : service;
  const xds::Resource* resource = context.endpoints(name);
  if (resource != nullptr) {
    if (source.has_load_assignment()) {
      place.field("load_assignment")
          .invalid("excludes the ClusterLoadAssignment \"" + name + "\"");
    }
    const Place at = context.place_of(*resource);
    const auto assignment = parse_resource<ClusterLoadAssignment>(*resource, at);
    if (assignment == nullptr) return {};
    return compile_endpoints(*assignment, at);
  }
  if (source.has_load_assignment()) {
    return compile_endpoints(source.load_assignment(), place.field("load_assignment"));
  }
  place.dangling("ClusterLoadAssignment \"" + name + "\" does not exist");
  return {};
}

std::vector<EndpointConfig> find_endpoints(CompileContext& context, const Source& source,
                                           const Place& place) {
  if (source.has_cluster_type()) return {};  // refused as unsupported
  switch (source.type()) {
    case Source::STATIC:
      return compile_endpoints(source.load_assignment(), place.field("load_assignment"));
    case Source::EDS: return eds_endpoints(context, source, place);
    case Source::ORIGINAL_DST:
      if (source.has_load_assignment()) {
        place.field("load_assignment").invalid("does not go with type ORIGINAL_DST");
      }
      return {};
    default: break;
  }
  place.field("type").unsupported("only STATIC, EDS and ORIGINAL_DST are supported yet");
  return {};
}

// One address for each family at most; the port is the system's to choose.
void read_source(const envoy::config::core::v3::SocketAddress& source, ClusterConfig& config,
                 const Place& place) {
  const auto address = address_of(source, true, place);
  if (!address) return;
  Address& into = address->is_ipv6() ? config.source6 : config.source4;
  if (address->port() != 0) {
    place.field("port_value").unsupported("must be 0: every connection needs a port of its own");
  } else if (into.is_set()) {
    place.field("address").invalid("there is one of this family already");
  } else {
    into = *address;
  }
}

void read_sources(const Source& source, ClusterConfig& config, const Place& place) {
  const auto& bind = source.upstream_bind_config();
  if (!bind.has_source_address()) return place.field("source_address").invalid("is missing");
  read_source(bind.source_address(), config, place.field("source_address"));
  for (int i = 0; i < bind.extra_source_addresses_size(); ++i) {
    read_source(bind.extra_source_addresses(i).address(), config,
                place.field("extra_source_addresses").at(static_cast<size_t>(i)).field("address"));
  }
}

}  // namespace

std::shared_ptr<ClusterConfig> compile_cluster(CompileContext& context,
                                               const xds::Resource& resource) {
  const Place place = context.place_of(resource);
  const auto source = parse_resource<Source>(resource, place);
  if (source == nullptr) return nullptr;
  auto config = std::make_shared<ClusterConfig>();
  config->name = source->name();
  config->endpoints = find_endpoints(context, *source, place);
  if (source->has_connect_timeout()) {
    const Place at = place.field("connect_timeout");
    const auto limit = positive_duration_of(source->connect_timeout(), at);
    if (limit) config->connect_timeout = *limit;
  }
  config->original_destination =
      !source->has_cluster_type() && source->type() == Source::ORIGINAL_DST;
  if (source->has_upstream_bind_config()) {
    read_sources(*source, *config, place.field("upstream_bind_config"));
  }
  config->policies = policies::parse_entries(*source, place);
  config->balancing = compile_balancing(*source, place);
  compile_protocol(*source, *config, place);
  if (source->has_transport_socket()) {
    ClientTls tls = compile_client_socket(context, source->transport_socket(), config->protocol,
                                          place.field("transport_socket"));
    config->tls = std::move(tls.context);
    config->sni = std::move(tls.sni);
    config->tcp_alpn = std::move(tls.tcp_alpn);
  }
  return config;
}

}  // namespace tulle::config
