#include "cli/file/mesh_file.hpp"

#include <gmock/gmock.h>

namespace tulle::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> problems_of(std::string_view yaml) {
  FileProblems problems;
  EXPECT_FALSE(read_mesh_file(yaml, problems).has_value());
  std::vector<std::string> texts;
  for (const FileProblem& problem : problems) texts.push_back(problem.text("mesh.yaml"));
  return texts;
}

MeshFile read(std::string_view yaml) {
  FileProblems problems;
  std::optional<MeshFile> file = read_mesh_file(yaml, problems);
  EXPECT_TRUE(file.has_value()) << (problems.empty() ? "" : problems[0].text("mesh.yaml"));
  return file.value_or(MeshFile());
}

TEST(MeshFile, SaysWhatIsToBeStarted) {
  const MeshFile file = read(R"(
name: ftgo
services:
  kitchen:
    command: ["node", "kitchen.js"]
    port: 8080
    replicas: 2
    labels: {version: v1}
    environment: {OVENS: 3, MODE: "fast lane"}
    health: /health
  kitchen-v2:
    service: kitchen
    command: exec node kitchen.js
    port: 8080
    directory: v2
    restart: never
    calls: [kitchen]
policies: [policies/]
)");
  EXPECT_EQ(file.name, "ftgo");
  EXPECT_EQ(file.trust_domain, "mesh.local");
  ASSERT_EQ(file.groups.size(), 2u);
  const ServiceGroup& kitchen = file.groups[0];
  EXPECT_THAT(kitchen.command, ElementsAre("node", "kitchen.js"));
  EXPECT_EQ(kitchen.service, "kitchen");
  EXPECT_EQ(kitchen.port, 8080);
  EXPECT_EQ(kitchen.protocol, "http");
  EXPECT_EQ(kitchen.replicas, 2u);
  EXPECT_EQ(kitchen.health, "/health");
  EXPECT_EQ(kitchen.directory, ".");
  EXPECT_EQ(kitchen.restart, ServiceGroup::Restart::always);
  EXPECT_FALSE(kitchen.calls.has_value());
  EXPECT_THAT(kitchen.environment, ElementsAre(std::pair<std::string, std::string>("OVENS", "3"),
                                               std::pair<std::string, std::string>("MODE", "fast lane")));
  const ServiceGroup& v2 = file.groups[1];
  EXPECT_THAT(v2.command, ElementsAre("/bin/sh", "-c", "exec node kitchen.js"));
  EXPECT_EQ(v2.service, "kitchen");
  EXPECT_EQ(v2.directory, "v2");
  EXPECT_EQ(v2.restart, ServiceGroup::Restart::never);
  EXPECT_THAT(*v2.calls, ElementsAre("kitchen"));
  EXPECT_THAT(file.services(), ElementsAre("kitchen"));
  EXPECT_THAT(file.policies, ElementsAre("policies/"));
}

TEST(MeshFile, ReportsEveryProblemWithLineAndPath) {
  EXPECT_THAT(problems_of(R"(name: Ftgo
services:
  kitchen:
    ports: 8080
    replicas: many
    health: health
    environment: {PORT: 1, "a b": c}
    labels: {tulle.dev/service: order}
    restart: sometimes
  order: 7
polices: []
)"),
              ElementsAre(
                  HasSubstr("mesh.yaml:1: name: must be 1 to 63 lower case"),
                  "mesh.yaml:4: services.kitchen.command: is missing: what is to be started, as a "
                  "list or as text for the shell",
                  "mesh.yaml:4: services.kitchen.port: is missing: the port callers use",
                  "mesh.yaml:4: services.kitchen.ports: is not a field here; did you mean \"port\"?",
                  "mesh.yaml:5: services.kitchen.replicas: must be a whole number from 1 to 50, is many",
                  "mesh.yaml:6: services.kitchen.health: must be a path that begins with '/'",
                  "mesh.yaml:7: services.kitchen.environment: PORT is set by tulle up and cannot be "
                  "set here",
                  "mesh.yaml:7: services.kitchen.environment: \"a b\" cannot be the name of a variable",
                  "mesh.yaml:8: services.kitchen.labels: tulle.dev/service: names below tulle.dev/ "
                  "belong to the mesh",
                  "mesh.yaml:9: services.kitchen.restart: must be always or never, is \"sometimes\"",
                  "mesh.yaml:10: services.order: must be a mapping (name: value), is a single value",
                  "mesh.yaml:11: polices: is not a field here; did you mean \"policies\"?"));
}

