#include "sidecar/config/supported_fields.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wrappers.pb.h>

#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/assert.hpp"
#include "sidecar/config/message_walk.hpp"
#include "sidecar/policies/catalog.hpp"
#include "xds/catalog.hpp"

namespace tulle::config {

namespace {

using google::protobuf::BoolValue;
using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Fields that a policy reads are in the policy's own table.
const SupportedFields kSupported[] = {
    // Listeners.
    {"envoy.config.listener.v3.Listener",
     {"name", "address", "filter_chains", "default_filter_chain", "listener_filters",
      "listener_filters_timeout", "continue_on_listener_filters_timeout", "use_original_dst",
      "traffic_direction", "stat_prefix", "api_listener", "transparent"},
     {"metadata"},
     {"bind_to_port", "enable_reuse_port"},
     {"freebind"}},
    {"envoy.config.listener.v3.ListenerFilter", {"name", "typed_config"}},
    {"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
     {},
     {"initial_read_buffer_size"},
     {},
     {"enable_ja3_fingerprinting", "enable_ja4_fingerprinting"}},
    {"envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", {}},
    {"envoy.extensions.filters.listener.original_dst.v3.OriginalDst", {}},
    {"envoy.config.listener.v3.ApiListener", {"api_listener"}},
    {"envoy.config.listener.v3.FilterChain",
     {"filter_chain_match", "filters", "transport_socket", "transport_socket_connect_timeout"},
     {"name", "metadata"}},
    {"envoy.config.listener.v3.FilterChainMatch",
     {"destination_port", "server_names", "transport_protocol", "application_protocols"}},
    {"envoy.config.listener.v3.Filter", {"name", "typed_config"}},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
     {"codec_type", "stat_prefix", "rds", "route_config", "http_filters",
      "common_http_protocol_options", "http_protocol_options", "http2_protocol_options",
      "max_request_headers_kb", "stream_idle_timeout", "request_timeout",
      "request_headers_timeout", "tracing", "generate_request_id", "normalize_path", "merge_slashes",
      "path_with_escaped_slashes_action", "upgrade_configs"}},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
     "UpgradeConfig",
     {"upgrade_type", "enabled"}},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing",
     {"random_sampling", "overall_sampling", "provider"},
     {"client_sampling", "verbose", "max_path_tag_length"},
     {"spawn_upstream_span"}},  // an attempt always has a span of its own
    {"envoy.config.trace.v3.Tracing.Http", {"typed_config"}, {"name"}},
    {"envoy.config.trace.v3.OpenTelemetryConfig", {"service_name", "http_service"}},
    {"envoy.config.trace.v3.ZipkinConfig",
     {"collector_cluster", "collector_endpoint", "collector_endpoint_version", "collector_hostname"},
     {"trace_id_128bit", "shared_span_context", "trace_context_option", "split_spans_for_request"}},
    {"envoy.config.core.v3.HttpService", {"http_uri"}},
    {"envoy.config.core.v3.HttpUri", {"uri", "cluster", "timeout"}},
    {"envoy.extensions.filters.network.http_connection_manager.v3.Rds",
     {"config_source", "route_config_name"}},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
     {"name", "typed_config", "is_optional"}},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
     {"stat_prefix", "cluster", "weighted_clusters", "on_demand", "idle_timeout",
      "max_connect_attempts"}},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster", {"clusters"}},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
     {"name", "weight"}},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.OnDemand", {}},
    {"envoy.extensions.filters.http.on_demand.v3.OnDemand", {}},
    {"envoy.extensions.filters.http.router.v3.Router",
     {},
     {"dynamic_stats", "suppress_envoy_headers"}},  // x-envoy-* is never added
    // Common parts.
    {"envoy.config.core.v3.Address", {"socket_address"}},
    {"envoy.config.core.v3.SocketAddress", {"protocol", "address", "port_value"}},
    {"envoy.config.core.v3.ConfigSource",
     {"ads", "self"},
     {"resource_api_version", "initial_fetch_timeout"}},
    {"envoy.config.core.v3.SelfConfigSource", {}, {"transport_api_version"}},
    {"envoy.config.core.v3.DataSource",
     {"filename", "inline_bytes", "inline_string"},
     {"watched_directory"}},  // every file is watched, however it is replaced
    {"envoy.config.core.v3.WatchedDirectory", {}, {"path"}},
    {"envoy.config.core.v3.TransportSocket", {"name", "typed_config"}},
    {"envoy.config.core.v3.TypedExtensionConfig", {"name", "typed_config"}},
    {"envoy.config.core.v3.Metadata", {"filter_metadata"}, {"typed_filter_metadata"}},
    {"envoy.config.core.v3.Locality", {"region", "zone", "sub_zone"}},
    {"envoy.config.core.v3.HeaderValueOption",
     {"header", "append", "append_action", "keep_empty_value"}},
    {"envoy.config.core.v3.HeaderValue", {"key", "value"}},
    {"envoy.config.core.v3.RuntimeFractionalPercent",
     {"default_value"},
     {"runtime_key"}},  // there is no runtime layer; the default is the value
    {"envoy.type.v3.FractionalPercent", {"numerator", "denominator"}},
    {"envoy.type.v3.Int64Range", {"start", "end"}},
    {"envoy.config.core.v3.HttpProtocolOptions", {"idle_timeout", "max_headers_count"}},
    {"envoy.config.core.v3.Http1ProtocolOptions", {}, {}, {"allow_absolute_url"}},
    {"envoy.config.core.v3.Http2ProtocolOptions",
     {"max_concurrent_streams", "initial_stream_window_size", "initial_connection_window_size"},
     {"allow_connect"}},  // extended CONNECT is announced where an upgrade is allowed
    {"envoy.type.matcher.v3.StringMatcher",
     {"exact", "prefix", "suffix", "safe_regex", "contains", "ignore_case"}},
    {"envoy.type.matcher.v3.RegexMatcher", {"regex"}, {"google_re2"}},
    // Routes.
    {"envoy.config.route.v3.RouteConfiguration",
     {"name", "virtual_hosts", "request_headers_to_add", "request_headers_to_remove",
      "response_headers_to_add", "response_headers_to_remove", "ignore_port_in_host_matching",
      "max_direct_response_body_size_bytes"},
     {"validate_clusters", "metadata"}},  // clusters are always validated
    {"envoy.config.route.v3.VirtualHost",
     {"name", "domains", "routes", "request_headers_to_add", "request_headers_to_remove",
      "response_headers_to_add", "response_headers_to_remove"},
     {"metadata"}},
    {"envoy.config.route.v3.Route",
     {"name", "match", "route", "redirect", "direct_response", "request_headers_to_add",
      "request_headers_to_remove", "response_headers_to_add", "response_headers_to_remove"},
     {"metadata"}},
    {"envoy.config.route.v3.RouteMatch",
     {"prefix", "path", "safe_regex", "path_separated_prefix", "case_sensitive", "headers",
      "query_parameters", "grpc", "runtime_fraction", "connect_matcher"}},
    {"envoy.config.route.v3.RouteMatch.ConnectMatcher", {}},
    {"envoy.config.route.v3.HeaderMatcher",
     {"name", "exact_match", "safe_regex_match", "range_match", "present_match", "prefix_match",
      "suffix_match", "contains_match", "string_match", "invert_match",
      "treat_missing_header_as_empty"}},
    {"envoy.config.route.v3.QueryParameterMatcher", {"name", "string_match", "present_match"}},
    {"envoy.config.route.v3.RouteAction",
     {"cluster", "weighted_clusters", "idle_timeout", "prefix_rewrite", "path_rewrite",
      "host_rewrite_literal", "auto_host_rewrite", "upgrade_configs"},
     {"cluster_not_found_response_code"}},  // a route to no cluster does not compile
    {"envoy.config.route.v3.RouteAction.UpgradeConfig",
     {"upgrade_type", "enabled", "connect_config"}},
    {"envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig", {}},
    {"envoy.config.route.v3.WeightedCluster",
     {"clusters"},
     {"total_weight", "runtime_key_prefix"}},
    {"envoy.config.route.v3.WeightedCluster.ClusterWeight",
     {"name", "weight", "request_headers_to_add", "request_headers_to_remove",
      "response_headers_to_add", "response_headers_to_remove", "host_rewrite_literal"}},
    {"envoy.config.route.v3.RedirectAction",
     {"host_redirect", "path_redirect", "prefix_rewrite", "response_code", "https_redirect",
      "scheme_redirect", "port_redirect", "strip_query"}},
    {"envoy.config.route.v3.DirectResponseAction", {"status", "body"}},
    // Clusters and endpoints.
    {"envoy.config.cluster.v3.Cluster",
     {"name", "type", "eds_cluster_config", "connect_timeout", "lb_policy",
      "load_balancing_policy", "load_assignment", "transport_socket",
      "typed_extension_protocol_options", "http2_protocol_options", "upstream_bind_config"},
     {"metadata", "alt_stat_name"}},
    {"envoy.config.core.v3.BindConfig",
     {"source_address", "extra_source_addresses"},
     {},
     {},
     {"freebind"}},
    {"envoy.config.core.v3.ExtraSourceAddress", {"address"}},
    {"envoy.config.cluster.v3.Cluster.EdsClusterConfig", {"eds_config", "service_name"}},
    {"envoy.config.cluster.v3.LoadBalancingPolicy", {"policies"}},
    {"envoy.config.cluster.v3.LoadBalancingPolicy.Policy", {"typed_extension_config"}},
    {"envoy.config.endpoint.v3.ClusterLoadAssignment", {"cluster_name", "endpoints"}},
    {"envoy.config.endpoint.v3.LocalityLbEndpoints",
     {"locality", "lb_endpoints", "priority"},
     {"load_balancing_weight", "metadata"}},  // locality weights count only when asked for
    {"envoy.config.endpoint.v3.LbEndpoint",
     {"endpoint", "health_status", "metadata", "load_balancing_weight"}},
    {"envoy.config.endpoint.v3.Endpoint", {"address", "hostname"}},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
     {"common_http_protocol_options", "explicit_http_config", "auto_config"}},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
     {"http_protocol_options", "http2_protocol_options"}},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
     {"http_protocol_options", "http2_protocol_options"}},
    {"envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin", {}},
    {"envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest", {}},
    {"tulle.config.v1.PeakEwma", {}},
    // TLS.
    {"envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", {}},
    {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
     {"common_tls_context", "require_client_certificate"},
     {"disable_stateless_session_resumption", "disable_stateful_session_resumption",
      "session_timeout"},  // sessions are never resumed
     {},
     {"require_sni", "full_scan_certs_on_sni_mismatch"}},
    {"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
     {"common_tls_context", "sni"},
     {"max_session_keys"}},
    {"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
     {"tls_params", "tls_certificates", "tls_certificate_sds_secret_configs",
      "validation_context", "validation_context_sds_secret_config",
      "combined_validation_context", "alpn_protocols"}},
    {"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext."
     "CombinedCertificateValidationContext",
     {"default_validation_context", "validation_context_sds_secret_config"}},
    {"envoy.extensions.transport_sockets.tls.v3.TlsParameters",
     {"tls_minimum_protocol_version", "tls_maximum_protocol_version", "cipher_suites"}},
    {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
     {"certificate_chain", "private_key"},
     {"watched_directory"}},
    {"envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
     {"trusted_ca", "match_subject_alt_names", "match_typed_subject_alt_names"},
     {"watched_directory"}},
    {"envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher", {"san_type", "matcher"}},
    {"envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig", {"name", "sds_config"}},
    {"envoy.extensions.transport_sockets.tls.v3.Secret",
     {"name", "tls_certificate", "validation_context"}},
};

