#include "sidecar/source/member_identity.hpp"

#include <utility>

#include "core/base/log.hpp"
#include "sidecar/config/trust_bundle.hpp"

namespace tulle::source {

namespace {

std::string control_plane_id(const std::string& trust_domain) {
  return "spiffe://" + trust_domain + "/ns/tulle-system/sa/control-plane";
}

std::unique_ptr<identity::Credentials> open_credentials(const SourceEnvironment& environment,
                                                        const config::Membership& membership) {
  identity::CredentialsOptions options;
  options.spiffe_id = membership.spiffe_id();
  options.trust_domain = membership.issued_identity->trust_domain;
  options.directory = membership.issued_identity->directory;
  options.join_token_file = membership.issued_identity->join_token_file;
  options.control_plane = membership.control_plane->address;
  options.trust_file = membership.control_plane->trust_bundle;
  return std::make_unique<identity::Credentials>(
      environment.loop, environment.network, std::move(options), environment.stats,
      environment.shard, environment.seed + 1, environment.owner);
}

}  // namespace

MemberIdentity::MemberIdentity(const SourceEnvironment& environment,
                               const config::Membership& membership,
                               std::optional<config::Identity> files)
    : present_(std::move(files)) {
  if (membership.issued_identity) {
    credentials_ = open_credentials(environment, membership);
  } else if (present_) {
    use_files();
  }
}

// The certificate lies in files and the control plane knows it.
void MemberIdentity::use_files() {
  TlsOptions options;
  options.certificate_pem = present_->certificate_pem;
  options.key_pem = present_->key_pem;
  options.trust_pem = present_->trust_pem;
  options.origin = present_->origin;
  options.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact,
                        control_plane_id(present_->trust_domain)}};
  options.alpn = {"h2"};
  auto tls = TlsContext::client(options, "");
  if (!tls) return log::error("no TLS to the control plane: " + tls.error().detail);
  tls_ = std::move(*tls);
}

bool MemberIdentity::advance() {
  if (credentials_ == nullptr || credentials_->revision() == revision_seen_) return false;
  revision_seen_ = credentials_->revision();
  if (credentials_->identity() == nullptr) return false;
  present_ = *credentials_->identity();
  tls_ = credentials_->control_plane_tls();
  return true;
}

Result<void> MemberIdentity::take_trust(const xds::Resource& secret) {
  if (secret.hash == trust_seen_) return {};
  if (credentials_ != nullptr ? credentials_->identity() == nullptr : !present_) return {};
  trust_seen_ = secret.hash;
  Result<std::string> pem = config::trust_bundle_in(secret);
  if (!pem) return pem.error();
  if (credentials_ != nullptr) {
    Result<void> adopted = credentials_->adopt_bundle(*pem);
    advance();
    return adopted;
  }
  present_->trust_pem = std::move(*pem);
  use_files();
  return {};
}

void MemberIdentity::reload(std::optional<config::Identity> files) {
  if (credentials_ != nullptr) return;  // the identity is the one this process began with
  const bool renewed =
      files && (!present_ || present_->certificate_pem != files->certificate_pem);
  present_ = std::move(files);
  trust_seen_ = {};
  if (renewed) use_files();
}

std::string MemberIdentity::state() const {
  return credentials_ != nullptr ? credentials_->state() : "from files";
}

}  // namespace tulle::source
