#include "cli/api/client.hpp"

#include <nlohmann/json.hpp>

namespace tulle::cli {
namespace {

// A control plane answers in milliseconds; a person does not wait longer than this for nothing.
constexpr Duration kPatience = 15s;
constexpr size_t kLargestAnswer = 64 * 1024 * 1024;  // a list of everything in a large mesh

std::string_view method_text(Method method) {
  switch (method) {
    case Method::put: return "PUT";
    case Method::post: return "POST";
    case Method::delete_: return "DELETE";
    default: return "GET";
  }
}

Pool::Options pool_options(const ApiAccess& access) {
  Pool::Options options;
  options.address = access.address;
  options.protocol = Protocol::http1;
  options.tls = access.tls;
  return options;
}

// What a person can do about it depends on what failed.
Error explain(Error error, const std::string& url) {
  std::string detail = "the control plane at " + url + " cannot be reached: " + error.detail;
  switch (error.code) {
    case Code::connect_failed:
    case Code::connect_timeout:
      detail += "\n  Is it running? See: tulle status, or start one: tulle up FILE";
      break;
    case Code::tls_failed:
    case Code::identity_mismatch:
      detail += "\n  The file of the CA (--ca-file, TULLE_CA_FILE) must be the one of this control plane";
      break;
    default:
      break;
  }
  error.detail = std::move(detail);
  return error;
}

std::string text_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

ApiClient::ApiClient(Loop& loop, Network& network, ApiAccess access)
    : loop_(loop),
      access_(std::move(access)),
      pool_(loop, network, pool_options(access_), nullptr) {}

CallRequest ApiClient::make(const ApiRequest& request) const {
  CallRequest made;
  made.head = request_head(request.method, method_text(request.method), access_.authority, request.path);
  made.head.scheme = access_.tls != nullptr ? "https" : "http";
  made.head.fields.add(FieldId::authorization, "Bearer " + access_.token);
  made.head.fields.add(FieldId::accept, "application/json");
  if (!request.body.empty()) made.head.fields.add(FieldId::content_type, "application/json");
  made.body = request.body;
  made.timeout = kPatience;
  made.max_body = kLargestAnswer;
  return made;
}

ApiCall::ApiCall(ApiClient& client, const ApiRequest& request, Task& owner)
    : client_(client), call_(client.loop_, client.pool_, client.make(request), owner) {}

Result<ApiAnswer> ApiCall::take() {
  Result<CallAnswer>& outcome = call_.outcome();
  if (!outcome) return explain(std::move(outcome.error()), client_.access().url);
  return ApiAnswer{outcome->head.status, std::move(outcome->body)};
}

std::string describe_refusal(const ApiAnswer& answer) {
  const nlohmann::json document = nlohmann::json::parse(answer.body, nullptr, false);
  std::string text;
  if (answer.status == 401) {
    text = "the token was not accepted; it is read from --token-file, TULLE_TOKEN_FILE or the mesh that is up\n  ";
  }
  if (!document.is_object()) {
    return text + "the control plane answered " + std::to_string(answer.status);
  }
  const std::string title = text_of(document, "title");
  const std::string detail = text_of(document, "detail");
  text += title.empty() ? "answered " + std::to_string(answer.status) : title;
  const auto problems = document.find("problems");
  const bool listed = problems != document.end() && problems->is_array() && !problems->empty();
  // With a list the detail is that list in other words.
  if (!listed && !detail.empty() && detail != title) text += ": " + detail;
  if (!listed) return text;
  for (const nlohmann::json& problem : *problems) {
    if (!problem.is_object()) continue;
    const std::string path = text_of(problem, "path");
    text += "\n  " + (path.empty() ? "" : path + ": ") + text_of(problem, "message");
  }
  return text;
}

std::string document_path(std::string_view plural, std::string_view namespace_name,
                          std::string_view name) {
  std::string path = "/v1/namespaces/";
  return path.append(namespace_name).append("/").append(plural).append("/").append(name);
}

}  // namespace tulle::cli