TEST(MeshFile, SaysWhereSpansGo) {
  const std::string rest = "name: a\nservices: {one: {command: [x], port: 80}}\n";
  EXPECT_FALSE(read(rest).tracing.has_value());
  const MeshFile otlp = read(rest + "tracing: {otlp: 'http://127.0.0.1:4318'}\n");
  ASSERT_TRUE(otlp.tracing.has_value());
  EXPECT_EQ(otlp.tracing->format, "otlp");
  EXPECT_EQ(otlp.tracing->url, "http://127.0.0.1:4318");
  EXPECT_EQ(otlp.tracing->sampling_percent, 1);
  const MeshFile zipkin =
      read(rest + "tracing: {zipkin: 'http://127.0.0.1:9411', sampling_percent: 12.5}\n");
  ASSERT_TRUE(zipkin.tracing.has_value());
  EXPECT_EQ(zipkin.tracing->format, "zipkin");
  EXPECT_EQ(zipkin.tracing->sampling_percent, 12.5);
  for (const auto& [text, problem] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "tracing: needs one of otlp and zipkin"},
           {"{otlp: 'http://127.0.0.1:1', zipkin: 'http://127.0.0.1:1'}", "needs one of"},
           {"{otlp: 'http://collector:4318'}", "tracing.otlp: "},
           {"{otlp: 'http://127.0.0.1:1', sampling_percent: most}", "tracing.sampling_percent: "},
           {"{otlp: 'http://127.0.0.1:1', sampling_percent: 101}", "tracing.sampling_percent: "},
           {"{jaeger: x, otlp: 'http://127.0.0.1:1'}", "tracing.jaeger: "}}) {
    EXPECT_THAT(problems_of(rest + "tracing: " + text + "\n"), ElementsAre(HasSubstr(problem)));
  }
}

TEST(MeshFile, TracesEverythingForACollectorNamedElsewhere) {
  const auto plan = trace_everything("zipkin", "http://127.0.0.1:9411");
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->format, "zipkin");
  EXPECT_EQ(plan->url, "http://127.0.0.1:9411");
  EXPECT_EQ(plan->sampling_percent, 100);
  EXPECT_FALSE(trace_everything("otlp", "collector:4318").has_value());
}

TEST(MeshFile, ChecksWhatGroupsSayTogether) {
  EXPECT_THAT(problems_of(R"(
name: a
services:
  one: {command: [x], port: 80}
  two: {command: [x], port: 81, service: one, calls: [three]}
)"),
              ElementsAre("mesh.yaml: services.two.port: must be that of services.one (80, http): both "
                          "belong to service one",
                          "mesh.yaml: services.two.calls: there is no service \"three\" in this file"));
}

TEST(MeshFile, RefusesWhatIsNotOneDocument) {
  EXPECT_THAT(problems_of("a: [1, 2"), ElementsAre(HasSubstr("is not YAML: ")));
  EXPECT_THAT(problems_of(""), ElementsAre("mesh.yaml: is empty"));
  EXPECT_THAT(problems_of("a: 1\n---\nb: 2\n"), ElementsAre(HasSubstr("is a second document")));
  EXPECT_THAT(problems_of("name: a\nname: b\n"), ElementsAre("mesh.yaml:2: name: is given twice"));
}

TEST(MeshFile, BoundsWhatAliasesMake) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 9; ++k) bomb += ", " + last;
    bomb += "]\n";
  }
  EXPECT_THAT(problems_of(bomb), ElementsAre(HasSubstr("is too large")));
}

TEST(MeshFile, NamesAUrlVariablePerService) {
  EXPECT_EQ(url_variable("accounting"), "ACCOUNTING_URL");
  EXPECT_EQ(url_variable("payment-gateway2"), "PAYMENT_GATEWAY2_URL");
}

}  // namespace
}  // namespace tulle::cli
