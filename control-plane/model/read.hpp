// Reading and writing documents as JSON and YAML. Pure: text in, values out; never throws.
//
// Strict: an unknown field (with the nearest known name), a wrong type, a value out of range, a
// name that DNS could not carry, a field given twice: every problem is reported with its path, and
// a document is returned only when there is none. What the mesh cannot enforce is refused as
// unsupported, never ignored. Input is bounded before a tree is made of it: bytes, depth, and the
// number of values after YAML aliases are expanded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/model/document.hpp"
#include "sidecar/config/problem.hpp"

namespace tulle::model {

using config::Place;
using config::Problem;
using config::Problems;

// Of one document. Kubernetes' own limit is 1.5 MiB.
inline constexpr size_t kMaxDocumentBytes = 1024 * 1024;
// Of a file of documents, and how many it may hold.
inline constexpr size_t kMaxFileBytes = 8 * 1024 * 1024;
inline constexpr size_t kMaxDocumentsInFile = 1000;

struct DocumentRead {
  std::optional<Document> document;  // set exactly when problems is empty
  Problems problems;
};

enum class Format : uint8_t { json, yaml };

// One document. `status`, and the metadata that belongs to the store, may be there, so that what
// was read from the API can be written back; only resourceVersion counts (optimistic concurrency).
// `default_namespace`: of a document that names none.
DocumentRead read_document(std::string_view text, Format format,
                           const std::string& default_namespace = "default");

// What the store wrote itself (to_json()): as above, and source and node of a Workload as well.
DocumentRead read_stored_document(std::string_view json);

struct DocumentsRead {
  std::vector<Document> documents;  // those without problems
  Problems problems;                // each with `<origin>: document 2 (HTTPRoute "x")` as resource
};

// A file: YAML documents divided by "---" (JSON is YAML). Empty ones are skipped.
DocumentsRead read_documents(std::string_view text, const std::string& origin);

// Canonical, compact JSON; defaults are written out. Read again it gives an equal document.
// `status_json`, a JSON object, becomes `status`; empty: left out.
std::string to_json(const Document& document, std::string_view status_json = {});
// The same for people, indented.
std::string to_pretty_json(const Document& document, std::string_view status_json = {});

// A list of problems as the API sends it: [{"path","message","code"}].
std::string problems_to_json(const Problems& problems);
std::string_view code_of(Problem::Kind kind);  // "invalid", "unsupported", "dangling", "unreadable"

}  // namespace tulle::model
