// Documents as JSON.
#include <nlohmann/json.hpp>

#include "control-plane/model/read.hpp"
#include "control-plane/model/read_values.hpp"

namespace tulle::model {

using Json = nlohmann::ordered_json;

namespace {

void put_text(Json& object, const char* name, std::string_view value) {
  if (!value.empty()) object[name] = value;
}

Json metadata_json(const Metadata& metadata) {
  Json json = {{"name", metadata.name}, {"namespace", metadata.namespace_name}};
  if (!metadata.labels.empty()) json["labels"] = metadata.labels;
  if (!metadata.annotations.empty()) json["annotations"] = metadata.annotations;
  if (metadata.generation != 0) json["generation"] = metadata.generation;
  if (metadata.resource_version != 0) {
    json["resourceVersion"] = std::to_string(metadata.resource_version);
  }
  put_text(json, "creationTimestamp", metadata.creation_timestamp);
  return json;
}

Json spec_json(const ServiceSpec& spec) {
  Json ports = Json::array();
  for (const ServicePort& port : spec.ports) {
    Json entry = Json::object();
    put_text(entry, "name", port.name);
    entry["port"] = port.port;
    put_text(entry, "appProtocol", to_string(port.app_protocol));
    ports.push_back(std::move(entry));
  }
  Json json = {{"ports", ports}};
  if (spec.selector) json["selector"] = *spec.selector;
  if (spec.headless) json["clusterIP"] = "None";
  if (!spec.cluster_ips.empty()) {
    json["clusterIP"] = spec.cluster_ips.front();
    json["clusterIPs"] = spec.cluster_ips;
  }
  return json;
}

Json spec_json(const WorkloadSpec& spec) {
  Json ports = Json::array();
  for (const WorkloadPort& port : spec.ports) {
    Json entry = Json::object();
    put_text(entry, "name", port.name);
    entry["port"] = port.port;
    entry["inbound"] = port.inbound;
    put_text(entry, "appProtocol", to_string(port.app_protocol));
    ports.push_back(std::move(entry));
  }
  Json json = {{"service", spec.service}, {"address", spec.address}, {"ports", ports}};
  if (!spec.labels.empty()) json["labels"] = spec.labels;
  json["weight"] = spec.weight;
  if (spec.locality != Locality{}) {
    Json locality = Json::object();
    put_text(locality, "region", spec.locality.region);
    put_text(locality, "zone", spec.locality.zone);
    put_text(locality, "subZone", spec.locality.sub_zone);
    json["locality"] = std::move(locality);
  }
  if (spec.source == WorkloadSpec::Source::registration) json["source"] = "registration";
  put_text(json, "node", spec.node);
  return json;
}

Json parent_json(const ParentRef& parent) {
  Json json = {{"group", ""},
               {"kind", "Service"},
               {"name", parent.name},
               {"namespace", parent.namespace_name}};
  if (parent.port) json["port"] = *parent.port;
  put_text(json, "sectionName", parent.section_name);
  return json;
}

Json value_matches_json(const std::vector<ValueMatch>& matches) {
  Json list = Json::array();
  for (const ValueMatch& match : matches) {
    const bool exact = match.type == ValueMatch::Type::exact;
    list.push_back({{"type", exact ? "Exact" : "RegularExpression"},
                    {"name", match.name},
                    {"value", match.value}});
  }
  return list;
}

Json match_json(const HttpMatch& match) {
  static constexpr const char* kTypes[] = {"Exact", "PathPrefix", "RegularExpression"};
  Json json = {{"path",
                {{"type", kTypes[static_cast<size_t>(match.path.type)]},
                 {"value", match.path.value}}}};
  if (!match.headers.empty()) json["headers"] = value_matches_json(match.headers);
  if (!match.query_params.empty()) json["queryParams"] = value_matches_json(match.query_params);
  put_text(json, "method", match.method);
  return json;
}

Json modifier_json(const HeaderModifier& modifier) {
  Json json = Json::object();
  const auto pairs = [&](const char* name, const std::vector<NameValue>& list) {
    for (const auto& [key, value] : list) {
      json[name].push_back(Json{{"name", key}, {"value", value}});
    }
  };
  pairs("set", modifier.set);
  pairs("add", modifier.add);
  if (!modifier.remove.empty()) json["remove"] = modifier.remove;
  return json;
}

Json path_modifier_json(const PathModifier& modifier) {
  if (modifier.type == PathModifier::Type::full) {
    return {{"type", "ReplaceFullPath"}, {"replaceFullPath", modifier.value}};
  }
  return {{"type", "ReplacePrefixMatch"}, {"replacePrefixMatch", modifier.value}};
}

Json redirect_json(const RequestRedirect& redirect) {
  Json json = Json::object();
  put_text(json, "scheme", redirect.scheme);
  put_text(json, "hostname", redirect.hostname);
  if (redirect.path) json["path"] = path_modifier_json(*redirect.path);
  if (redirect.port) json["port"] = *redirect.port;
  json["statusCode"] = redirect.status_code;
  return json;
}

Json rewrite_json(const UrlRewrite& rewrite) {
  Json json = Json::object();
  put_text(json, "hostname", rewrite.hostname);
  if (rewrite.path) json["path"] = path_modifier_json(*rewrite.path);
  return json;
}

void put_filters(Json& owner, const Filters& filters) {
  Json list = Json::array();
  const auto add = [&](const char* type, const char* member, Json value) {
    list.push_back(Json{{"type", type}, {member, std::move(value)}});
  };
  if (filters.request_headers) {
    add("RequestHeaderModifier", "requestHeaderModifier", modifier_json(*filters.request_headers));
  }
  if (filters.response_headers) {
    add("ResponseHeaderModifier", "responseHeaderModifier",
        modifier_json(*filters.response_headers));
  }
  if (filters.redirect) add("RequestRedirect", "requestRedirect", redirect_json(*filters.redirect));
  if (filters.rewrite) add("URLRewrite", "urlRewrite", rewrite_json(*filters.rewrite));
  if (!list.empty()) owner["filters"] = std::move(list);
}

Json backend_json(const BackendRef& backend) {
  Json json = {{"group", ""},
               {"kind", "Service"},
               {"name", backend.name},
               {"namespace", backend.namespace_name},
               {"port", backend.port},
               {"weight", backend.weight}};
  put_filters(json, backend.filters);
  return json;
}

void put_resilience(Json& json, const HttpRule& rule) {
  const auto put_duration = [](Json& object, const char* name, std::optional<Duration> value) {
    if (value) object[name] = duration_text(*value);
  };
  if (rule.timeouts != Timeouts{}) {
    Json& timeouts = json["timeouts"] = Json::object();
    put_duration(timeouts, "request", rule.timeouts.request);
    put_duration(timeouts, "backendRequest", rule.timeouts.backend_request);
  }
  if (rule.retry) {
    Json& retry = json["retry"] = Json::object();
    if (!rule.retry->codes.empty()) retry["codes"] = rule.retry->codes;
    if (rule.retry->attempts) retry["attempts"] = *rule.retry->attempts;
    put_duration(retry, "backoff", rule.retry->backoff);
  }
}

Json rule_json(const HttpRule& rule) {
  Json json = Json::object();
  put_text(json, "name", rule.name);
  for (const HttpMatch& match : rule.matches) json["matches"].push_back(match_json(match));
  put_filters(json, rule.filters);
  for (const BackendRef& backend : rule.backend_refs) {
    json["backendRefs"].push_back(backend_json(backend));
  }
  put_resilience(json, rule);
  return json;
}

Json spec_json(const HttpRouteSpec& spec) {
  Json parents = Json::array();
  for (const ParentRef& parent : spec.parent_refs) parents.push_back(parent_json(parent));
  Json rules = Json::array();
  for (const HttpRule& rule : spec.rules) rules.push_back(rule_json(rule));
  return {{"parentRefs", parents}, {"rules", rules}};
}

Json document_json(const Document& document, std::string_view status_json) {
  Json json = {{"apiVersion", api_version_of(document.kind())},
               {"kind", name_of(document.kind())},
               {"metadata", metadata_json(document.metadata)},
               {"spec", std::visit([](const auto& spec) { return spec_json(spec); }, document.spec)}};
  if (!status_json.empty()) json["status"] = Json::parse(status_json, nullptr, false);
  return json;
}

}  // namespace

// Lists are long: the status is put into the text, not parsed again.
std::string to_json(const Document& document, std::string_view status_json) {
  std::string text = document_json(document, {}).dump();
  if (status_json.empty()) return text;
  text.pop_back();
  return text.append(",\"status\":").append(status_json).append("}");
}

std::string to_pretty_json(const Document& document, std::string_view status_json) {
  return document_json(document, status_json).dump(2) + "\n";
}

std::string_view code_of(Problem::Kind kind) {
  switch (kind) {
    case Problem::Kind::invalid: return "invalid";
    case Problem::Kind::unsupported: return "unsupported";
    case Problem::Kind::dangling: return "dangling";
    case Problem::Kind::unreadable: return "unreadable";
  }
  return "invalid";
}

std::string problems_to_json(const Problems& problems) {
  Json list = Json::array();
  for (const Problem& problem : problems) {
    Json entry = {{"path", problem.path}, {"message", problem.message}, {"code", code_of(problem.kind)}};
    if (!problem.resource.empty()) entry["resource"] = problem.resource;
    list.push_back(std::move(entry));
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tulle::model
