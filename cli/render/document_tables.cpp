#include "cli/render/document_tables.hpp"

#include <nlohmann/json.hpp>

#include "cli/render/palette.hpp"
#include "cli/render/table.hpp"
#include "cli/render/time_text.hpp"

namespace tulle::cli {
namespace {

using nlohmann::json;

const json kNothing;

const json& at(const json& value, const char* name) {
  if (!value.is_object()) return kNothing;
  const auto found = value.find(name);
  return found == value.end() ? kNothing : *found;
}

std::string words(const json& value) {
  if (value.is_string()) return without_controls(value.get<std::string>());
  if (value.is_null()) return "";
  return without_controls(value.dump());
}

std::string or_dash(std::string text) { return text.empty() ? "-" : text; }

std::string joined(const json& list, const auto& show) {
  std::string text;
  for (const json& item : list) {
    if (!text.empty()) text += ", ";
    text += show(item);
  }
  return text;
}

std::string pairs(const json& object) {
  std::string text;
  for (const auto& [name, value] : object.items()) {
    if (!text.empty()) text += ",";
    text += without_controls(name) + "=" + words(value);
  }
  return text;
}

std::string port_text(const json& port) {
  const std::string name = words(at(port, "name"));
  return (name.empty() ? "" : name + ":") + words(at(port, "port"));
}

// "80 % kitchen-v1, 20 % kitchen-v2", or the one backend's name.
std::string backends_text(const json& rule) {
  const json& backends = at(rule, "backendRefs");
  if (!backends.is_array() || backends.empty()) return "no backend";
  double total = 0;
  const auto weight = [](const json& backend) {
    const json& given = at(backend, "weight");
    return given.is_number() ? given.get<double>() : 1.0;
  };
  for (const json& backend : backends) total += weight(backend);
  if (backends.size() == 1) return words(at(backends[0], "name"));
  return joined(backends, [&](const json& backend) {
    const int share = total > 0 ? static_cast<int>(weight(backend) * 100 / total + 0.5) : 0;
    return std::to_string(share) + " % " + words(at(backend, "name"));
  });
}

std::string rule_text(const json& rule) {
  const json& matches = at(rule, "matches");
  std::string text;
  if (matches.is_array() && !matches.empty()) {
    const json& path = at(matches[0], "path");
    const std::string value = words(at(path, "value"));
    if (value != "/" && !value.empty()) text = value + " ";
    if (matches.size() > 1 || !at(matches[0], "headers").is_null()) text += "(conditions) ";
  }
  return text + "-> " + backends_text(rule);
}

// The state of the conditions: what is not True, with its reason.
std::string condition_text(const json& document) {
  const json& conditions = at(at(document, "status"), "conditions");
  if (!conditions.is_array() || conditions.empty()) return "-";
  for (const json& condition : conditions) {
    if (words(at(condition, "status")) == "True") continue;
    return words(at(condition, "type")) + ": " + words(at(condition, "reason"));
  }
  return "yes";
}

std::vector<std::string> cells_of(std::string_view plural, const json& document) {
  const json& spec = at(document, "spec");
  if (plural == "services") {
    return {or_dash(joined(at(spec, "ports"), port_text)), or_dash(pairs(at(spec, "selector")))};
  }
  if (plural == "workloads") {
    const auto inbound = [](const json& port) { return words(at(port, "inbound")); };
    return {or_dash(words(at(spec, "service"))), or_dash(words(at(spec, "address"))),
            or_dash(joined(at(spec, "ports"), inbound)), or_dash(pairs(at(spec, "labels"))),
            at(spec, "source").is_null() ? "manual" : words(at(spec, "source"))};
  }
  const auto parent = [](const json& ref) { return words(at(ref, "name")); };
  return {or_dash(joined(at(spec, "parentRefs"), parent)),
          or_dash(joined(at(spec, "rules"), rule_text)), condition_text(document)};
}

std::vector<std::string> headings_of(std::string_view plural) {
  if (plural == "services") return {"PORTS", "SELECTOR"};
  if (plural == "workloads") return {"SERVICE", "ADDRESS", "INBOUND", "LABELS", "SOURCE"};
  return {"OF", "RULES", "ACCEPTED"};
}

}  // namespace

std::string documents_table(std::string_view plural, const std::string& list_json, int64_t now,
                            bool with_namespace) {
  const json parsed = json::parse(list_json, nullptr, false);
  json items = at(parsed, "items");
  if (!items.is_array()) items = json::array({parsed});
  std::vector<std::string> headings = headings_of(plural);
  headings.insert(headings.begin(), "NAME");
  if (with_namespace) headings.insert(headings.begin(), "NAMESPACE");
  headings.push_back("AGE");
  Table table(std::move(headings));
  for (const json& document : items) {
    const json& metadata = at(document, "metadata");
    std::vector<std::string> cells = cells_of(plural, document);
    cells.insert(cells.begin(), words(at(metadata, "name")));
    if (with_namespace) cells.insert(cells.begin(), words(at(metadata, "namespace")));
    const int64_t created = parse_utc(words(at(metadata, "creationTimestamp")));
    cells.push_back(created > 0 ? age(now - created) : "-");
    table.row(std::move(cells));
  }
  return table.text();
}

}  // namespace tulle::cli
