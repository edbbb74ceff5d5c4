// Whatever is built from documents that could be read is accepted by the sidecar's own compile().
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control-plane/build/build_fixture_test.hpp"

namespace tulle::build {
namespace {

std::string problems_of(const std::string& yaml) {
  const testing::Scenario mesh(yaml);
  std::vector<std::string> destinations;
  for (const model::DocumentPtr& service : mesh.index.view().all(model::Kind::service)) {
    for (const model::ServicePort& port : service->service().ports) {
      destinations.push_back(service->metadata.name + "." + service->metadata.namespace_name +
                             ":" + std::to_string(port.port));
    }
  }
  const xds::ResourceSet resources =
      build_all(mesh.index, mesh.mesh, testing::node_of(), destinations);
  EXPECT_EQ(resources.all(ResourceType::listener).size(), destinations.size() + 2);
  return config::to_text(testing::compiled(resources).problems);
}

std::string route(const std::string& rules) {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n"
         "spec:\n  parentRefs: [{kind: Service, group: '', name: kitchen}]\n  rules: " + rules + "\n";
}

TEST(Accepted, AMeshAndEveryKindOfRule) {
  EXPECT_EQ(problems_of(testing::kMesh), "");
  for (const char* rules : {
           "[{}]",
           "[{backendRefs: [{name: gone, port: 80}]}]",
           "[{backendRefs: [{name: kitchen, port: 80, weight: 1000000}, {name: gone, port: 80}]}]",
           "[{backendRefs: [{name: kitchen, port: 80}, {name: kitchen, port: 80}]}]",
           "[{matches: [{path: {type: PathPrefix, value: /a/}}, {path: {type: Exact, value: /a}}]}]",
           "[{matches: [{path: {type: RegularExpression, value: '/[a-z]+'}, method: DELETE}]}]",
           "[{matches: [{headers: [{name: X-A, value: b, type: RegularExpression}]}]}]",
           "[{matches: [{queryParams: [{name: a, value: b}]}]}]",
           "[{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: a.b, "
           "path: {type: ReplaceFullPath, replaceFullPath: /x}}}]}]",
           "[{matches: [{path: {type: PathPrefix, value: /a}}], filters: [{type: RequestRedirect, "
           "requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}]",
           "[{backendRefs: [{name: kitchen, port: 80}], filters: [{type: URLRewrite, urlRewrite: "
           "{hostname: a.b, path: {type: ReplaceFullPath, replaceFullPath: /50%}}}]}]",
           "[{backendRefs: [{name: kitchen, port: 80}], filters: [{type: RequestHeaderModifier, "
           "requestHeaderModifier: {set: [{name: x, value: '100%'}], remove: [y]}}]}]",
           "[{backendRefs: [{name: kitchen, port: 80}], timeouts: {request: 0s, backendRequest: 1h}}]",
           "[{backendRefs: [{name: kitchen, port: 80}], retry: {attempts: 0}}]",
           "[{backendRefs: [{name: kitchen, port: 80}], retry: {attempts: 5, codes: [500, 599], "
           "backoff: 3s}}]",
       }) {
    EXPECT_EQ(problems_of(testing::kMesh + route(rules)), "") << rules;
  }
}

}  // namespace
}  // namespace tulle::build