enum class Rule : uint8_t { refused, honoured, harmless, only_true, only_false };
using Rules = std::vector<Rule>;  // by FieldDescriptor::index()

// Names are resolved once; a name that the .proto files do not have is our own mistake.
std::unordered_map<const Descriptor*, Rules> resolve() {
  xds::known_messages();
  std::unordered_map<const Descriptor*, Rules> resolved;
  const auto add = [&](const SupportedFields& entry) {
    const Descriptor* type =
        DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(entry.message));
    ASSERT(type != nullptr);
    Rules& rules = resolved[type];
    rules.resize(static_cast<size_t>(type->field_count()), Rule::refused);
    const auto apply = [&](SupportedFields::Names names, Rule rule) {
      for (const std::string_view name : names) {
        const FieldDescriptor* field = type->FindFieldByName(std::string(name));
        ASSERT(field != nullptr);
        rules[static_cast<size_t>(field->index())] = rule;
      }
    };
    apply(entry.honoured, Rule::honoured);
    apply(entry.harmless, Rule::harmless);
    apply(entry.only_true, Rule::only_true);
    apply(entry.only_false, Rule::only_false);
  };
  for (const SupportedFields& entry : kSupported) add(entry);
  for (const policies::PolicyType& policy : policies::catalog()) {
    for (const SupportedFields& entry : policy.fields()) add(entry);
  }
  return resolved;
}

