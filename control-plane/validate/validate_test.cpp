#include "control-plane/validate/validate.hpp"

#include <gtest/gtest.h>

namespace tulle::validate {
namespace {

using model::Kind;

Document read(const std::string& text) {
  model::DocumentRead read = model::read_document(text, model::Format::yaml);
  EXPECT_TRUE(read.document.has_value()) << config::to_text(read.problems);
  return read.document.value_or(Document{});
}

Document service(const std::string& name, const std::string& ports = "[{port: 80}]") {
  return read("{apiVersion: v1, kind: Service, metadata: {name: " + name + "}, spec: {ports: " + ports +
              "}}");
}

Document route(const std::string& parent, const std::string& backend) {
  return read("{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: "
              "{parentRefs: [{group: '', kind: Service, " +
              parent + "}], rules: [{backendRefs: [{" + backend + "}]}]}}");
}

StoreView view_of(const std::vector<Document>& documents) {
  StoreView view;
  for (const Document& document : documents) {
    view = view.with(std::make_shared<const Document>(document), view.revision() + 1);
  }
  return view;
}

std::string put(const StoreView& view, const Document& document) {
  return config::to_text(check_put(view, document, nullptr));
}

const char* const kPorts = "[{name: http, port: 80}, {name: rpc, port: 81}]";

TEST(Validate, ReferencesThatHold) {
  const StoreView view = view_of({service("a", kPorts), service("b")});
  EXPECT_EQ(put(view, route("name: a", "name: b, port: 80")), "");
  EXPECT_EQ(put(view, route("name: a, port: 81, sectionName: rpc", "name: a, port: 81")), "");
}

TEST(Validate, ReferencesThatDangleSayWhatThereIs) {
  const StoreView view = view_of({service("kitchen", kPorts)});
  EXPECT_EQ(put(view, route("name: kitchn", "name: kitchen, port: 80")),
            "spec.parentRefs[0].name: there is no Service \"default/kitchn\"; did you mean \"kitchen\"?\n");
  EXPECT_EQ(put(view, route("name: kitchen, port: 82", "name: kitchen, port: 83")),
            "spec.parentRefs[0].port: Service \"default/kitchen\" has no port 82; it has: 80 (http), 81 (rpc)\n"
            "spec.rules[0].backendRefs[0].port: Service \"default/kitchen\" has no port 83; it has: 80 (http), "
            "81 (rpc)\n");
  EXPECT_EQ(put(view, route("name: kitchen, port: 80, sectionName: rpc", "name: kitchen, port: 80")),
            "spec.parentRefs[0].sectionName: names another port than port does\n");
  EXPECT_NE(put(view, route("name: kitchen, sectionName: web", "name: kitchen, port: 80"))
                .find("no port named \"web\""),
            std::string::npos);
}

TEST(Validate, WhatOthersUseStays) {
  const Document used = service("a", kPorts);
  const StoreView view = view_of({used, service("b"), route("name: b", "name: a, port: 81")});
  EXPECT_NE(put(view, service("a")).find("spec.ports: is used by HTTPRoute \"default/r\" at "
                                         "spec.rules[0].backendRefs[0].port"),
            std::string::npos);
  EXPECT_EQ(check_remove(view, used.key()).size(), 1u);
  EXPECT_EQ(check_remove(view, {Kind::service, "default", "b"}).size(), 1u);
  const StoreView without = view.without({Kind::http_route, "default", "r"}, 9);
  EXPECT_TRUE(check_remove(without, used.key()).empty());
}

TEST(Validate, ARegisteredWorkloadBelongsToItsSidecar) {
  Document workload = read(
      "{apiVersion: tulle.dev/v1alpha1, kind: Workload, metadata: {name: w}, spec: {service: a, address: "
      "127.0.0.1, ports: [{port: 1, inbound: '127.0.0.1:2'}]}}");
  Document registered = workload;
  std::get<model::WorkloadSpec>(registered.spec).source = model::WorkloadSpec::Source::registration;
  const StoreView view = view_of({registered});
  EXPECT_NE(put(view, workload), "");
  EXPECT_EQ(put(view, registered), "");
  EXPECT_EQ(check_remove(view, workload.key()).size(), 1u);
  EXPECT_TRUE(check_remove(view_of({workload}), workload.key()).empty());
}

// The compile step is asked only about what is otherwise good.
class Refuses final : public ResultCheck {
 public:
  void check(const StoreView& result, const Document& changed, const Place& place) const override {
    EXPECT_NE(result.find(changed.key()), nullptr);
    place.field("spec").unsupported("by the sidecar");
  }
};

TEST(Validate, TheResultIsChecked) {
  const Refuses refuses;
  EXPECT_EQ(config::to_text(check_put({}, service("a"), &refuses)), "spec: by the sidecar\n");
  EXPECT_EQ(config::to_text(check_put({}, route("name: a", "name: b, port: 1"), &refuses)).find("by the"),
            std::string::npos);
}

}  // namespace
}  // namespace tulle::validate
