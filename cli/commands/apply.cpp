#include <stdio.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/api/session.hpp"
#include "cli/commands/commands.hpp"
#include "cli/documents.hpp"
#include "cli/render/palette.hpp"

namespace tulle::cli {
namespace {

// What became of one document, for --output json.
struct Outcome {
  std::string document;
  std::string result;  // "created", "configured", "unchanged", "refused"
  std::string problem;
};

ApiRequest read_request(const model::Document& document) {
  const model::Metadata& metadata = document.metadata;
  return {Method::get, document_path(model::plural_of(document.kind()), metadata.namespace_name, metadata.name)};
}

// Of a stored document; zero when it is none.
uint64_t version_of(const std::string& body) {
  const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return 0;
  const auto metadata = json.find("metadata");
  if (metadata == json.end() || !metadata->is_object()) return 0;
  const auto version = metadata->find("resourceVersion");
  if (version == metadata->end()) return 0;
  if (version->is_string()) return ::strtoull(version->get<std::string>().c_str(), nullptr, 10);
  return version->is_number_unsigned() ? version->get<uint64_t>() : 0;
}

nlohmann::json spec_of(const std::string& body) {
  const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
  return json.is_object() ? json.value("spec", nlohmann::json()) : nlohmann::json();
}

Result<Outcome> apply_one(Session& session, const model::Document& document, bool dry_run) {
  Outcome outcome{shown_name(document)};
  ApiRequest request = read_request(document);
  Result<ApiAnswer> before = session.ask(request);
  if (!before) return before.error();
  request.method = Method::put;
  request.body = model::to_json(document);
  if (dry_run) request.path += "?dryRun=true";
  Result<ApiAnswer> answer = session.ask(request);
  if (!answer) return answer.error();
  if (!answer->accepted()) {
    outcome.result = "refused";
    outcome.problem = describe_refusal(*answer);
  } else if (!before->accepted()) {
    outcome.result = "created";
  } else {
    const bool same = dry_run ? spec_of(before->body) == spec_of(answer->body)
                              : version_of(before->body) == version_of(answer->body);
    outcome.result = same ? "unchanged" : "configured";
  }
  return outcome;
}

void print(const Outcome& outcome, bool dry_run, Format format) {
  if (format == Format::json) {
    nlohmann::ordered_json line{{"document", outcome.document}, {"result", outcome.result}};
    if (!outcome.problem.empty()) line["problem"] = outcome.problem;
    ::printf("%s\n", line.dump().c_str());
    return;
  }
  if (outcome.result == "refused") {
    complain(outcome.document + " is refused: " + without_controls(outcome.problem.substr(0, outcome.problem.find('\n'))) +
                 (outcome.problem.find('\n') == std::string::npos ? "" : outcome.problem.substr(outcome.problem.find('\n'))),
             kFailed);
  } else {
    ::printf("%s %s%s\n", outcome.document.c_str(),
             Palette::of(STDOUT_FILENO).good(outcome.result).c_str(),
             dry_run ? " (dry run)" : "");
  }
}

}  // namespace

int apply(const ApplyOptions& options) {
  const FoundDocuments found = find_documents(options.files, std::filesystem::current_path().string());
  if (!found.problems.empty()) {
    std::string text = "nothing was applied:";
    for (const std::string& problem : found.problems) text += "\n  " + problem;
    return complain(text, kUsage);
  }
  if (found.documents.empty()) return complain("there is no document in what -f names", kUsage);
  Result<ApiAccess> access = find_access(options.access);
  if (!access) return complain(access.error());
  Session session(std::move(*access));
  bool refused = false;
  for (const model::Document& document : found.documents) {
    Result<Outcome> outcome = apply_one(session, document, options.dry_run);
    if (!outcome) return complain(outcome.error());
    refused = refused || outcome->result == "refused";
    print(*outcome, options.dry_run, options.format);
  }
  return refused ? kFailed : kDone;
}

}  // namespace tulle::cli
