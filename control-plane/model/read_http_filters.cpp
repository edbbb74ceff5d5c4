// Filters of an HTTPRoute's rules and backends from JSON.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "control-plane/model/names.hpp"
#include "control-plane/model/read_values.hpp"
#include "core/base/ascii.hpp"

namespace tulle::model {

using nlohmann::json;

namespace {

constexpr size_t kMostFilters = 16;
constexpr size_t kMostChanges = 16;   // of one kind in one modifier
constexpr size_t kLongestPath = 1024;

// What the codecs make from the message itself, and what only the mesh may say.
bool is_changeable(const std::string& name, const Place& place) {
  static constexpr std::array<std::string_view, 9> kFraming{
      "connection",        "content-length", "http2-settings", "keep-alive", "proxy-connection",
      "te", "trailer", "transfer-encoding", "upgrade"};
  if (!is_field_name(name)) {
    place.invalid("\"" + name + "\" is no header name");
  } else if (name == "host") {
    place.invalid("the host is changed by a URLRewrite, not as a header");
  } else if (std::ranges::find(kFraming, name) != kFraming.end()) {
    place.invalid("\"" + name + "\" belongs to the connection");
  } else if (name.starts_with("tulle-") || name == "x-forwarded-client-cert") {
    place.invalid("\"" + name + "\" belongs to the mesh");
  } else {
    return true;
  }
  return false;
}

// One action per header.
void check_once(const std::string& name, std::set<std::string>& seen, const Place& place) {
  if (!seen.insert(name).second) place.invalid("\"" + name + "\" is changed twice");
}

std::vector<NameValue> read_pairs(Object& modifier, const char* name, std::set<std::string>& seen) {
  std::vector<NameValue> pairs;
  const json* list = modifier.list(name, kMostChanges);
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    Object entry((*list)[i], modifier.place(name).at(i));
    NameValue pair(lower_case(entry.required_text("name")), entry.required_text("value"));
    if (!pair.first.empty() && is_changeable(pair.first, entry.place("name"))) {
      check_once(pair.first, seen, entry.place("name"));
    }
    if (!is_field_value(pair.second)) {
      entry.place("value").invalid("must be visible ASCII, at most 4096 characters");
    }
    entry.finish();
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

HeaderModifier read_header_modifier(const json& value, const Place& place) {
  Object object(value, place);
  HeaderModifier modifier;
  std::set<std::string> seen;
  modifier.set = read_pairs(object, "set", seen);
  modifier.add = read_pairs(object, "add", seen);
  const json* remove = object.list("remove", kMostChanges);
  for (size_t i = 0; remove != nullptr && i < remove->size(); ++i) {
    const Place at = object.place("remove").at(i);
    if (!(*remove)[i].is_string()) {
      at.invalid(expected("a string", (*remove)[i]));
      continue;
    }
    std::string name = lower_case((*remove)[i].get<std::string>());
    if (is_changeable(name, at)) check_once(name, seen, at);
    modifier.remove.push_back(std::move(name));
  }
  object.finish();
  if (modifier.empty()) place.invalid("changes nothing");
  return modifier;
}

bool is_path(std::string_view text) {
  return text.starts_with('/') && std::ranges::all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && c != '#' && c != '?' && c != '\\';
  });
}

PathModifier read_path_modifier(const json& value, const Place& place) {
  Object object(value, place);
  PathModifier modifier;
  object.required("type");
  const int type = read_choice(object, "type", {"ReplaceFullPath", "ReplacePrefixMatch"});
  const char* member = type == 1 ? "replacePrefixMatch" : "replaceFullPath";
  const char* other = type == 1 ? "replaceFullPath" : "replacePrefixMatch";
  modifier.type = type == 1 ? PathModifier::Type::prefix : PathModifier::Type::full;
  if (object.required(member) != nullptr) modifier.value = object.text(member);
  if (object.find(other) != nullptr) {
    object.place(other).invalid(std::string("does not belong to type ") +
                                (type == 1 ? "ReplacePrefixMatch" : "ReplaceFullPath"));
  }
  const bool may_be_empty = modifier.type == PathModifier::Type::prefix;
  if (!(modifier.value.empty() && may_be_empty) && !is_path(modifier.value)) {
    object.place(member).invalid("must be a path that begins with '/', without '?' and '#'");
  } else if (modifier.value.size() > kLongestPath) {
    object.place(member).invalid("is longer than 1024 characters");
  }
  object.finish();
  return modifier;
}

std::string read_hostname(Object& object) {
  std::string host = object.text("hostname");
  if (!host.empty() && !is_dns_subdomain(host)) {
    object.place("hostname").invalid("must be a host name in lower case, without a port");
  }
  return host;
}

RequestRedirect read_redirect(const json& value, const Place& place) {
  Object object(value, place);
  RequestRedirect redirect;
  const int scheme = read_choice(object, "scheme", {"http", "https"});
  if (scheme >= 0) redirect.scheme = scheme == 0 ? "http" : "https";
  redirect.hostname = read_hostname(object);
  if (const json* path = object.find("path")) {
    redirect.path = read_path_modifier(*path, object.place("path"));
  }
  if (const auto port = object.number("port", 1, UINT16_MAX)) {
    redirect.port = static_cast<uint16_t>(*port);
  }
  if (const auto status = object.number("statusCode", 0, 999)) {
    static constexpr std::array<uint64_t, 5> kCodes{301, 302, 303, 307, 308};
    if (std::ranges::find(kCodes, *status) == kCodes.end()) {
      object.place("statusCode").invalid("must be 301, 302, 303, 307 or 308");
    }
    redirect.status_code = static_cast<uint16_t>(*status);
  }
  object.finish();
  return redirect;
}

UrlRewrite read_rewrite(const json& value, const Place& place, bool of_backend) {
  Object object(value, place);
  UrlRewrite rewrite;
  rewrite.hostname = read_hostname(object);
  if (const json* path = object.find("path")) {
    rewrite.path = read_path_modifier(*path, object.place("path"));
    if (of_backend) object.place("path").unsupported("a backend's path cannot be rewritten yet");
  }
  object.finish();
  if (rewrite.hostname.empty() && !rewrite.path) place.invalid("rewrites nothing");
  return rewrite;
}

enum class FilterType : uint8_t { request_headers, response_headers, redirect, rewrite };

// The members of a filter, in the order of FilterType, then those that are not supported.
constexpr std::array<const char*, 8> kTypes{
    "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite",
    "RequestMirror",         "ExtensionRef",           "CORS",            "ExternalAuth"};
constexpr std::array<const char*, 8> kMembers{
    "requestHeaderModifier", "responseHeaderModifier", "requestRedirect", "urlRewrite",
    "requestMirror",         "extensionRef",           "cors",            "externalAuth"};
constexpr int kSupportedTypes = 4;

void take_filter(Filters& filters, FilterType type, const json& value, const Place& place,
                 bool of_backend) {
  switch (type) {
    case FilterType::request_headers:
      filters.request_headers = read_header_modifier(value, place);
      return;
    case FilterType::response_headers:
      filters.response_headers = read_header_modifier(value, place);
      return;
    case FilterType::redirect:
      if (of_backend) return place.unsupported("a backend cannot redirect");
      filters.redirect = read_redirect(value, place);
      return;
    case FilterType::rewrite:
      filters.rewrite = read_rewrite(value, place, of_backend);
      return;
  }
}

void read_filter(Filters& filters, std::set<int>& seen, const json& value, const Place& place,
                 bool of_backend) {
  Object object(value, place);
  object.required("type");
  const int type = read_choice(object, "type", {kTypes.begin(), kTypes.end()});
  for (int i = 0; i < static_cast<int>(kMembers.size()); ++i) {
    const json* member = object.find(kMembers[static_cast<size_t>(i)]);
    if (member != nullptr && type >= 0 && i != type) {
      object.place(kMembers[static_cast<size_t>(i)])
          .invalid(std::string("does not belong to type ") + kTypes[static_cast<size_t>(type)]);
    }
  }
  object.finish();
  if (type < 0) return;
  const auto index = static_cast<size_t>(type);
  if (type >= kSupportedTypes) {
    return object.place("type").unsupported(std::string(kTypes[index]) + " is not supported yet");
  }
  if (!seen.insert(type).second) {
    return object.place("type").invalid(std::string(kTypes[index]) + " is given twice");
  }
  if (const json* member = object.required(kMembers[index])) {
    take_filter(filters, static_cast<FilterType>(type), *member, object.place(kMembers[index]),
                of_backend);
  }
}

}  // namespace

Filters read_filters(const json& list, const Place& place, bool of_backend) {
  Filters filters;
  if (list.size() > kMostFilters) {
    place.invalid("has more than 16 entries");
    return filters;
  }
  std::set<int> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    read_filter(filters, seen, list[i], place.at(i), of_backend);
  }
  if (filters.redirect && filters.rewrite) {
    place.invalid("RequestRedirect and URLRewrite exclude each other");
  }
  return filters;
}

}  // namespace tulle::model
