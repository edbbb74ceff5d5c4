#include "xds/references.hpp"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/http_uri.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/config/trace/v3/zipkin.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "xds/catalog.hpp"
#include "xds/names.hpp"

namespace tulle::xds {

namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Messages packed in messages: a resource has two or three levels. Protobuf limits the depth of one
// message only.
constexpr int kMaxPacked = 16;

std::unique_ptr<Message> parsed(std::string_view url, std::string_view bytes) {
  std::unique_ptr<Message> message = make_message(message_of_url(url));
  if (message == nullptr || bytes.size() > INT32_MAX ||
      !message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return nullptr;
  }
  return message;
}

class Finder {
 public:
  explicit Finder(std::set<ResourceKey>& found) : found_(found) {}

  void walk(const Message& message) {
    if (const auto* any = dynamic_cast<const Any*>(&message)) return walk_packed(*any);
    if (message.GetDescriptor()->file()->package() == "google.protobuf") return;
    look_at(message);
    std::vector<const FieldDescriptor*> fields;
    const auto& reflection = *message.GetReflection();
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      if (!field->is_repeated()) {
        walk(reflection.GetMessage(message, field));
        continue;
      }
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        walk(reflection.GetRepeatedMessage(message, field, i));
      }
    }
  }

 private:
  void walk_packed(const Any& any) {
    if (packed_ == kMaxPacked) return;
    const std::unique_ptr<Message> message = parsed(any.type_url(), any.value());
    if (message == nullptr) return;
    ++packed_;
    walk(*message);
    --packed_;
  }

  void add(ResourceType type, const std::string& name) {
    // The stand-in for a backend that does not exist is nobody's to send.
    if (!name.empty() && name != kInvalidBackendCluster) found_.emplace(type, name);
  }

  template <class Owner>
  static const Owner* as(const Message& message) {
    return message.GetDescriptor() == Owner::descriptor() ? static_cast<const Owner*>(&message)
                                                          : nullptr;
  }

  void look_at(const Message& message) {
    namespace route = envoy::config::route::v3;
    namespace network = envoy::extensions::filters::network;
    namespace tls = envoy::extensions::transport_sockets::tls::v3;
    if (const auto* rds = as<network::http_connection_manager::v3::Rds>(message)) {
      add(ResourceType::route, rds->route_config_name());
    } else if (const auto* action = as<route::RouteAction>(message)) {
      add(ResourceType::cluster, action->cluster());
    } else if (const auto* mirror = as<route::RouteAction::RequestMirrorPolicy>(message)) {
      add(ResourceType::cluster, mirror->cluster());
    } else if (const auto* weight = as<route::WeightedCluster::ClusterWeight>(message)) {
      add(ResourceType::cluster, weight->name());
    } else if (const auto* uri = as<envoy::config::core::v3::HttpUri>(message)) {
      add(ResourceType::cluster, uri->cluster());
    } else if (const auto* zipkin = as<envoy::config::trace::v3::ZipkinConfig>(message)) {
      add(ResourceType::cluster, zipkin->collector_cluster());
    } else if (const auto* proxy = as<network::tcp_proxy::v3::TcpProxy>(message)) {
      // On demand it is the name of a destination.
      if (!proxy->has_on_demand()) add(ResourceType::cluster, proxy->cluster());
    } else if (const auto* share =
                   as<network::tcp_proxy::v3::TcpProxy::WeightedCluster::ClusterWeight>(message)) {
      add(ResourceType::cluster, share->name());
    } else if (const auto* cluster = as<envoy::config::cluster::v3::Cluster>(message)) {
      if (cluster->type() == envoy::config::cluster::v3::Cluster::EDS) {
        const std::string& service = cluster->eds_cluster_config().service_name();
        add(ResourceType::endpoints, service.empty() ? cluster->name() : service);
      }
    } else if (const auto* secret = as<tls::SdsSecretConfig>(message)) {
      add(ResourceType::secret, secret->name());
    }
  }

  std::set<ResourceKey>& found_;
  int packed_ = 0;
};

}  // namespace

// In all five types the name is field 1.
std::optional<std::string> name_of(ResourceType type, std::string_view bytes) {
  const std::unique_ptr<Message> message = parsed(type_url(type), bytes);
  if (message == nullptr) return std::nullopt;
  const FieldDescriptor* field = message->GetDescriptor()->FindFieldByNumber(1);
  return message->GetReflection()->GetString(*message, field);
}

std::set<ResourceKey> references_of(const Resource& resource) {
  std::set<ResourceKey> found;
  if (resource.type == ResourceType::endpoints || resource.type == ResourceType::secret) {
    return found;
  }
  const std::unique_ptr<Message> message = parsed(type_url(resource.type), resource.bytes);
  if (message != nullptr) Finder(found).walk(*message);
  return found;
}

}  // namespace tulle::xds
