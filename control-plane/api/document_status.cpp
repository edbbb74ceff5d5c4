#include "control-plane/api/document_status.hpp"

#include <nlohmann/json.hpp>

namespace tulle::api {

using Json = nlohmann::ordered_json;

namespace {

Json condition(const char* type, const char* status, const char* reason, std::string message,
               uint64_t generation) {
  Json json = {{"type", type}, {"status", status}, {"reason", reason}};
  if (!message.empty()) json["message"] = std::move(message);
  json["observedGeneration"] = generation;
  return json;
}

std::string counted(const push::DocumentAcceptance& seen) {
  return std::to_string(seen.accepted) + " of " + std::to_string(seen.sidecars) +
         " sidecars that use it have acknowledged it";
}

Json programmed(const push::DocumentAcceptance& seen, uint64_t generation) {
  constexpr const char* kType = "Programmed";
  if (seen.rejected > 0) {
    return condition(kType, "False", "Rejected",
                     std::to_string(seen.rejected) + " of " + std::to_string(seen.sidecars) +
                         " sidecars refuse it: " + seen.last_error,
                     generation);
  }
  if (seen.sidecars == 0) {
    return condition(kType, "True", "NotUsed", "no connected sidecar uses it", generation);
  }
  const bool all = seen.accepted == seen.sidecars;
  return condition(kType, all ? "True" : "False", all ? "Programmed" : "Pending", counted(seen),
                   generation);
}

}  // namespace

std::string document_status(const Sources& sources, const model::Document& document) {
  const uint64_t generation = document.metadata.generation;
  Json conditions = Json::array();
  conditions.push_back(condition("Accepted", "True", "Accepted", "", generation));
  const model::Problems problems = validate::unresolved(sources.store->view(), document);
  if (problems.empty()) {
    conditions.push_back(condition("ResolvedRefs", "True", "ResolvedRefs", "", generation));
  } else {
    conditions.push_back(condition("ResolvedRefs", "False", "BackendNotFound",
                                   config::to_text(problems), generation));
  }
  Json status = {{"conditions", std::move(conditions)}};
  if (sources.acknowledgements != nullptr) {
    const push::DocumentAcceptance seen = sources.acknowledgements->acceptance(document);
    status["conditions"].push_back(programmed(seen, generation));
    status["sidecars"] = {{"using", seen.sidecars},
                          {"acknowledged", seen.accepted},
                          {"rejected", seen.rejected}};
  }
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tulle::api
