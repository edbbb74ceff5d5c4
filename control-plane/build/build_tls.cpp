// TLS between sidecars: both sides show the workload's own certificate and verify the other's.
#include "control-plane/build/build_parts.hpp"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/names.hpp"

namespace tulle::build {

namespace {

namespace core = envoy::config::core::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;

constexpr const char* kSocketName = "envoy.transport_sockets.tls";

void set_name(std::string_view name, tls::SdsSecretConfig& secret) {
  secret.set_name(std::string(name));
}

// The mesh's own token first: it tells the mesh's TLS from an application's. A client's list is for
// HTTP; for opaque TCP its sidecar offers the token for that instead.
void set_common(Inside inside, tls::CommonTlsContext& common) {
  common.mutable_tls_params()->set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_3);
  set_name(xds::kOwnCertificateSecret, *common.add_tls_certificate_sds_secret_configs());
  if (inside == Inside::tcp) return common.add_alpn_protocols("tulle-tcp");
  common.add_alpn_protocols("tulle-h2");
  common.add_alpn_protocols("h2");
}

}  // namespace

void build_server_tls(Inside inside, core::TransportSocket& socket) {
  tls::DownstreamTlsContext server;
  server.mutable_require_client_certificate()->set_value(true);
  tls::CommonTlsContext& common = *server.mutable_common_tls_context();
  set_common(inside, common);
  set_name(xds::kTrustBundleSecret, *common.mutable_validation_context_sds_secret_config());
  socket.set_name(kSocketName);
  pack(server, *socket.mutable_typed_config());
}

void build_client_tls(const std::string& server_spiffe_id, core::TransportSocket& socket) {
  tls::UpstreamTlsContext client;
  tls::CommonTlsContext& common = *client.mutable_common_tls_context();
  set_common(Inside::http, common);
  auto& validation = *common.mutable_combined_validation_context();
  tls::SubjectAltNameMatcher& name =
      *validation.mutable_default_validation_context()->add_match_typed_subject_alt_names();
  name.set_san_type(tls::SubjectAltNameMatcher::URI);
  name.mutable_matcher()->set_exact(server_spiffe_id);
  set_name(xds::kTrustBundleSecret, *validation.mutable_validation_context_sds_secret_config());
  socket.set_name(kSocketName);
  pack(client, *socket.mutable_typed_config());
}

}  // namespace tulle::build
