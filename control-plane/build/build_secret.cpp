// The trust bundle. A workload's own certificate is never pushed: its key does not leave it.
#include "control-plane/build/build_parts.hpp"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "xds/names.hpp"

namespace tulle::build {

std::optional<std::string> build_secret(Scene& scene, std::string_view name) {
  if (name != xds::kTrustBundleSecret) return std::nullopt;
  scene.inputs.push_back(trust_input());
  if (scene.mesh.trust_bundle_pem.empty()) return std::nullopt;
  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  secret.set_name(std::string(name));
  secret.mutable_validation_context()->mutable_trusted_ca()->set_inline_string(
      scene.mesh.trust_bundle_pem);
  return to_bytes(secret);
}

}  // namespace tulle::build
