// HTTPRoute from JSON, with the rules of the Gateway API that concern one route alone.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "control-plane/model/names.hpp"
#include "control-plane/model/read_values.hpp"
#include "core/base/ascii.hpp"
#include "sidecar/routing/matchers.hpp"

namespace tulle::model {

using nlohmann::json;

namespace {

// The Gateway API's own limits.
constexpr size_t kMostParents = 32;
constexpr size_t kMostRules = 16;
constexpr size_t kMostMatchesInRule = 64;
constexpr size_t kMostMatches = 128;
constexpr size_t kMostValueMatches = 16;
constexpr size_t kMostBackends = 16;
constexpr uint64_t kMostWeight = 1'000'000;
constexpr size_t kLongestPath = 1024;
constexpr size_t kLongestPattern = 1024;  // RE2 programs grow with the pattern
constexpr size_t kLongestValue = 4096;
constexpr uint64_t kMostRetries = 100;

// The group of a Service is empty; "core" is how some documents spell it.
void check_service_kind(Object& object, bool of_parent) {
  const json* group = object.find("group");
  const json* kind = object.find("kind");
  const std::string group_name = object.text("group");
  const std::string kind_name = object.text("kind");
  const bool group_is_core = group_name.empty() || group_name == "core";
  if (kind != nullptr && kind->is_string() && (kind_name != "Service" || !group_is_core)) {
    object.place("kind").unsupported("only a Service (group \"\") is supported");
  } else if (of_parent && kind == nullptr) {
    object.place("kind").invalid("is missing and would mean Gateway; a mesh route says "
                                 "group: \"\", kind: Service");
  } else if (of_parent && group == nullptr) {
    object.place("group").invalid("is missing and would mean gateway.networking.k8s.io; a Service "
                                  "has group: \"\"");
  }
}

void check_pattern(const std::string& pattern, const Place& place) {
  if (pattern.size() > kLongestPattern) {
    return place.invalid("is longer than 1024 characters");
  }
  const auto compiled = routing::Pattern::compile(pattern);
  if (!compiled) place.invalid("is no regular expression (RE2): " + compiled.error().detail);
}

ParentRef read_parent(const json& value, const Place& place, const std::string& own_namespace) {
  Object object(value, place);
  ParentRef parent;
  check_service_kind(object, true);
  parent.name = required_label_name(object, "name");
  parent.namespace_name = read_label_name(object, "namespace");
  if (parent.namespace_name.empty()) parent.namespace_name = own_namespace;
  if (const auto port = object.number("port", 1, UINT16_MAX)) {
    parent.port = static_cast<uint16_t>(*port);
  }
  parent.section_name = read_label_name(object, "sectionName");
  object.finish();
  return parent;
}

std::string path_fault(std::string_view path) {
  if (!path.starts_with('/')) return "must begin with '/'";
  if (path.size() > kLongestPath) return "is longer than 1024 characters";
  for (const std::string_view part : {"//", "/./", "/../", "%2f", "%2F", "#"}) {
    if (path.find(part) != std::string_view::npos) {
      return "must not contain \"" + std::string(part) + "\"";
    }
  }
  if (path.ends_with("/.") || path.ends_with("/..")) return "must not end with dots";
  const bool printable = std::ranges::all_of(path, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable) return "must be visible ASCII";
  if (path.find('?') != std::string_view::npos) return "is matched without the query";
  return {};
}

PathMatch read_path(const json& value, const Place& place) {
  Object object(value, place);
  PathMatch path;
  const int type = read_choice(object, "type", {"Exact", "PathPrefix", "RegularExpression"});
  if (type >= 0) path.type = static_cast<PathMatch::Type>(type);
  if (object.find("value") != nullptr) path.value = object.text("value");
  if (path.type == PathMatch::Type::regex) {
    check_pattern(path.value, object.place("value"));
  } else if (std::string fault = path_fault(path.value); !fault.empty()) {
    object.place("value").invalid(std::move(fault));
  }
  object.finish();
  return path;
}

ValueMatch read_value_match(const json& value, const Place& place, bool header) {
  Object object(value, place);
  ValueMatch match;
  const int type = read_choice(object, "type", {"Exact", "RegularExpression"});
  if (type >= 0) match.type = static_cast<ValueMatch::Type>(type);
  match.name = object.required_text("name");
  if (header) make_lower(match.name);
  if (!match.name.empty() && !is_field_name(match.name)) {
    object.place("name").invalid(header ? "is no header name" : "is no parameter name");
  }
  match.value = object.required_text("value");
  if (match.type == ValueMatch::Type::regex) {
    check_pattern(match.value, object.place("value"));
  } else if (match.value.size() > kLongestValue) {
    object.place("value").invalid("is longer than 4096 characters");
  }
  object.finish();
  return match;
}

std::vector<ValueMatch> read_value_matches(Object& object, const char* name, bool header) {
  std::vector<ValueMatch> matches;
  std::set<std::string> names;
  const json* list = object.list(name, kMostValueMatches);
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const Place at = object.place(name).at(i);
    matches.push_back(read_value_match((*list)[i], at, header));
    const std::string& match_name = matches.back().name;
    if (!match_name.empty() && !names.insert(match_name).second) {
      at.field("name").invalid("\"" + match_name + "\" is given twice");
    }
  }
  return matches;
}

HttpMatch read_match(const json& value, const Place& place) {
  static const std::vector<std::string_view> kMethods{
      "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  Object object(value, place);
  HttpMatch match;
  if (const json* path = object.find("path")) match.path = read_path(*path, object.place("path"));
  match.headers = read_value_matches(object, "headers", true);
  match.query_params = read_value_matches(object, "queryParams", false);
  const int method = read_choice(object, "method", kMethods);
  if (method >= 0) match.method = kMethods[static_cast<size_t>(method)];
  object.finish();
  return match;
}

BackendRef read_backend(const json& value, const Place& place, const std::string& own_namespace) {
  Object object(value, place);
  BackendRef backend;
  check_service_kind(object, false);
  backend.name = required_label_name(object, "name");
  backend.namespace_name = read_label_name(object, "namespace");
  if (backend.namespace_name.empty()) backend.namespace_name = own_namespace;
  backend.port = static_cast<uint16_t>(object.required_number("port", 1, UINT16_MAX));
  backend.weight = static_cast<uint32_t>(object.number("weight", 0, kMostWeight).value_or(1));
  if (const json* filters = object.list("filters", SIZE_MAX)) {
    backend.filters = read_filters(*filters, object.place("filters"), true);
  }
  object.finish();
  return backend;
}

Timeouts read_timeouts(const json& value, const Place& place) {
  Object object(value, place);
  Timeouts timeouts;
  timeouts.request = read_duration(object, "request");
  timeouts.backend_request = read_duration(object, "backendRequest");
  const bool bounded = timeouts.request && *timeouts.request > Duration::zero();
  if (bounded && timeouts.backend_request && *timeouts.backend_request > *timeouts.request) {
    object.place("backendRequest").invalid("must not be longer than request");
  }
  object.finish();
  return timeouts;
}

Retry read_retry(const json& value, const Place& place) {
  Object object(value, place);
  Retry retry;
  const json* codes = object.list("codes", 200);
  std::set<uint16_t> seen;
  for (size_t i = 0; codes != nullptr && i < codes->size(); ++i) {
    const json& code = (*codes)[i];
    const Place at = object.place("codes").at(i);
    if (!code.is_number_unsigned() || code.get<uint64_t>() < 400 || code.get<uint64_t>() > 599) {
      at.invalid("must be a status from 400 to 599");
    } else if (!seen.insert(code.get<uint16_t>()).second) {
      at.invalid(std::to_string(code.get<uint16_t>()) + " is given twice");
    } else {
      retry.codes.push_back(code.get<uint16_t>());
    }
  }
  if (const auto attempts = object.number("attempts", 0, kMostRetries)) {
    retry.attempts = static_cast<uint32_t>(*attempts);
  }
  retry.backoff = read_duration(object, "backoff");
  object.finish();
  return retry;
}

// What a path modifier needs of the rule's matches.
void check_modifier(const HttpRule& rule, const std::optional<PathModifier>& modifier,
                    const Place& place) {
  if (!modifier || modifier->type != PathModifier::Type::prefix) return;
  const bool fits =
      rule.matches.size() == 1 && rule.matches.front().path.type == PathMatch::Type::prefix;
  if (!fits) place.invalid("ReplacePrefixMatch needs exactly one match, a PathPrefix, in the rule");
}

void check_filters(const HttpRule& rule, const Place& place) {
  const Place filters = place.field("filters");
  if (rule.filters.redirect) {
    if (!rule.backend_refs.empty()) {
      place.field("backendRefs").invalid("a rule that redirects must not have backends");
    }
    check_modifier(rule, rule.filters.redirect->path, filters);
  }
  if (rule.filters.rewrite) check_modifier(rule, rule.filters.rewrite->path, filters);
}

void read_backends(Object& object, HttpRule& rule, const std::string& own_namespace) {
  const json* list = object.list("backendRefs", kMostBackends);
  if (list == nullptr || list->empty()) return;
  const Place place = object.place("backendRefs");
  uint64_t total = 0;
  for (size_t i = 0; i < list->size(); ++i) {
    rule.backend_refs.push_back(read_backend((*list)[i], place.at(i), own_namespace));
    total += rule.backend_refs.back().weight;
  }
  if (total == 0) place.invalid("the weights must not all be 0");
}

HttpRule read_rule(const json& value, const Place& place, const std::string& own_namespace) {
  Object object(value, place);
  HttpRule rule;
  rule.name = object.text("name");
  if (!rule.name.empty() && !is_dns_subdomain(rule.name)) {
    object.place("name").invalid("must be of a-z, 0-9, '-' and '.', at most 253 characters");
  }
  const json* matches = object.list("matches", kMostMatchesInRule);
  for (size_t i = 0; matches != nullptr && i < matches->size(); ++i) {
    rule.matches.push_back(read_match((*matches)[i], object.place("matches").at(i)));
  }
  if (rule.matches.empty()) rule.matches.emplace_back();
  if (const json* filters = object.list("filters", SIZE_MAX)) {
    rule.filters = read_filters(*filters, object.place("filters"), false);
  }
  read_backends(object, rule, own_namespace);
  if (const json* timeouts = object.find("timeouts")) {
    rule.timeouts = read_timeouts(*timeouts, object.place("timeouts"));
  }
  if (const json* retry = object.find("retry")) {
    rule.retry = read_retry(*retry, object.place("retry"));
  }
  object.unsupported("sessionPersistence");
  object.finish();
  check_filters(rule, place);
  return rule;
}

void check_parents(const std::vector<ParentRef>& parents, const Place& place) {
  for (size_t i = 0; i < parents.size(); ++i) {
    if (std::find(parents.begin(), parents.begin() + static_cast<ptrdiff_t>(i), parents[i]) !=
        parents.begin() + static_cast<ptrdiff_t>(i)) {
      place.at(i).invalid("is given twice");
    }
  }
}

void check_rules(const std::vector<HttpRule>& rules, const Place& place) {
  std::set<std::string> names;
  size_t matches = 0;
  for (size_t i = 0; i < rules.size(); ++i) {
    matches += rules[i].matches.size();
    if (!rules[i].name.empty() && !names.insert(rules[i].name).second) {
      place.at(i).field("name").invalid("\"" + rules[i].name + "\" is given twice");
    }
  }
  if (matches > kMostMatches) {
    place.invalid("has " + std::to_string(matches) + " matches in all, at most 128 are allowed");
  }
}

}  // namespace

HttpRouteSpec read_http_route(const json& value, const Place& place,
                              const std::string& own_namespace) {
  Object object(value, place);
  HttpRouteSpec spec;
  object.required("parentRefs");
  if (const json* parents = object.list("parentRefs", kMostParents)) {
    const Place at = object.place("parentRefs");
    if (parents->empty()) at.invalid("must not be empty");
    for (size_t i = 0; i < parents->size(); ++i) {
      spec.parent_refs.push_back(read_parent((*parents)[i], at.at(i), own_namespace));
    }
    check_parents(spec.parent_refs, at);
  }
  const json* hostnames = object.list("hostnames", SIZE_MAX);
  if (hostnames != nullptr && !hostnames->empty()) {
    object.place("hostnames").unsupported(
        "a route of a Service has no host names; match the header \"host\" instead");
  }
  object.unsupported("useDefaultGateways");
  if (const json* rules = object.list("rules", kMostRules)) {
    for (size_t i = 0; i < rules->size(); ++i) {
      spec.rules.push_back(read_rule((*rules)[i], object.place("rules").at(i), own_namespace));
    }
  }
  if (spec.rules.empty()) {
    spec.rules.emplace_back();
    spec.rules.back().matches.emplace_back();
  }
  check_rules(spec.rules, object.place("rules"));
  object.finish();
  return spec;
}

}  // namespace tulle::model
