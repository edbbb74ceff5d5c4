#include "control-plane/build/index.hpp"

#include <algorithm>

#include "control-plane/build/build_fixture_test.hpp"

namespace tulle::build {
namespace {

using model::Document;
using model::Kind;
using model::StoreView;

std::string text_of(std::vector<Touch> touches) {
  std::ranges::sort(touches, {}, &Touch::input);
  std::string text;
  for (const Touch& each : touches) text += each.input + (each.removal ? "!" : "") + "\n";
  return text;
}

StoreView changed(const StoreView& view, Kind kind, const char* name,
                  const std::function<void(Document&)>& change) {
  Document document = *view.find(kind, "default", name);
  change(document);
  return view.with(std::make_shared<const Document>(std::move(document)), view.revision() + 1);
}

TEST(Index, TellsWhatAChangeConcerns) {
  const StoreView first = testing::view_of(testing::kMesh);
  Index index;
  EXPECT_EQ(text_of(index.advance(first)),
            "address//127.0.0.1\nservice/default/kitchen\nservice/default/kitchen-v2\n"
            "service/default/orders\n"
            "workloads/default/kitchen\n");
  EXPECT_EQ(index.workloads_of("default", "kitchen").size(), 2u);
  EXPECT_EQ(text_of(index.advance(first)), "");

  StoreView next = changed(first, Kind::workload, "kitchen-1", [](Document& each) {
    std::get<model::WorkloadSpec>(each.spec).service = "orders";
  });
  EXPECT_EQ(text_of(index.advance(next)),
            "address//127.0.0.1!\nworkloads/default/kitchen!\nworkloads/default/orders!\n");
  EXPECT_EQ(index.workloads_of("default", "kitchen").size(), 1u);
  EXPECT_EQ(index.workloads_of("default", "orders").size(), 1u);

  next = next.without({Kind::workload, "default", "kitchen-2"}, next.revision() + 1);
  EXPECT_EQ(text_of(index.advance(next)), "address//127.0.0.1!\nworkloads/default/kitchen!\n");
  EXPECT_TRUE(index.workloads_of("default", "kitchen").empty());
}

TEST(Index, WhatSaysTheSameChangesNothing) {
  const StoreView first = testing::view_of(testing::kMesh);
  Index index(first);
  const StoreView next = changed(first, Kind::service, "kitchen", [](Document& each) {
    each.metadata.resource_version = 77;
    each.metadata.labels["team"] = "food";
  });
  EXPECT_EQ(text_of(index.advance(next)), "");
  EXPECT_EQ(index.service("default", "kitchen")->metadata.resource_version, 77u);
}

TEST(Index, RoutesAreFoundByTheirParents) {
  const char* const kRoute = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: both}
spec:
  parentRefs: [{kind: Service, group: "", name: kitchen}, {kind: Service, group: "", name: orders}]
  rules: [{backendRefs: [{name: kitchen, port: 80}]}]
)";
  const StoreView with_route = testing::view_of(testing::kMesh + std::string(kRoute));
  Index index(testing::view_of(testing::kMesh));
  EXPECT_EQ(text_of(index.advance(with_route)), "routes/default/kitchen\nroutes/default/orders\n");
  EXPECT_EQ(index.routes_of("default", "orders").size(), 1u);
  const StoreView without = with_route.without({Kind::http_route, "default", "both"}, 99);
  EXPECT_EQ(text_of(index.advance(without)), "routes/default/kitchen\nroutes/default/orders\n");
  EXPECT_TRUE(index.routes_of("default", "orders").empty());
}

}  // namespace
}  // namespace tulle::build