const Rules* rules_of(const Descriptor* type) {
  static const auto& all = *new std::unordered_map<const Descriptor*, Rules>(resolve());
  const auto found = all.find(type);
  return found == all.end() ? nullptr : &found->second;
}

class Refusal : public MessageWalk {
 public:
  using MessageWalk::MessageWalk;

 private:
  bool on_field(const Message& owner, const FieldDescriptor& field) override {
    const Rules* rules = rules_of(owner.GetDescriptor());
    const Rule rule =
        rules == nullptr ? Rule::refused : (*rules)[static_cast<size_t>(field.index())];
    switch (rule) {
      case Rule::refused: here().unsupported(); return false;
      case Rule::harmless: return false;
      case Rule::only_true:
      case Rule::only_false: check_flag(owner, field, rule == Rule::only_true); return false;
      case Rule::honoured: break;
    }
    return !field.is_map();
  }

  void check_flag(const Message& owner, const FieldDescriptor& field, bool only) {
    const Message& wrapper = owner.GetReflection()->GetMessage(owner, &field);
    const auto* set = dynamic_cast<const BoolValue*>(&wrapper);
    ASSERT(set != nullptr);
    if (set->value() != only) {
      here().unsupported(only ? "only true is supported yet" : "only false is supported yet");
    }
  }
};

}  // namespace

void refuse_unsupported(const Message& message, const Place& place) {
  Refusal(place).walk(message);
}

}  // namespace tulle::config
