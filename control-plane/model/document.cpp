#include "control-plane/model/document.hpp"

#include "core/base/assert.hpp"

namespace tulle::model {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::service: return "Service";
    case Kind::workload: return "Workload";
    case Kind::http_route: return "HTTPRoute";
  }
  UNREACHABLE();
}

std::string_view plural_of(Kind kind) {
  switch (kind) {
    case Kind::service: return "services";
    case Kind::workload: return "workloads";
    case Kind::http_route: return "httproutes";
  }
  UNREACHABLE();
}

std::string_view api_version_of(Kind kind) {
  switch (kind) {
    case Kind::service: return "v1";
    case Kind::workload: return "tulle.dev/v1alpha1";
    case Kind::http_route: return "gateway.networking.k8s.io/v1";
  }
  UNREACHABLE();
}

std::optional<Kind> kind_of_plural(std::string_view plural) {
  for (const Kind kind : kKinds) {
    if (plural_of(kind) == plural) return kind;
  }
  return std::nullopt;
}

std::string_view to_string(AppProtocol protocol) {
  switch (protocol) {
    case AppProtocol::unspecified: return "";
    case AppProtocol::http: return "http";
    case AppProtocol::h2c: return "kubernetes.io/h2c";
    case AppProtocol::grpc: return "grpc";
    case AppProtocol::tcp: return "tcp";
    case AppProtocol::tls: return "tls";
    case AppProtocol::redis: return "redis";
    case AppProtocol::mysql: return "mysql";
    case AppProtocol::postgresql: return "postgresql";
    case AppProtocol::mongodb: return "mongodb";
    case AppProtocol::amqp: return "amqp";
    case AppProtocol::kafka: return "kafka";
  }
  UNREACHABLE();
}

std::optional<AppProtocol> app_protocol_of(std::string_view text) {
  if (text == "h2c") return AppProtocol::h2c;
  if (text == "postgres") return AppProtocol::postgresql;
  if (text == "mongo") return AppProtocol::mongodb;
  if (text == "mariadb") return AppProtocol::mysql;
  for (const AppProtocol each : kAppProtocols) {
    if (text == to_string(each)) return each;
  }
  return std::nullopt;
}

std::string to_string(const Key& key) {
  std::string text(name_of(key.kind));
  return text.append(" \"").append(key.namespace_name).append("/").append(key.name).append("\"");
}

}  // namespace tulle::model
