// One HTTPRoute match to a RouteMatch.
#include "control-plane/build/build_parts.hpp"
#include "envoy/config/route/v3/route_components.pb.h"

namespace tulle::build {

namespace {

namespace v3 = envoy::config::route::v3;
using envoy::type::matcher::v3::StringMatcher;
using model::PathMatch;
using model::ValueMatch;

void set_text(const ValueMatch& match, StringMatcher& into) {
  if (match.type == ValueMatch::Type::exact) {
    into.set_exact(match.value);
  } else {
    into.mutable_safe_regex()->set_regex(match.value);
  }
}

// Whole elements: "/abc/" means "/abc", and "/" everything.
void set_prefix(std::string value, v3::RouteMatch& into) {
  while (value.size() > 1 && value.ends_with('/')) value.pop_back();
  if (value.size() > 1) {
    into.set_path_separated_prefix(value);
  } else {
    into.set_prefix("/");
  }
}

}  // namespace

void build_match(const model::HttpMatch& match, v3::RouteMatch& into) {
  switch (match.path.type) {
    case PathMatch::Type::exact: into.set_path(match.path.value); break;
    case PathMatch::Type::prefix: set_prefix(match.path.value, into); break;
    case PathMatch::Type::regex: into.mutable_safe_regex()->set_regex(match.path.value); break;
  }
  if (!match.method.empty()) {
    v3::HeaderMatcher& method = *into.add_headers();
    method.set_name(":method");
    method.mutable_string_match()->set_exact(match.method);
  }
  for (const ValueMatch& each : match.headers) {
    v3::HeaderMatcher& header = *into.add_headers();
    header.set_name(each.name);
    set_text(each, *header.mutable_string_match());
  }
  for (const ValueMatch& each : match.query_params) {
    v3::QueryParameterMatcher& parameter = *into.add_query_parameters();
    parameter.set_name(each.name);
    set_text(each, *parameter.mutable_string_match());
  }
}

}  // namespace tulle::build
