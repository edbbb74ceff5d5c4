#include "sidecar/config/compile_secrets.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::type::matcher::v3::StringMatcher;

// The workload's own certificate and trust bundle, whatever issues them.
constexpr std::string_view kOwnCertificate = "default";
constexpr std::string_view kOwnTrust = "ROOTCA";

const Identity* own_identity(CompileContext& context, const std::string& name, TlsDraft& draft,
                             const Place& place) {
  const Identity* identity = context.identity();
  if (identity == nullptr) {
    draft.broken = true;
    if (context.materials_complete()) {
      place.dangling("secret \"" + name + "\" is the workload's own; it needs \"identity\"");
    }
  }
  return identity;
}

// A Secret resource, parsed. Its own problems are reported at the resource.
std::unique_ptr<tls::Secret> find_secret(CompileContext& context, const std::string& name,
                                         TlsDraft& draft, const Place& place) {
  const xds::Resource* resource = context.secret(name);
  if (resource == nullptr) {
    place.dangling("secret \"" + name + "\" does not exist");
    draft.broken = true;
    return nullptr;
  }
  auto secret = parse_resource<tls::Secret>(*resource, context.place_of(*resource));
  if (secret == nullptr) draft.broken = true;
  return secret;
}

void use_certificate(CompileContext& context, const tls::TlsCertificate& certificate,
                     TlsDraft& draft, const Place& place) {
  const auto chain = content_of(context, certificate.certificate_chain(),
                                place.field("certificate_chain"));
  const auto key = content_of(context, certificate.private_key(), place.field("private_key"));
  if (!chain || !key) {
    draft.broken = true;
    return;
  }
  draft.options.certificate_pem = *chain;
  draft.options.key_pem = *key;
}

std::optional<SanMatcher::Kind> san_kind(const StringMatcher& matcher, std::string& value,
                                         const Place& place) {
  if (matcher.ignore_case()) {
    place.field("ignore_case").unsupported();
    return std::nullopt;
  }
  std::optional<SanMatcher::Kind> kind;
  switch (matcher.match_pattern_case()) {
    case StringMatcher::kExact:
      kind = SanMatcher::Kind::exact;
      value = matcher.exact();
      break;
    case StringMatcher::kPrefix:
      kind = SanMatcher::Kind::prefix;
      value = matcher.prefix();
      break;
    case StringMatcher::kSuffix:
      kind = SanMatcher::Kind::suffix;
      value = matcher.suffix();
      break;
    case StringMatcher::MATCH_PATTERN_NOT_SET:
      place.invalid("needs one of exact, prefix, suffix");
      return std::nullopt;
    default:
      place.unsupported("only exact, prefix and suffix are supported yet");
      return std::nullopt;
  }
  if (value.empty()) {
    place.invalid("must not be empty");
    return std::nullopt;
  }
  return kind;
}

// The typed list overrides the older one, whose entries match any kind of name.
void read_peer_names(const tls::CertificateValidationContext& validation, TlsDraft& draft,
                     const Place& place) {
  const size_t before = place.problem_count();
  std::string value;
  for (int i = 0; i < validation.match_typed_subject_alt_names_size(); ++i) {
    const tls::SubjectAltNameMatcher& entry = validation.match_typed_subject_alt_names(i);
    const Place at = place.field("match_typed_subject_alt_names").at(static_cast<size_t>(i));
    const auto kind = san_kind(entry.matcher(), value, at.field("matcher"));
    if (entry.san_type() != tls::SubjectAltNameMatcher::URI &&
        entry.san_type() != tls::SubjectAltNameMatcher::DNS) {
      at.field("san_type").unsupported("only URI and DNS are supported yet");
    } else if (kind) {
      const bool uri = entry.san_type() == tls::SubjectAltNameMatcher::URI;
      draft.options.peer_sans.push_back(
          {uri ? SanMatcher::Type::uri : SanMatcher::Type::dns, *kind, value});
    }
  }
  if (validation.match_typed_subject_alt_names_size() == 0) {
    for (int i = 0; i < validation.match_subject_alt_names_size(); ++i) {
      const Place at = place.field("match_subject_alt_names").at(static_cast<size_t>(i));
      const auto kind = san_kind(validation.match_subject_alt_names(i), value, at);
      if (!kind) continue;
      draft.options.peer_sans.push_back({SanMatcher::Type::uri, *kind, value});
      if (value.find("://") == std::string::npos) {
        draft.options.peer_sans.push_back({SanMatcher::Type::dns, *kind, value});
      }
    }
  }
  if (place.problem_count() > before) draft.broken = true;
}

