#include "control-plane/api/endpoints.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "control-plane/model/names.hpp"
#include "core/base/ascii.hpp"

namespace tulle::api {

namespace {

constexpr std::array<Endpoint, 12> kEndpoints{{
    {Operation::list, Method::get, "/v1/{plural}", "list",
     "Every document of a kind; with watch=true a stream of changes, one JSON object per line",
     "namespace watch", "200"},
    {Operation::get, Method::get, "/v1/namespaces/{namespace}/{plural}/{name}", "get",
     "One document with its status", "", "200 404"},
    {Operation::put, Method::put, "/v1/namespaces/{namespace}/{plural}/{name}", "put",
     "Creates or replaces a document; If-Match and If-None-Match guard against lost updates",
     "dryRun", "200 201 409 413 415 422"},
    {Operation::remove, Method::delete_, "/v1/namespaces/{namespace}/{plural}/{name}", "delete",
     "Removes a document; refused while others refer to it", "dryRun", "200 404 409"},
    {Operation::status, Method::get, "/v1/status", "status",
     "Connected sidecars and what they have acknowledged", "", "200"},
    {Operation::create_token, Method::post, "/v1/tokens", "createToken",
     "A one-time token with which one instance of a service may join", "", "201 413 415 422"},
    {Operation::show_ca, Method::get, "/v1/ca", "showCa",
     "The certificate authority: its slots, and what is trusted", "", "200"},
    {Operation::prepare_ca, Method::post, "/v1/ca/prepare", "prepareCa",
     "Makes the next root and lets everybody trust it", "", "200 409"},
    {Operation::activate_ca, Method::post, "/v1/ca/activate", "activateCa",
     "Signs with the next root from now on", "", "200 409"},
    {Operation::retire_ca, Method::post, "/v1/ca/retire", "retireCa",
     "Ends the trust in the oldest former root; with force=true although its certificates live",
     "force", "200 409"},
    {Operation::audit, Method::get, "/v1/audit", "audit", "The newest lines of the audit log",
     "limit", "200"},
    {Operation::openapi, Method::get, "/openapi.json", "openapi", "This document", "", "200"},
}};

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

using Segments = std::vector<std::string_view>;

// Whether the pattern fits; fills in what its placeholders stand for.
bool fits(const Segments& pattern, const Segments& path, Target& target) {
  if (pattern.size() != path.size()) return false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == "{plural}") {
      const auto kind = model::kind_of_plural(path[i]);
      if (!kind) return false;
      target.kind = *kind;
    } else if (pattern[i] == "{namespace}") {
      target.namespace_name = path[i];
    } else if (pattern[i] == "{name}") {
      target.name = path[i];
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  return true;
}

std::string_view method_name(Method method) {
  switch (method) {
    case Method::get: return "GET";
    case Method::put: return "PUT";
    case Method::post: return "POST";
    default: return "DELETE";
  }
}

// Values of what we understand are plain words: nothing has to be decoded.
bool is_plain(std::string_view value) {
  return value.size() <= 253 && std::ranges::all_of(value, [](char c) {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
  });
}

std::string read_query(std::string_view text, std::string_view known, Query& query) {
  if (text.empty()) return {};
  const std::vector<std::string_view> names = split(known, ' ');
  for (const std::string_view pair : split(text, '&')) {
    const size_t equals = pair.find('=');
    const std::string name(pair.substr(0, equals));
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    const bool is_known = !name.empty() && std::ranges::find(names, name) != names.end();
    if (!is_known) return "unknown query parameter \"" + name.substr(0, 64) + "\"";
    if (value.empty() || !is_plain(value)) return "the query parameter \"" + name + "\" is malformed";
    if (!query.emplace(name, value).second) return "the query parameter \"" + name + "\" is given twice";
  }
  return {};
}

std::string fault_of(const Target& target) {
  const bool with_names = !target.namespace_name.empty() || !target.name.empty() ||
                          target.endpoint->path.find("{name}") != std::string_view::npos;
  if (!with_names) return {};
  if (!model::is_dns_label(target.namespace_name)) return "the namespace in the path is no DNS label";
  if (!model::is_dns_subdomain(target.name)) return "the name in the path is no DNS name";
  return {};
}

}  // namespace

std::span<const Endpoint> endpoints() { return kEndpoints; }

Found find_endpoint(Method method, std::string_view path) {
  Found found;
  const size_t mark = path.find('?');
  const Segments segments = split(path.substr(0, mark), '/');
  for (const Endpoint& endpoint : kEndpoints) {
    Target target;
    if (!fits(split(endpoint.path, '/'), segments, target)) continue;
    found.path_exists = true;
    found.allow.append(found.allow.empty() ? "" : ", ").append(method_name(endpoint.method));
    if (endpoint.method != method) continue;
    target.endpoint = &endpoint;
    found.fault = fault_of(target);
    if (found.fault.empty() && mark != std::string_view::npos) {
      found.fault = read_query(path.substr(mark + 1), endpoint.query, target.query);
    }
    found.target = std::move(target);
  }
  return found;
}

}  // namespace tulle::api
