// Endpoints: the table of everything the API serves. Routing, 405 and the OpenAPI document are all
// made from it, so that none can say anything else.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "control-plane/model/document.hpp"
#include "core/http/head.hpp"

namespace tulle::api {

enum class Operation : uint8_t {
  list, get, put, remove, status, create_token, show_ca, prepare_ca, activate_ca, retire_ca, audit,
  openapi,
};

struct Endpoint {
  Operation operation;
  Method method;
  std::string_view path;     // {plural}, {namespace} and {name} stand for a segment
  std::string_view id;       // OpenAPI's operationId
  std::string_view summary;
  std::string_view query;    // names that are understood, divided by blanks
  std::string_view statuses; // that it may answer besides the common ones
};
std::span<const Endpoint> endpoints();

using Query = std::map<std::string, std::string, std::less<>>;

struct Target {
  const Endpoint* endpoint = nullptr;
  model::Kind kind = model::Kind::service;  // where the path has {plural}
  std::string namespace_name;
  std::string name;
  Query query;
};

struct Found {
  std::optional<Target> target;
  bool path_exists = false;   // but not with this method
  std::string allow;          // methods that the path has
  std::string fault;          // of the path or the query, in words
};
// `path` as it came, with the query. Nothing is decoded except in query values: no name needs it.
Found find_endpoint(Method method, std::string_view path);

}  // namespace tulle::api
