// The OpenAPI 3.1 document, made from the table of endpoints.
#include <nlohmann/json.hpp>
#include <sstream>

#include "control-plane/api/operations.hpp"
#include "tulle/version.hpp"

namespace tulle::api {

using Json = nlohmann::ordered_json;

namespace {

const char* describe_status(const std::string& status) {
  if (status == "200") return "Done";
  if (status == "201") return "Created";
  if (status == "400") return "The path or the query is malformed";
  if (status == "401") return "No valid token";
  if (status == "403") return "A foreign host or origin";
  if (status == "404") return "Not there";
  if (status == "409") return "The present state stands against it";
  if (status == "413") return "The body is larger than 1 MiB";
  if (status == "415") return "Neither application/json nor application/yaml";
  if (status == "422") return "Not valid; every problem with its path";
  if (status == "429") return "Too many requests without a valid token";
  return "Nothing was changed; try again";
}

Json parameter(const std::string& name, const char* in, Json schema) {
  return {{"name", name}, {"in", in}, {"required", std::string(in) == "path"},
          {"schema", std::move(schema)}};
}

Json query_schema(const std::string& name) {
  if (name == "watch" || name == "dryRun" || name == "force") return {{"type", "boolean"}};
  if (name == "limit") return {{"type", "integer"}, {"minimum", 1}, {"maximum", 1000}};
  return {{"type", "string"}};
}

Json parameters_of(const Endpoint& endpoint) {
  Json list = Json::array();
  for (const char* name : {"namespace", "name"}) {
    if (endpoint.path.find("{" + std::string(name) + "}") == std::string_view::npos) continue;
    list.push_back(parameter(name, "path", {{"type", "string"}}));
  }
  std::istringstream names{std::string(endpoint.query)};
  for (std::string name; names >> name;) list.push_back(parameter(name, "query", query_schema(name)));
  if (endpoint.operation == Operation::put) {
    list.push_back(parameter("If-Match", "header", {{"type", "string"}}));
    list.push_back(parameter("If-None-Match", "header", {{"type", "string"}}));
  }
  if (endpoint.operation == Operation::remove) {
    list.push_back(parameter("If-Match", "header", {{"type", "string"}}));
  }
  return list;
}

Json schema_reference(const std::string& name) {
  return {{"$ref", "#/components/schemas/" + name}};
}

Json content(Json schema, const char* type = "application/json") {
  return {{type, {{"schema", std::move(schema)}}}};
}

// What a successful answer holds; `document`: the kind of the path.
Json success_of(const Endpoint& endpoint, const std::string& document) {
  switch (endpoint.operation) {
    case Operation::get:
    case Operation::put:
    case Operation::remove: return content(schema_reference(document));
    case Operation::list: {
      Json answer = content({{"type", "object"},
                             {"properties",
                              {{"items", {{"type", "array"}, {"items", schema_reference(document)}}}}}});
      answer["application/x-ndjson"] = {{"schema", schema_reference("WatchEvent")}};
      return answer;
    }
    case Operation::create_token: return content(schema_reference("JoinToken"));
    default: return content({{"type", "object"}});
  }
}

Json responses_of(const Endpoint& endpoint, const std::string& document) {
  Json responses = Json::object();
  std::istringstream statuses{std::string(endpoint.statuses) + " 400 401 403 429 503"};
  for (std::string status; statuses >> status;) {
    Json& response = responses[status] = {{"description", describe_status(status)}};
    if (status.starts_with('2')) {
      response["content"] = success_of(endpoint, document);
    } else {
      response["content"] = content(schema_reference("Problem"), "application/problem+json");
    }
  }
  return responses;
}

Json body_of(const Endpoint& endpoint, const std::string& document) {
  if (endpoint.operation == Operation::create_token) {
    return {{"required", true}, {"content", content(schema_reference("TokenRequest"))}};
  }
  Json both = content(schema_reference(document));
  both["application/yaml"] = {{"schema", schema_reference(document)}};
  return {{"required", true}, {"content", std::move(both)}};
}

const char* method_of(const Endpoint& endpoint) {
  switch (endpoint.method) {
    case Method::get: return "get";
    case Method::put: return "put";
    case Method::post: return "post";
    default: return "delete";
  }
}

Json operation_json(const Endpoint& endpoint, const std::string& document) {
  Json json = {{"operationId", std::string(endpoint.id) + document},
               {"summary", endpoint.summary},
               {"parameters", parameters_of(endpoint)}};
  if (endpoint.method == Method::put || endpoint.operation == Operation::create_token) {
    json["requestBody"] = body_of(endpoint, document);
  }
  json["responses"] = responses_of(endpoint, document);
  return json;
}

// Paths with {plural} are written out for every kind.
Json paths_json() {
  Json paths = Json::object();
  for (const Endpoint& endpoint : endpoints()) {
    const std::string path(endpoint.path);
    const size_t plural = path.find("{plural}");
    if (plural == std::string::npos) {
      paths[path][method_of(endpoint)] = operation_json(endpoint, "");
      continue;
    }
    for (const model::Kind kind : model::kKinds) {
      std::string written = path;
      written.replace(plural, 8, plural_of(kind));
      paths[written][method_of(endpoint)] = operation_json(endpoint, std::string(name_of(kind)));
    }
  }
  return paths;
}

Json object_schema(Json properties, Json required) {
  return {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
}

const Json kText = {{"type", "string"}};

Json document_schema(model::Kind kind) {
  return object_schema({{"apiVersion", {{"const", api_version_of(kind)}}},
                        {"kind", {{"const", name_of(kind)}}},
                        {"metadata", schema_reference("Metadata")},
                        {"spec", {{"type", "object"}}},
                        {"status", {{"type", "object"}, {"readOnly", true}}}},
                       {"apiVersion", "kind", "metadata", "spec"});
}

Json schemas_json() {
  const Json map = {{"type", "object"}, {"additionalProperties", kText}};
  Json schemas = {
      {"Metadata", object_schema({{"name", kText},
                                  {"namespace", {{"type", "string"}, {"default", "default"}}},
                                  {"labels", map},
                                  {"annotations", map},
                                  {"generation", {{"type", "integer"}}},
                                  {"resourceVersion", kText},
                                  {"creationTimestamp", kText}},
                                 {"name"})},
      {"Problem",
       object_schema({{"type", kText},
                      {"title", kText},
                      {"status", {{"type", "integer"}}},
                      {"detail", kText},
                      {"problems",
                       {{"type", "array"},
                        {"items", object_schema({{"path", kText}, {"message", kText}, {"code", kText}},
                                                {"path", "message", "code"})}}}},
                     {"type", "title", "status"})},
      {"TokenRequest", object_schema({{"namespace", {{"type", "string"}, {"default", "default"}}},
                                      {"service", kText},
                                      {"ttlSeconds", {{"type", "integer"}, {"default", 3600}}}},
                                     {"service"})},
      {"JoinToken", object_schema({{"token", kText}, {"expires", kText}}, {"token", "expires"})},
      {"WatchEvent",
       object_schema({{"type", {{"enum", {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}}}},
                      {"object", {{"type", "object"}}},
                      {"resourceVersion", kText}},
                     {"type"})}};
  for (const model::Kind kind : model::kKinds) {
    schemas[std::string(name_of(kind))] = document_schema(kind);
  }
  return schemas;
}

}  // namespace

std::string openapi_json() {
  const Json document = {
      {"openapi", "3.1.0"},
      {"info", {{"title", "Tulle control plane"}, {"version", kVersion}}},
      {"security", Json::array({Json{{"token", Json::array()}}})},
      {"paths", paths_json()},
      {"components",
       {{"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}},
        {"schemas", schemas_json()}}}};
  return document.dump(2) + "\n";
}

}  // namespace tulle::api
