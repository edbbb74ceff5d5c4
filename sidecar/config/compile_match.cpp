// Matchers of routes. A matcher without a condition is an error, never a match of everything.
#include <string_view>

#include "core/base/ascii.hpp"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "sidecar/config/compile_parts.hpp"

namespace tulle::config {

namespace {

namespace route = envoy::config::route::v3;
using envoy::type::matcher::v3::RegexMatcher;
using envoy::type::matcher::v3::StringMatcher;
using envoy::type::v3::FractionalPercent;
using routing::FieldMatch;
using routing::PathMatch;
using routing::QueryMatch;
using routing::StringMatch;

bool set_pattern(const RegexMatcher& matcher, StringMatch& match, const Place& place) {
  if (matcher.regex().empty()) {
    place.field("regex").invalid("must not be empty");
    return false;
  }
  auto pattern = routing::Pattern::compile(matcher.regex());
  if (!pattern) {
    place.field("regex").invalid(pattern.error().detail);
    return false;
  }
  match.kind = StringMatch::Kind::regex;
  match.pattern = std::move(*pattern);
  return true;
}

bool set_text(StringMatch::Kind kind, const std::string& text, StringMatch& match,
              const Place& place) {
  if (text.empty() && kind != StringMatch::Kind::exact) {
    place.invalid("must not be empty");
    return false;
  }
  match.kind = kind;
  match.text = text;
  return true;
}

// Paths begin with '/' (or are "*"); a rule that can never match is a mistake.
void set_path(StringMatch::Kind kind, const std::string& text, PathMatch& match,
              const Place& place) {
  if (text.find_first_of("?#") != std::string::npos) {
    place.invalid("must not hold '?' or '#': the query is not part of the path");
  } else if (!text.starts_with('/') && !text.empty() && text != "*") {
    place.invalid("must begin with '/'");
  } else if (text.empty() && kind == StringMatch::Kind::exact) {
    place.invalid("must not be empty");
  }
  match.text.kind = kind;
  match.text.text = text;
}

PathMatch compile_path(const route::RouteMatch& match, const Place& place) {
  PathMatch path;
  switch (match.path_specifier_case()) {
    case route::RouteMatch::kPrefix:
      set_path(StringMatch::Kind::prefix, match.prefix(), path, place.field("prefix"));
      break;
    case route::RouteMatch::kPath:
      set_path(StringMatch::Kind::exact, match.path(), path, place.field("path"));
      break;
    case route::RouteMatch::kPathSeparatedPrefix: {
      const std::string& text = match.path_separated_prefix();
      const Place at = place.field("path_separated_prefix");
      if (text.size() < 2 || text.ends_with('/')) {
        at.invalid("must be more than \"/\" and not end with '/'");
      }
      set_path(StringMatch::Kind::prefix, text, path, at);
      path.whole_segments = true;
      break;
    }
    case route::RouteMatch::kSafeRegex:
      set_pattern(match.safe_regex(), path.text, place.field("safe_regex"));
      break;
    case route::RouteMatch::kConnectMatcher: break;  // CONNECT has no path
    case route::RouteMatch::PATH_SPECIFIER_NOT_SET:
      place.invalid(
          "needs one of prefix, path, path_separated_prefix, safe_regex, connect_matcher");
      break;
    default: break;  // refused as unsupported
  }
  if (match.has_case_sensitive() && !match.case_sensitive().value()) {
    if (path.text.kind == StringMatch::Kind::regex) {
      place.field("case_sensitive").unsupported("use (?i) in the expression");
    }
    path.text.ignore_case = true;
    path.text.text = lower_case(path.text.text);
  }
  return path;
}

bool is_token(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  for (const char c : name) {
    if (!is_alphanumeric(c) && kOthers.find(c) == std::string_view::npos) return false;
  }
  return !name.empty();
}

// Pseudo-header fields are the only names with a colon.
std::string field_name(const std::string& written, const Place& place) {
  const std::string name = lower_case(written);
  if (name == ":method" || name == ":path" || name == ":scheme" || name == ":authority") {
    return name;
  }
  if (!is_token(name)) place.field("name").invalid("\"" + written + "\" is not a field name");
  return name;
}

bool set_value(const route::HeaderMatcher& matcher, FieldMatch& match, const Place& place) {
  using Kind = StringMatch::Kind;
  match.kind = FieldMatch::Kind::text;
  switch (matcher.header_match_specifier_case()) {
    case route::HeaderMatcher::kExactMatch:
      return set_text(Kind::exact, matcher.exact_match(), match.text, place.field("exact_match"));
    case route::HeaderMatcher::kPrefixMatch:
      return set_text(Kind::prefix, matcher.prefix_match(), match.text,
                      place.field("prefix_match"));
    case route::HeaderMatcher::kSuffixMatch:
      return set_text(Kind::suffix, matcher.suffix_match(), match.text,
                      place.field("suffix_match"));
    case route::HeaderMatcher::kContainsMatch:
      return set_text(Kind::contains, matcher.contains_match(), match.text,
                      place.field("contains_match"));
    case route::HeaderMatcher::kSafeRegexMatch:
      return set_pattern(matcher.safe_regex_match(), match.text, place.field("safe_regex_match"));
    case route::HeaderMatcher::kStringMatch:
      return compile_string_match(matcher.string_match(), match.text, place.field("string_match"));
    case route::HeaderMatcher::kRangeMatch:
      match.kind = FieldMatch::Kind::range;
      match.range_start = matcher.range_match().start();
      match.range_end = matcher.range_match().end();
      if (match.range_start < match.range_end) return true;
      place.field("range_match").invalid("start must be less than end");
      return false;
    case route::HeaderMatcher::kPresentMatch:
      match.kind = matcher.present_match() ? FieldMatch::Kind::present : FieldMatch::Kind::absent;
      return true;
    case route::HeaderMatcher::HEADER_MATCH_SPECIFIER_NOT_SET: break;
  }
  place.invalid("needs one of string_match, range_match, present_match");
  return false;
}

FieldMatch compile_field(const route::HeaderMatcher& matcher, const Place& place) {
  FieldMatch match;
  match.name = field_name(matcher.name(), place);
  match.invert = matcher.invert_match();
  match.missing_is_empty = matcher.treat_missing_header_as_empty();
  set_value(matcher, match, place);
  return match;
}

QueryMatch compile_parameter(const route::QueryParameterMatcher& matcher, const Place& place) {
  QueryMatch match;
  match.name = matcher.name();
  if (match.name.empty()) place.field("name").invalid("must not be empty");
  switch (matcher.query_parameter_match_specifier_case()) {
    case route::QueryParameterMatcher::kPresentMatch:
      match.kind = matcher.present_match() ? QueryMatch::Kind::present : QueryMatch::Kind::absent;
      break;
    case route::QueryParameterMatcher::kStringMatch:
      match.kind = QueryMatch::Kind::text;
      compile_string_match(matcher.string_match(), match.text, place.field("string_match"));
      break;
    case route::QueryParameterMatcher::QUERY_PARAMETER_MATCH_SPECIFIER_NOT_SET:
      place.invalid("needs one of string_match, present_match");
      break;
  }
  return match;
}

std::optional<routing::Fraction> compile_fraction(const FractionalPercent& percent,
                                                  const Place& place) {
  routing::Fraction fraction;
  fraction.numerator = percent.numerator();
  switch (percent.denominator()) {
    case FractionalPercent::HUNDRED: fraction.denominator = 100; break;
    case FractionalPercent::TEN_THOUSAND: fraction.denominator = 10'000; break;
    case FractionalPercent::MILLION: fraction.denominator = 1'000'000; break;
    default: place.field("denominator").invalid("unknown value"); return std::nullopt;
  }
  if (fraction.numerator > fraction.denominator) {
    place.field("numerator").invalid("must not be more than the denominator");
  }
  return fraction;
}

}  // namespace

bool compile_string_match(const StringMatcher& matcher, StringMatch& match, const Place& place) {
  using Kind = StringMatch::Kind;
  bool good = false;
  switch (matcher.match_pattern_case()) {
    case StringMatcher::kExact:
      good = set_text(Kind::exact, matcher.exact(), match, place.field("exact"));
      break;
    case StringMatcher::kPrefix:
      good = set_text(Kind::prefix, matcher.prefix(), match, place.field("prefix"));
      break;
    case StringMatcher::kSuffix:
      good = set_text(Kind::suffix, matcher.suffix(), match, place.field("suffix"));
      break;
    case StringMatcher::kContains:
      good = set_text(Kind::contains, matcher.contains(), match, place.field("contains"));
      break;
    case StringMatcher::kSafeRegex:
      return set_pattern(matcher.safe_regex(), match, place.field("safe_regex"));
    case StringMatcher::MATCH_PATTERN_NOT_SET:
      place.invalid("needs one of exact, prefix, suffix, contains, safe_regex");
      break;
    default: break;  // refused as unsupported
  }
  if (matcher.ignore_case()) {
    match.ignore_case = true;
    match.text = lower_case(match.text);
  }
  return good;
}

routing::RouteMatch compile_route_match(const route::RouteMatch& match, const Place& place) {
  routing::RouteMatch compiled;
  compiled.path = compile_path(match, place);
  for (int i = 0; i < match.headers_size(); ++i) {
    const Place at = place.field("headers").at(static_cast<size_t>(i));
    compiled.fields.push_back(compile_field(match.headers(i), at));
  }
  for (int i = 0; i < match.query_parameters_size(); ++i) {
    const Place at = place.field("query_parameters").at(static_cast<size_t>(i));
    compiled.query.push_back(compile_parameter(match.query_parameters(i), at));
  }
  compiled.connect_only = match.has_connect_matcher();
  compiled.grpc_only = match.has_grpc();
  if (match.has_runtime_fraction()) {
    const Place at = place.field("runtime_fraction").field("default_value");
    if (match.runtime_fraction().has_default_value()) {
      compiled.fraction = compile_fraction(match.runtime_fraction().default_value(), at);
    } else {
      at.invalid("is missing");
    }
  }
  return compiled;
}

}  // namespace tulle::config
