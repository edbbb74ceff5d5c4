#include "core/net/tls_words.hpp"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <time.h>

#include <array>
#include <string_view>

namespace tulle {

namespace {

struct AlertName {
  int alert;
  std::string_view name;
  bool about_our_certificate;
};

constexpr std::array<AlertName, 30> kAlerts = {{
    {SSL_AD_CLOSE_NOTIFY, "close notify", false},
    {SSL_AD_UNEXPECTED_MESSAGE, "unexpected message", false},
    {SSL_AD_BAD_RECORD_MAC, "bad record mac", false},
    {SSL_AD_RECORD_OVERFLOW, "record overflow", false},
    {SSL_AD_HANDSHAKE_FAILURE, "handshake failure", false},
    {SSL_AD_NO_CERTIFICATE, "no certificate", true},
    {SSL_AD_BAD_CERTIFICATE, "bad certificate", true},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "unsupported certificate", true},
    {SSL_AD_CERTIFICATE_REVOKED, "certificate revoked", true},
    {SSL_AD_CERTIFICATE_EXPIRED, "certificate expired", true},
    {SSL_AD_CERTIFICATE_UNKNOWN, "certificate unknown", true},
    {SSL_AD_ILLEGAL_PARAMETER, "illegal parameter", false},
    {SSL_AD_UNKNOWN_CA, "unknown ca", true},
    {SSL_AD_ACCESS_DENIED, "access denied", true},
    {SSL_AD_DECODE_ERROR, "decode error", false},
    {SSL_AD_DECRYPT_ERROR, "decrypt error", false},
    {SSL_AD_PROTOCOL_VERSION, "protocol version", false},
    {SSL_AD_INSUFFICIENT_SECURITY, "insufficient security", false},
    {SSL_AD_INTERNAL_ERROR, "internal error", false},
    {SSL_AD_INAPPROPRIATE_FALLBACK, "inappropriate fallback", false},
    {SSL_AD_USER_CANCELLED, "user canceled", false},
    {SSL_AD_NO_RENEGOTIATION, "no renegotiation", false},
    {SSL_AD_MISSING_EXTENSION, "missing extension", false},
    {SSL_AD_UNSUPPORTED_EXTENSION, "unsupported extension", false},
    {SSL_AD_UNRECOGNIZED_NAME, "unrecognized name", false},
    {SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE, "bad certificate status response", true},
    {SSL_AD_UNKNOWN_PSK_IDENTITY, "unknown psk identity", false},
    {SSL_AD_CERTIFICATE_REQUIRED, "certificate required", true},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "no application protocol", false},
    {SSL_AD_DECOMPRESSION_FAILURE, "decompression failure", false},
}};

const AlertName* find_alert(int alert) {
  for (const AlertName& known : kAlerts) {
    if (known.alert == alert)
      return &known;
  }
  return nullptr;
}

std::string received_alert(int alert) {
  const AlertName* known = find_alert(alert);
  if (known != nullptr && known->about_our_certificate) {
    return "peer refused our certificate: " + std::string(known->name);
  }
  return "peer ended TLS with the alert: " + alert_name(alert);
}

// Reasons of the SSL library that deserve better words than OpenSSL has.
std::string_view own_words(int reason) {
  switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "peer sent no certificate";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return "plain HTTP on a TLS port";
    case SSL_R_WRONG_VERSION_NUMBER:
      return "peer does not speak TLS (its first bytes are no TLS record)";
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return "no TLS version in common (TLS 1.3 is wanted)";
    case SSL_R_NO_SHARED_CIPHER:
      return "no cipher suite in common";
    case SSL_R_NO_SUITABLE_KEY_SHARE:
      return "no key exchange group in common";
    default:
      return {};
  }
}

}  // namespace

std::string alert_name(int alert) {
  const AlertName* known = find_alert(alert);
  return known != nullptr ? std::string(known->name) : "number " + std::to_string(alert);
}

std::string time_in_words(int64_t unix_seconds) {
  const time_t seconds = unix_seconds;
  struct tm parts {};
  if (gmtime_r(&seconds, &parts) == nullptr)
    return "an impossible time";
  std::array<char, 64> text{};
  const size_t length = strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return std::string(text.data(), length);
}

int64_t unix_seconds_of(const asn1_string_st* time) {
  struct tm parts {};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1)
    return 0;
  return timegm(&parts);
}

std::string take_tls_failure(const std::string& fallback) {
  const unsigned long code = ERR_peek_error();
  std::string words = fallback;
  if (code != 0) {
    const int reason = ERR_GET_REASON(code);
    const bool from_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
    if (from_ssl && reason > SSL_AD_REASON_OFFSET) {
      words = received_alert(reason - SSL_AD_REASON_OFFSET);
    } else if (from_ssl && !own_words(reason).empty()) {
      words = own_words(reason);
    } else if (const char* text = ERR_reason_error_string(code); text != nullptr) {
      words = text;
    }
  }
  ERR_clear_error();
  return words;
}

void drop_tls_failures() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

std::string take_openssl_reason(const std::string& fallback) {
  const unsigned long code = ERR_peek_last_error();
  const char* text = code != 0 ? ERR_reason_error_string(code) : nullptr;
  std::string words = text != nullptr ? text : fallback;
  ERR_clear_error();
  return words;
}

}  // namespace tulle
