// list, get, put and delete of documents.
#include "control-plane/api/document_status.hpp"
#include "control-plane/api/operations.hpp"
#include "control-plane/model/read.hpp"

namespace tulle::api {

using model::Document;
using model::DocumentPtr;
using model::Key;

namespace {

constexpr const char* kActor = "admin";

Key key_of(const Target& target) { return {target.kind, target.namespace_name, target.name}; }

std::string etag_of(const Document& document) {
  return "\"" + std::to_string(document.metadata.resource_version) + "\"";
}

Step at_once(Answer answer) {
  Step step;
  step.answer = std::move(answer);
  return step;
}

Answer shown(const Sources& sources, const Document& document, int status = 200) {
  Answer answer;
  answer.status = status;
  answer.body = model::to_json(document, document_status(sources, document)) + "\n";
  if (document.metadata.resource_version != 0) answer.etag = etag_of(document);
  return answer;
}

Answer not_found(const Key& key) {
  return refuse(404, "not_found", "Not found", "there is no " + to_string(key));
}

Answer conflict(const std::string& detail) {
  return refuse(409, "conflict", "Somebody else was faster", detail);
}

// Optimistic concurrency; nothing: go on.
std::optional<Answer> check_preconditions(const Request& request, const DocumentPtr& present,
                                          uint64_t expected) {
  const std::string has = present == nullptr
                              ? std::string("it does not exist")
                              : "its resourceVersion is " +
                                    std::to_string(present->metadata.resource_version);
  if (!request.if_none_match.empty()) {
    if (request.if_none_match != "*") {
      return refuse(400, "bad_request", "Bad request", "If-None-Match can only be *");
    }
    if (present != nullptr) return conflict("it exists already; " + has);
  }
  if (!request.if_match.empty()) {
    const bool holds = present != nullptr &&
                       (request.if_match == "*" || request.if_match == etag_of(*present));
    if (!holds) return conflict("If-Match is " + request.if_match.substr(0, 64) + ", but " + has);
  }
  if (expected != 0) {
    if (present == nullptr || present->metadata.resource_version != expected) {
      return conflict("the document says resourceVersion " + std::to_string(expected) + ", but " +
                      has);
    }
  }
  return std::nullopt;
}

bool is_dry_run(const Target& target) {
  const auto found = target.query.find("dryRun");
  return found != target.query.end() && found->second == "true";
}

// What the document calls itself is what the path calls it.
void check_identity(const Document& document, const Target& target, model::Problems& problems) {
  const model::Place place(problems, "");
  if (document.kind() != target.kind) {
    place.field("kind").invalid("is " + std::string(name_of(document.kind())) +
                                ", but the path means " + std::string(name_of(target.kind)));
  }
  if (document.metadata.name != target.name) {
    place.field("metadata.name").invalid("differs from the name in the path, \"" + target.name + "\"");
  }
  if (document.metadata.namespace_name != target.namespace_name) {
    place.field("metadata.namespace")
        .invalid("differs from the namespace in the path, \"" + target.namespace_name + "\"");
  }
}

// Nothing but what the store keeps differs.
bool says_the_same(const Document& a, const Document& b) {
  return a.spec == b.spec && a.metadata.labels == b.metadata.labels &&
         a.metadata.annotations == b.metadata.annotations;
}

store::AuditEntry entry_of(const char* action, const Key& key) {
  return {kActor, action, to_string(key), {}};
}

Step refused(const Sources& sources, const char* action, const Key& key, Answer answer,
             const std::string& outcome) {
  sources.store->audit(entry_of(action, key), outcome);
  return at_once(std::move(answer));
}

Step refused(const Sources& sources, const char* action, const Key& key, int status,
             const char* title, const model::Problems& problems) {
  return refused(sources, action, key,
                 refuse(status, status == 409 ? "conflict" : "invalid", title, problems),
                 "refused: " + std::to_string(problems.size()) + " problem(s)");
}

// As the store would have it.
Document as_stored(Document document, const DocumentPtr& present) {
  document.metadata.resource_version = 0;
  document.metadata.generation = 1;
  document.metadata.creation_timestamp.clear();
  if (present == nullptr) return document;
  const bool changed = present->spec != document.spec;
  document.metadata.resource_version = present->metadata.resource_version;
  document.metadata.generation = present->metadata.generation + (changed ? 1 : 0);
  document.metadata.creation_timestamp = present->metadata.creation_timestamp;
  return document;
}

}  // namespace

Step list_documents(const Sources& sources, const Request& request) {
  const Target& target = request.target;
  const auto space = target.query.find("namespace");
  const model::StoreView& view = sources.store->view();
  const auto documents =
      space == target.query.end() ? view.all(target.kind) : view.all(target.kind, space->second);
  Answer answer;
  answer.body = "{\"apiVersion\":\"" + std::string(api_version_of(target.kind)) + "\",\"kind\":\"" +
                std::string(name_of(target.kind)) + "List\",\"metadata\":{\"resourceVersion\":\"" +
                std::to_string(view.revision()) + "\"},\"items\":[";
  bool first = true;
  for (const DocumentPtr& document : documents) {
    if (!std::exchange(first, false)) answer.body += ",";
    answer.body += model::to_json(*document, document_status(sources, *document));
  }
  answer.body += "]}\n";
  return at_once(std::move(answer));
}

Step get_document(const Sources& sources, const Request& request) {
  const Key key = key_of(request.target);
  const DocumentPtr document = sources.store->view().find(key);
  return at_once(document == nullptr ? not_found(key) : shown(sources, *document));
}

Step put_document(const Sources& sources, const Request& request, Task& owner) {
  const Target& target = request.target;
  const Key key = key_of(target);
  const auto format =
      request.format == BodyFormat::json ? model::Format::json : model::Format::yaml;
  model::DocumentRead read = model::read_document(request.body, format, target.namespace_name);
  if (read.document) check_identity(*read.document, target, read.problems);
  constexpr const char* kTitle = "The document is not valid";
  if (!read.problems.empty()) return refused(sources, "put", key, 422, kTitle, read.problems);

  Document& document = *read.document;
  const model::StoreView& tip = sources.store->tip();
  const DocumentPtr present = tip.find(key);
  if (auto stale = check_preconditions(request, present, document.metadata.resource_version)) {
    return refused(sources, "put", key, std::move(*stale), "refused: conflict");
  }
  const model::Problems problems = validate::check_put(tip, document, sources.result_check);
  if (!problems.empty()) return refused(sources, "put", key, 422, kTitle, problems);

  const int status = present == nullptr ? 201 : 200;
  if (is_dry_run(target)) {
    return at_once(shown(sources, as_stored(std::move(document), present), status));
  }
  // Applied again: nothing to write. It must be durable, not only under way.
  if (present != nullptr && says_the_same(*present, document) &&
      sources.store->view().find(key) == present) {
    return at_once(shown(sources, *present));
  }
  Step step;
  step.answer.status = status;
  step.show_document = true;
  step.write = sources.store->put(std::move(document), entry_of("put", key), &owner);
  return step;
}

Step remove_document(const Sources& sources, const Request& request, Task& owner) {
  const Key key = key_of(request.target);
  const model::StoreView& tip = sources.store->tip();
  const DocumentPtr present = tip.find(key);
  if (present == nullptr) return at_once(not_found(key));
  if (auto stale = check_preconditions(request, present, 0)) {
    return refused(sources, "remove", key, std::move(*stale), "refused: conflict");
  }
  const model::Problems problems = validate::check_remove(tip, key);
  if (!problems.empty()) {
    return refused(sources, "remove", key, 409, "Others refer to it", problems);
  }
  Step step;
  step.answer.body = model::to_json(*present) + "\n";
  if (!is_dry_run(request.target)) {
    step.write = sources.store->remove(key, entry_of("remove", key), &owner);
  }
  return step;
}

}  // namespace tulle::api
