#include "control-plane/build/result_check.hpp"

#include "control-plane/build/build_fixture_test.hpp"

namespace tulle::build {
namespace {

// What is said about the last document when it is written to a mesh of the others.
std::string problems_of(const std::string& yaml) {
  const model::StoreView view = testing::view_of(testing::kMesh + yaml);
  const model::DocumentPtr changed = view.find(model::Kind::http_route, "default", "kitchen");
  config::Problems problems;
  CompileCheck(Mesh()).check(view, *changed, config::Place(problems, ""));
  return config::to_text(problems);
}

std::string route(const std::string& rules, const std::string& name = "kitchen") {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " +
         name + "}\nspec:\n  parentRefs: [{kind: Service, group: '', name: kitchen}]\n  rules: " +
         rules + "\n";
}

TEST(CompileCheck, SaysNothingAboutWhatTheSidecarTakes) {
  EXPECT_EQ(problems_of(route("[{backendRefs: [{name: kitchen, port: 80}]}]")), "");
}

TEST(CompileCheck, ReportsAtTheRuleOfTheDocument) {
  // The reader has no opinion on how often: the sidecar has.
  const std::string bad = "{backendRefs: [{name: kitchen, port: 80}], retry: {attempts: 11}}";
  const std::string said = problems_of(
      route("[{matches: [{path: {type: Exact, value: /x}}], backendRefs: [{name: kitchen, port: 80}]}, " +
            bad + "]"));
  EXPECT_TRUE(said.starts_with("spec.rules[1]: ")) << said;
  // Somebody else's fault is not this write's.
  EXPECT_EQ(problems_of(route("[{backendRefs: [{name: kitchen, port: 80}]}]") +
                        route("[" + bad + "]", "other")),
            "");
}

}  // namespace
}  // namespace tulle::build
