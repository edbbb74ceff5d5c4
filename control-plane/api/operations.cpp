// The operations that are not about documents: status, tokens, the CA, the audit log.
#include "control-plane/api/operations.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "control-plane/model/names.hpp"
#include "control-plane/model/read_values.hpp"
#include "core/base/time_text.hpp"
#include "sidecar/config/strict_json.hpp"

namespace tulle::api {

using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kActor = "admin";
constexpr uint64_t kShortestToken = 1;
constexpr uint64_t kLongestToken = 7 * 24 * 3600;  // a token in a forgotten file must go stale
constexpr uint64_t kUsualToken = 3600;
constexpr uint64_t kMostAuditLines = 1000;
constexpr uint64_t kUsualAuditLines = 100;

Step at_once(Answer answer) {
  Step step;
  step.answer = std::move(answer);
  return step;
}

Step shown(const Json& json, int status = 200) {
  Answer answer;
  answer.status = status;
  answer.body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return at_once(std::move(answer));
}

Step missing(const char* what) {
  return at_once(refuse(503, "unavailable", "Not there", std::string(what) + " is not running"));
}

const char* word_of(push::Acceptance acceptance) {
  switch (acceptance) {
    case push::Acceptance::accepted: return "synced";
    case push::Acceptance::pending: return "pending";
    case push::Acceptance::rejected: return "rejected";
  }
  return "pending";
}

Json sidecar_json(const push::SidecarStatus& sidecar) {
  Json types = Json::object();
  for (const auto& [name, type] : sidecar.types) {
    Json& entry = types[name];
    entry = {{"names", type.names},
             {"sentVersion", type.sent_version},
             {"acceptedVersion", type.accepted_version},
             {"state", word_of(type.state)}};
    if (!type.rejection.empty()) entry["rejection"] = type.rejection;
  }
  Json json = {{"node", sidecar.node},
               {"namespace", sidecar.namespace_name},
               {"service", sidecar.service},
               {"identity", sidecar.identity},
               {"address", sidecar.address},
               {"connectedSeconds", std::chrono::duration<double>(sidecar.connected).count()},
               {"state", word_of(sidecar.state)},
               {"types", std::move(types)}};
  if (!sidecar.last_error.empty()) json["lastError"] = sidecar.last_error;
  return json;
}

Step show_status(const Sources& sources) {
  Json sidecars = Json::array();
  if (sources.acknowledgements != nullptr) {
    for (const push::SidecarStatus& sidecar : sources.acknowledgements->sidecars()) {
      sidecars.push_back(sidecar_json(sidecar));
    }
  }
  const model::StoreView& view = sources.store->view();
  Json resources = Json::object();
  for (const model::Kind kind : model::kKinds) {
    resources[std::string(plural_of(kind))] = view.all(kind).size();
  }
  return shown({{"sidecars", std::move(sidecars)},
                {"resources", std::move(resources)},
                {"revision", std::to_string(view.revision())},
                {"store", {{"healthy", sources.store->healthy()}}}});
}

struct TokenWish {
  std::string namespace_name;
  std::string service;
  uint64_t ttl_seconds = kUsualToken;
};

TokenWish read_wish(const std::string& body, model::Problems& problems) {
  TokenWish wish;
  const model::Place place(problems, "");
  nlohmann::json value;
  if (!config::parse_strict_json(body, value, place)) return wish;
  model::Object object(value, place);
  wish.namespace_name = model::read_label_name(object, "namespace");
  if (wish.namespace_name.empty()) wish.namespace_name = "default";
  wish.service = model::required_label_name(object, "service");
  wish.ttl_seconds =
      object.number("ttlSeconds", kShortestToken, kLongestToken).value_or(kUsualToken);
  object.finish();
  return wish;
}

Step create_token(const Sources& sources, const Request& request, Task& owner) {
  if (sources.authority == nullptr) return missing("the certificate authority");
  if (request.format != BodyFormat::json) {
    return at_once(refuse(415, "unsupported_media_type", "Unsupported media type",
                          "content-type must be application/json"));
  }
  model::Problems problems;
  const TokenWish wish = read_wish(request.body, problems);
  if (!problems.empty()) {
    return at_once(refuse(422, "invalid", "The request is not valid", problems));
  }
  const int64_t expires = wall_now().us / 1'000'000 + static_cast<int64_t>(wish.ttl_seconds);
  Result<Authority::JoinToken> made = sources.authority->create_join_token(
      wish.namespace_name, wish.service, static_cast<int64_t>(wish.ttl_seconds), kActor, owner);
  if (!made) return at_once(refuse(made.error()));
  Step step = shown({{"token", made->token}, {"expires", rfc3339(expires)}}, 201);
  step.write = std::move(made->write);
  return step;
}

Result<void> change(Authority& authority, const Request& request) {
  switch (request.target.endpoint->operation) {
    case Operation::prepare_ca: return authority.prepare();
    case Operation::activate_ca: return authority.activate();
    default: {
      const auto force = request.target.query.find("force");
      return authority.retire(force != request.target.query.end() && force->second == "true");
    }
  }
}

Step change_ca(const Sources& sources, const Request& request) {
  if (sources.authority == nullptr) return missing("the certificate authority");
  const Result<void> changed = change(*sources.authority, request);
  const std::string path(request.target.endpoint->path);
  sources.store->audit({kActor, "ca " + path.substr(path.rfind('/') + 1), "certificate authority", {}},
                       changed ? "done" : "refused: " + changed.error().detail);
  if (!changed) return at_once(refuse(changed.error()));
  Answer answer;
  answer.body = sources.authority->describe() + "\n";
  return at_once(std::move(answer));
}

Step show_ca(const Sources& sources) {
  if (sources.authority == nullptr) return missing("the certificate authority");
  Answer answer;
  answer.body = sources.authority->describe() + "\n";
  return at_once(std::move(answer));
}

Step show_audit(const Sources& sources, const Request& request) {
  uint64_t limit = kUsualAuditLines;
  const auto asked = request.target.query.find("limit");
  if (asked != request.target.query.end()) {
    const std::string& text = asked->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size() || limit == 0 ||
        limit > kMostAuditLines) {
      return at_once(refuse(400, "bad_request", "Bad request", "limit must be from 1 to 1000"));
    }
  }
  const Result<std::vector<std::string>> lines = sources.store->audit_lines(limit);
  if (!lines) return at_once(refuse(lines.error()));
  Answer answer;
  answer.body = "{\"items\":[";
  for (size_t i = 0; i < lines->size(); ++i) answer.body.append(i == 0 ? "" : ",").append((*lines)[i]);
  answer.body += "]}\n";
  return at_once(std::move(answer));
}

Step show_openapi() {
  Answer answer;
  answer.body = openapi_json();
  return at_once(std::move(answer));
}

}  // namespace

Step perform(const Sources& sources, const Request& request, Task& owner) {
  switch (request.target.endpoint->operation) {
    case Operation::list: return list_documents(sources, request);
    case Operation::get: return get_document(sources, request);
    case Operation::put: return put_document(sources, request, owner);
    case Operation::remove: return remove_document(sources, request, owner);
    case Operation::status: return show_status(sources);
    case Operation::create_token: return create_token(sources, request, owner);
    case Operation::show_ca: return show_ca(sources);
    case Operation::prepare_ca:
    case Operation::activate_ca:
    case Operation::retire_ca: return change_ca(sources, request);
    case Operation::audit: return show_audit(sources, request);
    case Operation::openapi: return show_openapi();
  }
  UNREACHABLE();
}

}  // namespace tulle::api