void use_validation(CompileContext& context, const tls::CertificateValidationContext& validation,
                    TlsDraft& draft, const Place& place) {
  draft.has_validation = true;
  if (validation.has_trusted_ca()) {
    const auto trust = content_of(context, validation.trusted_ca(), place.field("trusted_ca"));
    if (trust) {
      draft.options.trust_pem = *trust;
    } else {
      draft.broken = true;
    }
  }
  read_peer_names(validation, draft, place);
}

void use_validation_secret(CompileContext& context, const std::string& name, TlsDraft& draft,
                           const Place& place) {
  draft.has_validation = true;
  if (name == kOwnTrust) {
    const Identity* identity = own_identity(context, name, draft, place);
    if (identity == nullptr) return;
    draft.options.trust_pem = identity->trust_pem;
    draft.trust_domain = identity->trust_domain;
  } else if (const auto secret = find_secret(context, name, draft, place)) {
    use_validation(context, secret->validation_context(), draft,
                   context.place_of(*context.secret(name)).field("validation_context"));
  }
}

}  // namespace

void read_certificate(CompileContext& context, const tls::CommonTlsContext& common, TlsDraft& draft,
                      const Place& place) {
  const int count =
      common.tls_certificates_size() + common.tls_certificate_sds_secret_configs_size();
  draft.has_certificate = count > 0;
  if (count > 1) {
    place.unsupported("only one certificate is supported yet");
    draft.broken = true;
  } else if (common.tls_certificates_size() == 1) {
    use_certificate(context, common.tls_certificates(0), draft,
                    place.field("tls_certificates").at(0));
  } else if (count == 1) {
    const std::string& name = common.tls_certificate_sds_secret_configs(0).name();
    const Place at = place.field("tls_certificate_sds_secret_configs").at(0).field("name");
    if (name == kOwnCertificate) {
      const Identity* identity = own_identity(context, name, draft, at);
      if (identity == nullptr) return;
      draft.options.certificate_pem = identity->certificate_pem;
      draft.options.key_pem = identity->key_pem;
      draft.options.origin = identity->origin;
    } else if (const auto secret = find_secret(context, name, draft, at)) {
      const Place inside = context.place_of(*context.secret(name)).field("tls_certificate");
      use_certificate(context, secret->tls_certificate(), draft, inside);
    }
  }
}

void read_validation(CompileContext& context, const tls::CommonTlsContext& common, TlsDraft& draft,
                     const Place& place) {
  switch (common.validation_context_type_case()) {
    case tls::CommonTlsContext::kValidationContext:
      use_validation(context, common.validation_context(), draft,
                     place.field("validation_context"));
      break;
    case tls::CommonTlsContext::kValidationContextSdsSecretConfig:
      use_validation_secret(context, common.validation_context_sds_secret_config().name(), draft,
                            place.field("validation_context_sds_secret_config").field("name"));
      break;
    case tls::CommonTlsContext::kCombinedValidationContext: {
      // What comes from the secret wins, lists are joined: the secret is applied last.
      const auto& both = common.combined_validation_context();
      const Place at = place.field("combined_validation_context");
      use_validation(context, both.default_validation_context(), draft,
                     at.field("default_validation_context"));
      use_validation_secret(context, both.validation_context_sds_secret_config().name(), draft,
                            at.field("validation_context_sds_secret_config").field("name"));
      break;
    }
    default:
      return;
  }
  if (!draft.broken && draft.options.trust_pem.empty()) {
    place.invalid("verification needs a trusted_ca");
    draft.broken = true;
  }
}

}  // namespace tulle::config
