// Documents from JSON and YAML: the envelope (apiVersion, kind, metadata), bounds, and files.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "control-plane/model/names.hpp"
#include "control-plane/model/read.hpp"
#include "control-plane/model/read_values.hpp"
#include "control-plane/model/yaml_json.hpp"
#include "sidecar/config/strict_json.hpp"

namespace tulle::model {

using nlohmann::json;

namespace {

constexpr size_t kMostAnnotationBytes = 256 * 1024;  // Kubernetes' limit

uint64_t read_resource_version(Object& object) {
  constexpr const char* kName = "resourceVersion";
  const std::string text = object.text(kName);
  if (text.empty()) return 0;
  uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) {
    object.place(kName).invalid("must be a number in quotes, as it was read");
  }
  return version;
}

StringMap read_annotations(Object& object) {
  StringMap annotations;
  const json* map = object.object("annotations");
  if (map == nullptr) return annotations;
  const Place place = object.place("annotations");
  size_t bytes = 0;
  for (const auto& [key, value] : map->items()) {
    if (!is_label_key(key)) {
      place.key(key).invalid("is no annotation name: [prefix/]name of letters, digits, '-', '_', '.'");
    } else if (!value.is_string()) {
      place.key(key).invalid(expected("a string", value));
    } else {
      bytes += key.size() + value.get_ref<const std::string&>().size();
      annotations.emplace(key, value.get<std::string>());
    }
  }
  if (bytes > kMostAnnotationBytes) place.invalid("are longer than 256 KiB");
  return annotations;
}

Metadata read_metadata(const json& value, const Place& place, Kind kind,
                       const std::string& default_namespace) {
  Object object(value, place);
  Metadata metadata;
  metadata.name = object.required_text("name");
  // A Service's name is a host name; the others only have to be unique.
  const bool label = kind == Kind::service;
  const bool fits = label ? is_dns_label(metadata.name) : is_dns_subdomain(metadata.name);
  if (!metadata.name.empty() && !fits) {
    object.place("name").invalid(
        label ? "is no DNS label: at most 63 of a-z, 0-9 and '-', not beginning or ending with '-'"
              : "is no DNS name: at most 253 of a-z, 0-9, '-' and '.', each part as a DNS label");
  }
  const std::string namespace_name = read_label_name(object, "namespace");
  metadata.namespace_name = namespace_name.empty() ? default_namespace : namespace_name;
  metadata.labels = read_labels(object, "labels");
  metadata.annotations = read_annotations(object);
  metadata.generation = object.number("generation", 0, INT64_MAX).value_or(0);
  metadata.resource_version = read_resource_version(object);
  metadata.creation_timestamp = object.text("creationTimestamp");
  object.finish();
  return metadata;
}

// The kind, when kind and apiVersion are a pair that is known.
std::optional<Kind> read_kind(Object& object) {
  const size_t before = object.place().problem_count();
  const std::string version = object.required_text("apiVersion");
  const std::string name = object.required_text("kind");
  if (object.place().problem_count() > before) return std::nullopt;
  std::vector<std::string_view> names;
  for (const Kind kind : kKinds) {
    names.push_back(name_of(kind));
    if (name_of(kind) != name) continue;
    if (api_version_of(kind) == version) return kind;
    object.place("apiVersion").invalid(std::string(name) + " has apiVersion \"" +
                                       std::string(api_version_of(kind)) + "\"");
    return std::nullopt;
  }
  std::string message = "unknown kind \"" + name + "\"";
  const std::string_view near = config::nearest(name, names);
  if (!near.empty()) {
    message.append("; did you mean \"").append(near).append("\"?");
  } else {
    message.append("; one of: Service Workload HTTPRoute");
  }
  object.place("kind").invalid(std::move(message));
  return std::nullopt;
}

std::optional<Document> read_tree(const json& value, const Place& place, bool stored,
                                  const std::string& default_namespace) {
  const size_t before = place.problem_count();
  Object object(value, place);
  if (!object.is_object()) return std::nullopt;
  const std::optional<Kind> kind = read_kind(object);
  const json* metadata = object.required("metadata");
  const json* spec = object.required("spec");
  object.object("status");  // ours; whatever it says is not read
  Document document;
  if (metadata != nullptr) {
    document.metadata = read_metadata(*metadata, object.place("metadata"),
                                      kind.value_or(Kind::workload), default_namespace);
  }
  const Place at = object.place("spec");
  if (kind && spec != nullptr) {
    switch (*kind) {
      case Kind::service: document.spec = read_service(*spec, at); break;
      case Kind::workload: document.spec = read_workload(*spec, at, stored); break;
      case Kind::http_route:
        document.spec = read_http_route(*spec, at, document.metadata.namespace_name);
        break;
    }
  }
  object.finish();
  if (place.problem_count() > before) return std::nullopt;
  return document;
}

bool fits(std::string_view text, size_t most, const Place& place) {
  if (text.size() <= most) return true;
  place.invalid("is " + std::to_string(text.size()) + " bytes long, at most " +
                std::to_string(most) + " are allowed");
  return false;
}

bool parse_one(std::string_view text, Format format, json& value, const Place& place) {
  if (!fits(text, kMaxDocumentBytes, place)) return false;
  if (format == Format::json) return config::parse_strict_json(text, value, place);
  std::vector<json> documents;
  if (!parse_yaml(text, documents, place, 1)) return false;
  if (documents.empty()) {
    place.invalid("is empty");
    return false;
  }
  value = std::move(documents.front());
  return true;
}

DocumentRead read_one(std::string_view text, Format format, bool stored,
                      const std::string& default_namespace) {
  DocumentRead read;
  const Place place(read.problems, "");
  json value;
  if (parse_one(text, format, value, place)) {
    read.document = read_tree(value, place, stored, default_namespace);
  }
  return read;
}

// `file.yaml: document 2 (HTTPRoute "kitchen")`, as far as it can be told.
std::string title_of(const std::string& origin, size_t number, const json& value) {
  std::string title = origin + ": document " + std::to_string(number);
  if (!value.is_object()) return title;
  const auto kind = value.find("kind");
  const auto metadata = value.find("metadata");
  if (kind == value.end() || !kind->is_string()) return title;
  title.append(" (").append(kind->get_ref<const std::string&>().substr(0, 64));
  if (metadata != value.end() && metadata->is_object()) {
    const auto name = metadata->find("name");
    if (name != metadata->end() && name->is_string()) {
      title.append(" \"").append(name->get_ref<const std::string&>().substr(0, 253)).append("\"");
    }
  }
  return title.append(")");
}

}  // namespace

DocumentRead read_document(std::string_view text, Format format,
                           const std::string& default_namespace) {
  return read_one(text, format, false, default_namespace);
}

DocumentRead read_stored_document(std::string_view text) {
  return read_one(text, Format::json, true, "default");
}

DocumentsRead read_documents(std::string_view text, const std::string& origin) {
  DocumentsRead read;
  const Place file(read.problems, origin);
  if (!fits(text, kMaxFileBytes, file)) return read;
  std::vector<json> values;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    values.emplace_back();
    if (!config::parse_strict_json(text, values.back(), file)) return read;
  } else if (!parse_yaml(text, values, file, kMaxDocumentsInFile)) {
    return read;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].is_null()) continue;
    const Place place(read.problems, title_of(origin, i + 1, values[i]));
    if (std::optional<Document> document = read_tree(values[i], place, false, "default")) {
      read.documents.push_back(std::move(*document));
    }
  }
  return read;
}

}  // namespace tulle::model
