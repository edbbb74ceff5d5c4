#include "control-plane/api/answer.hpp"

#include <nlohmann/json.hpp>

namespace tulle::api {

using Json = nlohmann::ordered_json;

namespace {

Answer problem(int status, std::string_view code, Json body) {
  Answer answer;
  answer.status = status;
  answer.content_type = "application/problem+json";
  // Details may quote a client's bytes: what is not UTF-8 is replaced.
  answer.body = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  answer.error = code;
  return answer;
}

Json head_of(int status, std::string_view code, std::string_view title) {
  return {{"type", "urn:tulle:error:" + std::string(code)}, {"title", title}, {"status", status}};
}

}  // namespace

Answer refuse(int status, std::string_view code, std::string_view title, std::string_view detail) {
  Json body = head_of(status, code, title);
  if (!detail.empty()) body["detail"] = detail;
  return problem(status, code, std::move(body));
}

Answer refuse(int status, std::string_view code, std::string_view title,
              const model::Problems& problems) {
  Json body = head_of(status, code, title);
  body["detail"] = config::to_text(problems);
  body["problems"] = Json::parse(model::problems_to_json(problems));
  return problem(status, code, std::move(body));
}

Answer refuse(const Error& error) {
  switch (error.code) {
    case Code::overloaded:
    case Code::io_error: {
      Answer answer = refuse(503, "unavailable", "Nothing was changed", error.detail);
      answer.retry_after = 1;
      return answer;
    }
    case Code::bad_request:
      return refuse(409, "conflict", "Not possible in the present state", error.detail);
    case Code::not_found: return refuse(404, "not_found", "Not found", error.detail);
    default: return refuse(500, "internal", "Internal error", error.detail);
  }
}

}  // namespace tulle::api
