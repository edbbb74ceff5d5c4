#include "sidecar/config/trust_bundle.hpp"

#include "core/net/tls.hpp"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"

namespace tulle::config {

namespace {

Error unusable(std::string why) {
  return {Code::invalid_config, Origin::upstream, std::move(why)};
}

}  // namespace

Result<std::string> trust_bundle_in(const xds::Resource& resource) {
  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  if (!secret.ParseFromString(resource.bytes)) return unusable("is not a Secret");
  if (!secret.has_validation_context()) return unusable("needs a validation_context");
  const auto& source = secret.validation_context().trusted_ca();
  std::string pem = source.has_inline_bytes() ? source.inline_bytes() : source.inline_string();
  const auto facts = read_certificate(pem, "validation_context.trusted_ca");
  if (!facts) return unusable(facts.error().detail);
  return pem;
}

}  // namespace tulle::config
