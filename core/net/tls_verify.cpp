#include "core/net/tls_verify.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cctype>

#include "core/base/clock.hpp"
#include "core/net/tls_certificate.hpp"
#include "core/net/tls_words.hpp"

namespace tulle {

namespace {

constexpr unsigned kHostFlags =
    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

std::string join(const std::vector<std::string>& parts, std::string_view between) {
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < parts.size() && i < kShown; ++i) {
    if (i > 0)
      text += between;
    text += parts[i];
  }
  if (parts.size() > kShown)
    text += " and " + std::to_string(parts.size() - kShown) + " more";
  return text;
}

std::string names_in_words(const LeafNames& names) {
  if (!names.identity.uri_sans.empty())
    return join(names.identity.uri_sans, ", ");
  if (!names.identity.dns_sans.empty())
    return join(names.identity.dns_sans, ", ");
  return "no name";
}

std::string matcher_in_words(const SanMatcher& matcher) {
  switch (matcher.kind) {
    case SanMatcher::Kind::exact:
      return matcher.value;
    case SanMatcher::Kind::prefix:
      return matcher.value + "*";
    case SanMatcher::Kind::suffix:
      return "*" + matcher.value;
  }
  UNREACHABLE();
}

std::string lower(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool value_matches(const SanMatcher& matcher, std::string_view value) {
  switch (matcher.kind) {
    case SanMatcher::Kind::exact:
      return value == matcher.value;
    case SanMatcher::Kind::prefix:
      return value.starts_with(matcher.value);
    case SanMatcher::Kind::suffix:
      return value.ends_with(matcher.value);
  }
  UNREACHABLE();
}

// Wildcard names in the certificate count, so OpenSSL compares; IP addresses are compared as such.
bool host_matches(x509_st& leaf, const std::string& host) {
  if (host.empty() || host.front() == '.')
    return false;
  if (X509_check_ip_asc(&leaf, host.c_str(), 0) == 1)
    return true;
  return X509_check_host(&leaf, host.data(), host.size(), kHostFlags, nullptr) == 1;
}

bool matches(const SanMatcher& matcher, x509_st& leaf, const PeerIdentity& identity) {
  if (matcher.value.empty())
    return false;  // an empty prefix would match everybody
  if (matcher.type == SanMatcher::Type::uri) {
    return std::any_of(identity.uri_sans.begin(), identity.uri_sans.end(),
                       [&](const std::string& uri) { return value_matches(matcher, uri); });
  }
  if (matcher.kind == SanMatcher::Kind::exact)
    return host_matches(leaf, matcher.value);
  const SanMatcher lowered{matcher.type, matcher.kind, lower(matcher.value)};
  return std::any_of(identity.dns_sans.begin(), identity.dns_sans.end(),
                     [&](const std::string& dns) { return value_matches(lowered, lower(dns)); });
}

// Why the chain does not hold, with the certificate and the dates that matter.
std::string chain_fault(x509_store_ctx_st& chain) {
  const int error = X509_STORE_CTX_get_error(&chain);
  X509* at = X509_STORE_CTX_get_current_cert(&chain);
  const bool is_leaf = X509_STORE_CTX_get_error_depth(&chain) == 0;
  if (at == nullptr)
    return std::string("chain is refused: ") + X509_verify_cert_error_string(error);
  const LeafNames names = read_leaf_names(*at);
  const bool named = !names.identity.uri_sans.empty() || !names.identity.dns_sans.empty();
  const std::string whose =
      " (" + (is_leaf && named ? names_in_words(names) : names.identity.subject) + ")";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "certificate expired on " + time_in_words(unix_seconds_of(X509_get0_notAfter(at))) +
             whose;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "certificate is not valid before " +
             time_in_words(unix_seconds_of(X509_get0_notBefore(at))) + whose;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "unknown CA: the certificate is not issued by one of the trusted CAs" + whose;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "unknown CA: the signature was not made by the trusted CA of that name" + whose;
    case X509_V_ERR_INVALID_PURPOSE:
      return "certificate is not meant for this use (extended key usage)" + whose;
    default:
      return "certificate is refused: " + std::string(X509_verify_cert_error_string(error)) + whose;
  }
}

}  // namespace

bool PeerExpectation::judge(x509_store_ctx_st& chain, TlsVerdict& verdict) const {
  // One clock for everything that has to do with validity.
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(&chain), wall_now().us / 1'000'000);
  if (X509_verify_cert(&chain) != 1) {
    if (X509_STORE_CTX_get_error(&chain) == X509_V_OK) {
      X509_STORE_CTX_set_error(&chain, X509_V_ERR_UNSPECIFIED);
    }
    verdict.refusal = Error{Code::tls_failed, peer, chain_fault(chain)};
    return false;
  }
  X509* leaf = X509_STORE_CTX_get0_cert(&chain);
  LeafNames names = read_leaf_names(*leaf);
  std::string fault;
  if (names.claims_spiffe)
    fault = spiffe_fault(*leaf, names);
  if (fault.empty() && !sans.empty()) {
    const bool expected = std::any_of(sans.begin(), sans.end(), [&](const SanMatcher& matcher) {
      return matches(matcher, *leaf, names.identity);
    });
    if (!expected) {
      std::vector<std::string> wanted;
      for (const SanMatcher& matcher : sans)
        wanted.push_back(matcher_in_words(matcher));
      fault = "peer has " + names_in_words(names) + ", expected " + join(wanted, " or ");
    }
  } else if (fault.empty() && !server_name.empty() && !host_matches(*leaf, server_name)) {
    fault = "peer has " + names_in_words(names) + ", expected " + server_name;
  }
  ERR_clear_error();
  if (!fault.empty()) {
    X509_STORE_CTX_set_error(&chain, X509_V_ERR_HOSTNAME_MISMATCH);  // alert: bad certificate
    verdict.refusal = Error{Code::identity_mismatch, peer, std::move(fault)};
    return false;
  }
  verdict.identity = std::make_unique<PeerIdentity>(std::move(names.identity));
  // The connection would keep the verified chain beside the one that was sent.
  X509_STORE_CTX_set0_verified_chain(&chain, nullptr);
  return true;
}

}  // namespace tulle
