// RetryPolicy to Config, and back to text.
#include <algorithm>

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/config/supported_fields.hpp"
#include "sidecar/policies/retry/retry.hpp"

namespace tulle::policies::retry {
namespace {

using config::Place;
using envoy::config::route::v3::RetryPolicy;
using envoy::config::route::v3::RouteAction;
using envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;

const config::SupportedFields kFields[] = {
    {"envoy.config.route.v3.RouteAction", {"retry_policy"}},
    {"envoy.config.route.v3.RetryPolicy",
     {"retry_on", "num_retries", "retriable_status_codes", "retry_back_off",
      "retry_host_predicate"},
     {"host_selection_retry_max_attempts"}},  // another endpoint is found without guessing
    {"envoy.config.route.v3.RetryPolicy.RetryBackOff", {"base_interval", "max_interval"}},
    {"envoy.config.route.v3.RetryPolicy.RetryHostPredicate", {"name", "typed_config"}},
    {"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", {}},
};

struct Word {
  std::string_view text;
  On on;
};
constexpr Word kWords[] = {
    {"connect-failure", On::connect_failure},
    {"refused-stream", On::refused_stream},
    {"reset-before-request", On::reset_before_request},
    {"reset", On::reset},
    {"gateway-error", On::gateway_error},
    {"5xx", On::server_error},
    {"retriable-4xx", On::conflict},
    {"retriable-status-codes", On::status_codes},
    {"cancelled", On::cancelled},
    {"deadline-exceeded", On::deadline_exceeded},
    {"internal", On::internal},
    {"resource-exhausted", On::resource_exhausted},
    {"unavailable", On::unavailable},
};

// More attempts than this help nobody and multiply load.
constexpr uint32_t kMostRetries = 10;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

void parse_words(std::string_view list, Config& into, const Place& place) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view word = trimmed(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (word.empty()) continue;
    const auto known = std::ranges::find(kWords, word, &Word::text);
    if (known != std::end(kWords)) {
      into.on |= static_cast<uint32_t>(known->on);
      continue;
    }
    std::vector<std::string_view> candidates;
    for (const Word& each : kWords) candidates.push_back(each.text);
    const std::string_view near = config::nearest(word, candidates);
    place.unsupported("\"" + std::string(word) + "\" is not supported yet" +
                      (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
  }
}

void parse_back_off(const RetryPolicy::RetryBackOff& back_off, Config& into, const Place& place) {
  if (!back_off.has_base_interval()) {
    place.field("base_interval").invalid("is missing");
    return;
  }
  const auto base =
      config::positive_duration_of(back_off.base_interval(), place.field("base_interval"));
  if (!base) return;
  into.base = *base;
  into.most = 10 * into.base;
  if (!back_off.has_max_interval()) return;
  const auto most =
      config::positive_duration_of(back_off.max_interval(), place.field("max_interval"));
  if (!most) return;
  into.most = *most;
  if (into.most < into.base) place.field("max_interval").invalid("is less than base_interval");
}

// That endpoints which were tried are avoided is what we do anyway.
void check_predicates(const RetryPolicy& policy, const Place& place) {
  for (int i = 0; i < policy.retry_host_predicate_size(); ++i) {
    const Place at = place.at(static_cast<size_t>(i)).field("typed_config");
    PreviousHostsPredicate predicate;
    const auto& any = policy.retry_host_predicate(i).typed_config();
    if (config::packed_type(any, at) != predicate.GetTypeName()) {
      at.unsupported("only " + predicate.GetTypeName() + " is supported yet");
    } else {
      config::unpack(any, predicate, at);
    }
  }
}

void parse_status_codes(const RetryPolicy& policy, Config& into, const Place& place) {
  for (int i = 0; i < policy.retriable_status_codes_size(); ++i) {
    const uint32_t code = policy.retriable_status_codes(i);
    if (code < 400 || code > 599) {
      place.at(static_cast<size_t>(i)).invalid("must be from 400 to 599");
    }
    into.status_codes.push_back(code);
  }
}

}  // namespace

std::string Config::text() const {
  std::string out = "on=";
  for (const Word& word : kWords) {
    if (has(word.on)) out.append(out.size() > 3 ? "," : "").append(word.text);
  }
  for (size_t i = 0; i < status_codes.size(); ++i) {
    out.append(i == 0 ? " codes=" : ",").append(std::to_string(status_codes[i]));
  }
  return out + " retries=" + std::to_string(retries);
}

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const Place& route_place) {
  const auto& action = dynamic_cast<const RouteAction&>(message);
  if (!action.has_retry_policy()) return nullptr;
  const RetryPolicy& policy = action.retry_policy();
  const Place place = route_place.field("retry_policy");
  auto parsed = std::make_shared<Config>();
  parse_words(policy.retry_on(), *parsed, place.field("retry_on"));
  if (policy.has_num_retries()) {
    config::read_number(policy.num_retries(), 0, kMostRetries, parsed->retries,
                        place.field("num_retries"));
  }
  parse_status_codes(policy, *parsed, place.field("retriable_status_codes"));
  if (policy.has_retry_back_off()) {
    parse_back_off(policy.retry_back_off(), *parsed, place.field("retry_back_off"));
  }
  check_predicates(policy, place.field("retry_host_predicate"));
  return parsed->on == 0 || parsed->retries == 0 ? nullptr : parsed;
}

std::span<const config::SupportedFields> fields() { return kFields; }

}  // namespace tulle::policies::retry
