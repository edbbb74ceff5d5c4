#include "cli/file/mesh_file.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "control-plane/build/collector.hpp"

#include "control-plane/model/document.hpp"
#include "control-plane/model/names.hpp"
#include "core/base/ascii.hpp"

namespace tulle::cli {
namespace {

// Set by `up` for every instance: a file that sets them would take a service out of the mesh.
constexpr std::array<std::string_view, 7> kReserved = {
    "PORT", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"};

constexpr const char* kLabelRule =
    "must be 1 to 63 lower case letters, digits and '-', beginning and ending with a letter or digit";

bool is_variable(std::string_view text) {
  const auto letter = [](char c) { return is_letter(c) || c == '_'; };
  return !text.empty() && letter(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || is_digit(c); });
}

std::vector<std::string> read_command(FieldReader& fields) {
  const YamlTree* value = fields.find("command");
  if (value == nullptr) {
    fields.report("command", "is missing: what is to be started, as a list or as text for the shell");
    return {};
  }
  if (value->kind == YamlTree::Kind::scalar && !value->text.empty()) {
    return {"/bin/sh", "-c", value->text};
  }
  std::vector<std::string> command = fields.texts("command");
  if (value->kind == YamlTree::Kind::sequence && (command.empty() || command.front().empty())) {
    fields.report("command", "is empty");
  }
  return command;
}

void read_environment(FieldReader& fields, ServiceGroup& group) {
  group.environment = fields.pairs("environment");
  for (const auto& [name, value] : group.environment) {
    if (std::ranges::find(kReserved, name) != kReserved.end()) {
      fields.report("environment", name + " is set by tulle up and cannot be set here");
    } else if (!is_variable(name)) {
      fields.report("environment", "\"" + name + "\" cannot be the name of a variable");
    }
  }
}

void read_labels(FieldReader& fields, ServiceGroup& group) {
  group.labels = fields.pairs("labels");
  for (const auto& [name, value] : group.labels) {
    if (name.empty() || name.size() > 316 || value.size() > 63) {
      fields.report("labels", "\"" + name + "\" or its value is too long or empty");
    } else if (name.starts_with("tulle.dev/")) {
      fields.report("labels", name + ": names below tulle.dev/ belong to the mesh");
    }
  }
}

ServiceGroup read_group(const std::string& name, const YamlTree& value, FileProblems& problems) {
  FieldReader fields(value, "services." + name, problems);
  ServiceGroup group;
  group.name = name;
  if (value.kind != YamlTree::Kind::mapping) return group;  // said already
  group.command = read_command(fields);
  group.service = fields.text("service", name);
  if (!model::is_dns_label(group.service)) fields.report("service", kLabelRule);
  if (fields.find("port") == nullptr) fields.report("port", "is missing: the port callers use");
  group.port = static_cast<uint16_t>(fields.number("port", 1, 1, 65535));
  group.protocol = fields.text("protocol", "http");
  if (!model::app_protocol_of(group.protocol)) {
    fields.report("protocol", "must be http, h2c, grpc, or tcp and the like (tls, redis, mysql, "
                              "postgresql, mongodb, amqp, kafka), is \"" +
                                  group.protocol + "\"");
  }
  group.replicas = static_cast<unsigned>(fields.number("replicas", 1, 1, 50));
  read_labels(fields, group);
  read_environment(fields, group);
  group.health = fields.text("health");
  if (!group.health.empty() && !group.health.starts_with('/')) {
    fields.report("health", "must be a path that begins with '/'");
  } else if (!group.health.empty() && group.is_opaque()) {
    fields.report("health", "is a path to ask over HTTP; for protocol " + group.protocol +
                                " leave it out: then the open port counts");
  }
  group.directory = fields.text("directory", ".");
  group.user = fields.text("user");
  const std::string restart = fields.text("restart", "always");
  if (restart != "always" && restart != "never") {
    fields.report("restart", "must be always or never, is \"" + restart + "\"");
  }
  group.restart =
      restart == "never" ? ServiceGroup::Restart::never : ServiceGroup::Restart::always;
  if (fields.find("calls") != nullptr) group.calls = fields.texts("calls");
  fields.finish();
  return group;
}

build::Collector::Format format_of(const std::string& name) {
  return name == "zipkin" ? build::Collector::Format::zipkin : build::Collector::Format::otlp;
}

std::optional<TracingPlan> read_tracing(const YamlTree& value, FileProblems& problems) {
  FieldReader fields(value, "tracing", problems);
  if (value.kind != YamlTree::Kind::mapping) return std::nullopt;  // said already
  const std::string otlp = fields.text("otlp");
  const std::string zipkin = fields.text("zipkin");
  const std::string percent = fields.text("sampling_percent", "1");
  fields.finish();
  TracingPlan plan{zipkin.empty() ? "otlp" : "zipkin", zipkin.empty() ? otlp : zipkin};
  if (otlp.empty() == zipkin.empty()) {
    problems.push_back({fields.line(), "tracing", "needs one of otlp and zipkin: the URL of a collector"});
  } else if (const auto collector = build::read_collector(format_of(plan.format), plan.url);
             !collector) {
    fields.report(plan.format.c_str(), collector.error().detail);
  }
  const char* end = percent.data() + percent.size();
  const auto read = std::from_chars(percent.data(), end, plan.sampling_percent);
  if (read.ec != std::errc() || read.ptr != end ||
      !(plan.sampling_percent >= 0 && plan.sampling_percent <= 100)) {
    fields.report("sampling_percent", "must be a number between 0 and 100, is \"" + percent + "\"");
  }
  return plan;
}

// What can only be seen when all groups are known.
void check_together(const MeshFile& file, FileProblems& problems) {
  const std::vector<std::string> services = file.services();
  unsigned instances = 0;
  for (const ServiceGroup& group : file.groups) {
    const std::string path = "services." + group.name;
    instances += group.replicas;
    const ServiceGroup& first = file.first_group_of(group.service);
    if (first.port != group.port || first.protocol != group.protocol) {
      problems.push_back({0, path + ".port",
                          "must be that of services." + first.name + " (" +
                              std::to_string(first.port) + ", " + first.protocol +
                              "): both belong to service " + group.service});
    }
    for (const std::string& call : group.calls.value_or(std::vector<std::string>())) {
      if (std::ranges::find(services, call) == services.end()) {
        problems.push_back({0, path + ".calls", "there is no service \"" + call + "\" in this file"});
      }
    }
  }
  if (instances > kMostInstances) {
    problems.push_back({0, "services", std::to_string(instances) + " instances in all; at most " +
                                           std::to_string(kMostInstances) + " are started"});
  }
}

}  // namespace

bool ServiceGroup::is_opaque() const {
  const auto known = model::app_protocol_of(protocol);
  return known && model::is_opaque(*known);
}

std::vector<std::string> MeshFile::services() const {
  std::vector<std::string> names;
  for (const ServiceGroup& group : groups) {
    if (std::ranges::find(names, group.service) == names.end()) names.push_back(group.service);
  }
  return names;
}

const ServiceGroup& MeshFile::first_group_of(std::string_view service) const {
  const auto same = [&](const ServiceGroup& group) { return group.service == service; };
  return *std::ranges::find_if(groups, same);
}

std::optional<MeshFile> read_mesh_file(std::string_view yaml, FileProblems& problems) {
  const size_t before = problems.size();
  const std::optional<YamlTree> tree = read_yaml(yaml, problems);
  if (!tree) return std::nullopt;
  FieldReader fields(*tree, "", problems);
  MeshFile file;
  file.name = fields.required_text("name");
  if (!file.name.empty() && !model::is_dns_label(file.name)) fields.report("name", kLabelRule);
  file.trust_domain = fields.text("trust_domain", "mesh.local");
  if (!model::is_dns_subdomain(file.trust_domain)) {
    fields.report("trust_domain", "must be a domain name in lower case");
  }
  file.access_log = fields.text("access_log", "failures");
  if (file.access_log != "failures" && file.access_log != "all" && file.access_log != "off") {
    fields.report("access_log", "must be failures, all or off, is \"" + file.access_log + "\"");
  }
  file.certificate_lifetime =
      static_cast<unsigned>(fields.number("certificate_lifetime_seconds", 86400, 60, 30 * 86400));
  if (const YamlTree* tracing = fields.find("tracing")) {
    file.tracing = read_tracing(*tracing, problems);
  }
  file.policies = fields.texts("policies");
  if (const YamlTree* services = fields.find("services"); services == nullptr) {
    fields.report("services", "is missing: what is to be started");
  } else if (services->kind != YamlTree::Kind::mapping || services->fields.empty()) {
    fields.report("services", "must be a mapping with at least one service");
  } else {
    for (const auto& [name, value] : services->fields) {
      if (!model::is_dns_label(name)) {
        problems.push_back({value.line, "services." + name, kLabelRule});
      }
      file.groups.push_back(read_group(name, value, problems));
    }
  }
  fields.finish();
  if (problems.size() == before) check_together(file, problems);
  if (problems.size() == before) return file;
  // In the order of the file, as a person goes through it; what has no line comes first.
  std::ranges::stable_sort(problems, {}, &FileProblem::line);
  return std::nullopt;
}

Result<TracingPlan> trace_everything(const std::string& format, const std::string& url) {
  const Result<build::Collector> collector = build::read_collector(format_of(format), url);
  if (!collector) return collector.error();
  return TracingPlan{format, url, 100};
}

std::string url_variable(std::string_view service) {
  std::string name;
  for (const char c : service) {
    name.push_back(c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
  }
  return name + "_URL";
}

}  // namespace tulle::cli
