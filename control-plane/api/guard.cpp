#include "control-plane/api/guard.hpp"

#include <algorithm>

#include "core/base/ascii.hpp"
#include "core/base/log.hpp"
#include "core/net/address.hpp"

namespace tulle::api {

namespace {

// Wrong tokens that are answered as such: ten at once, then one per second.
constexpr double kBurst = 10;
constexpr double kPerSecond = 1;

// localhost, or an address: what a foreign name server cannot make a browser believe.
bool is_own_host(std::string_view authority) {
  std::string_view host = authority;
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') - 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  return lower_case(host) == "localhost" || Address::parse(host, 0).has_value();
}

}  // namespace

bool equal_in_constant_time(std::string_view secret, std::string_view given) {
  unsigned difference = secret.size() == given.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<unsigned char>(expected) ^ static_cast<unsigned char>(given[i]);
  }
  return difference == 0 && !secret.empty();
}

Guard::Guard(std::string_view token) : token_(token), budget_(kBurst) {}

std::optional<Answer> Guard::check(const Head& request, Instant now) {
  if (!is_own_host(request.authority)) {
    return refuse(403, "denied", "Access denied",
                  "the host must be localhost or an IP address, so that no web page can reach here");
  }
  if (const auto origin = request.fields.get("origin")) {
    if (lower_case(*origin) != lower_case(request.scheme + "://" + request.authority)) {
      return refuse(403, "denied", "Access denied", "requests of foreign web pages are refused");
    }
  }
  if (!authenticated(request)) return refuse_token(now);
  return std::nullopt;
}

bool Guard::authenticated(const Head& request) const {
  if (request.fields.count(FieldId::authorization) != 1) return false;
  std::string_view value = *request.fields.get(FieldId::authorization);
  constexpr std::string_view kScheme = "bearer ";
  if (lower_case(value.substr(0, kScheme.size())) != kScheme) return false;
  value.remove_prefix(kScheme.size());
  return value.size() <= 4096 && equal_in_constant_time(token_, value);
}

std::optional<Answer> Guard::refuse_token(Instant now) {
  ++refusals_;
  const double seconds = std::chrono::duration<double>(now - refilled_).count();
  budget_ = std::min(kBurst, budget_ + seconds * kPerSecond);
  refilled_ = now;
  if (budget_ < 1) {
    Answer answer = refuse(429, "rate_limited", "Too many requests without a valid token", "");
    answer.retry_after = 1;
    return answer;
  }
  budget_ -= 1;
  log::warn("a request without a valid token was refused");
  return refuse(401, "unauthenticated", "Not authenticated",
                "send the admin token: authorization: Bearer TOKEN");
}

std::optional<BodyFormat> body_format(const Head& request) {
  if (request.fields.count(FieldId::content_type) != 1) return std::nullopt;
  std::string type = lower_case(*request.fields.get(FieldId::content_type));
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.pop_back();
  if (type == "application/json") return BodyFormat::json;
  if (type == "application/yaml") return BodyFormat::yaml;
  return std::nullopt;
}

}  // namespace tulle::api
