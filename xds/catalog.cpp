#include "xds/catalog.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "tulle/config/v1/load_balancing.pb.h"

namespace tulle::xds {

namespace {

template <class Message>
std::string_view name_of() {
  return Message::descriptor()->full_name();
}

std::vector<std::string_view> collect() {
  namespace ext = envoy::extensions;
  std::vector<std::string_view> names{
      name_of<envoy::config::cluster::v3::Cluster>(),
      name_of<envoy::config::endpoint::v3::ClusterLoadAssignment>(),
      name_of<envoy::config::listener::v3::Listener>(),
      name_of<envoy::config::route::v3::FilterConfig>(),
      name_of<envoy::config::route::v3::RouteConfiguration>(),
      name_of<envoy::config::trace::v3::OpenTelemetryConfig>(),
      name_of<envoy::config::trace::v3::ZipkinConfig>(),
      name_of<ext::filters::http::on_demand::v3::OnDemand>(),
      name_of<ext::filters::http::router::v3::Router>(),
      name_of<ext::filters::listener::http_inspector::v3::HttpInspector>(),
      name_of<ext::filters::listener::original_dst::v3::OriginalDst>(),
      name_of<ext::filters::listener::tls_inspector::v3::TlsInspector>(),
      name_of<ext::filters::network::http_connection_manager::v3::HttpConnectionManager>(),
      name_of<ext::filters::network::tcp_proxy::v3::TcpProxy>(),
      name_of<ext::load_balancing_policies::least_request::v3::LeastRequest>(),
      name_of<ext::load_balancing_policies::round_robin::v3::RoundRobin>(),
      name_of<ext::retry::host::previous_hosts::v3::PreviousHostsPredicate>(),
      name_of<ext::transport_sockets::raw_buffer::v3::RawBuffer>(),
      name_of<ext::transport_sockets::tls::v3::DownstreamTlsContext>(),
      name_of<ext::transport_sockets::tls::v3::Secret>(),
      name_of<ext::transport_sockets::tls::v3::UpstreamTlsContext>(),
      name_of<ext::upstreams::http::v3::HttpProtocolOptions>(),
      name_of<::tulle::config::v1::PeakEwma>(),
  };
  std::ranges::sort(names);
  return names;
}

}  // namespace

const std::vector<std::string_view>& known_messages() {
  static const std::vector<std::string_view> names = collect();
  return names;
}

std::unique_ptr<google::protobuf::Message> make_message(std::string_view full_name) {
  known_messages();  // links them
  const google::protobuf::Descriptor* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
          std::string(full_name));
  if (type == nullptr) return nullptr;
  auto& factory = *google::protobuf::MessageFactory::generated_factory();
  return std::unique_ptr<google::protobuf::Message>(factory.GetPrototype(type)->New());
}

std::string_view message_of_url(std::string_view url) {
  const size_t slash = url.rfind('/');
  return slash == std::string_view::npos ? url : url.substr(slash + 1);
}

}  // namespace tulle::xds
