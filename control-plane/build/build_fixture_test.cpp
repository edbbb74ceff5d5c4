#include "control-plane/build/build_fixture_test.hpp"

#include <sstream>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "tests/support/certificates.hpp"

namespace tulle::build::testing {

namespace {

namespace route = envoy::config::route::v3;

std::string text_of(const google::protobuf::Duration& duration) {
  const double ms = static_cast<double>(duration.seconds()) * 1e3 + duration.nanos() / 1e6;
  std::ostringstream text;
  text << ms << "ms";
  return text.str();
}

std::string text_of(const envoy::type::matcher::v3::StringMatcher& matcher) {
  return matcher.has_safe_regex() ? "~" + matcher.safe_regex().regex() : "=" + matcher.exact();
}

std::string text_of(const route::RouteMatch& match) {
  std::string text;
  if (match.has_path()) text = "=" + match.path();
  if (match.has_prefix()) text = match.prefix();
  if (match.has_path_separated_prefix()) text = match.path_separated_prefix() + "/*";
  if (match.has_safe_regex()) text = "~" + match.safe_regex().regex();
  for (const auto& each : match.headers()) {
    text += " " + each.name() + text_of(each.string_match());
  }
  for (const auto& each : match.query_parameters()) {
    text += " ?" + each.name() + text_of(each.string_match());
  }
  return text;
}

// "outbound|80||kitchen.default.svc.cluster.local" is "kitchen.default:80".
std::string short_cluster(const std::string& name) {
  const size_t bars = name.find("||");
  if (!name.starts_with("outbound|") || bars == std::string::npos) return name;
  const std::string host = name.substr(bars + 2);
  return host.substr(0, host.find(".svc.")) + ":" + name.substr(9, bars - 9);
}

template <class Message>
std::string headers_text(const Message& message) {
  std::string text;
  const auto add = [&](const char* title, const auto& added, const auto& removed) {
    for (const auto& each : added) {
      const bool set = each.append_action() ==
                       envoy::config::core::v3::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD;
      text += std::string(" ") + title + (set ? " set " : " add ") + each.header().key() + "=" +
              each.header().value();
    }
    for (const std::string& name : removed) text += std::string(" ") + title + " remove " + name;
  };
  add("request", message.request_headers_to_add(), message.request_headers_to_remove());
  add("response", message.response_headers_to_add(), message.response_headers_to_remove());
  return text;
}

std::string retry_text(const route::RetryPolicy& policy) {
  std::string text = " retry " + std::to_string(policy.num_retries().value()) + " on " +
                     policy.retry_on();
  for (const uint32_t code : policy.retriable_status_codes()) text += " " + std::to_string(code);
  text += " " + text_of(policy.retry_back_off().base_interval()) + ".." +
          text_of(policy.retry_back_off().max_interval());
  if (policy.has_per_try_timeout()) text += " each " + text_of(policy.per_try_timeout());
  return text;
}

std::string forward_text(const route::RouteAction& action) {
  std::string text = short_cluster(action.cluster());
  for (const auto& each : action.weighted_clusters().clusters()) {
    text += (text.empty() ? "" : " ") + short_cluster(each.name()) + "*" +
            std::to_string(each.weight().value()) + headers_text(each);
    if (each.has_host_rewrite_literal()) text += " host=" + each.host_rewrite_literal();
  }
  if (!action.prefix_rewrite().empty()) text += " prefix=" + action.prefix_rewrite();
  if (!action.path_rewrite().empty()) text += " path=" + action.path_rewrite();
  if (action.has_host_rewrite_literal()) text += " host=" + action.host_rewrite_literal();
  // The defaults are tested once and not repeated in every line.
  if (action.timeout().seconds() + action.timeout().nanos() > 0) {
    text += " timeout " + text_of(action.timeout());
  }
  const std::string retry = retry_text(action.retry_policy());
  if (retry != " retry 2 on connect-failure,refused-stream,reset 25ms..250ms") text += retry;
  return text;
}

std::string redirect_text(const route::RedirectAction& action) {
  std::string text = "redirect " + route::RedirectAction::RedirectResponseCode_Name(
                                       action.response_code());
  if (action.has_scheme_redirect()) text += " " + action.scheme_redirect() + "://";
  text += " " + action.host_redirect() + ":" + std::to_string(action.port_redirect());
  if (action.has_path_redirect()) text += " path=" + action.path_redirect();
  if (action.has_prefix_rewrite()) text += " prefix=" + action.prefix_rewrite();
  return text;
}

}  // namespace

const char* const kMesh = R"(
apiVersion: v1
kind: Service
metadata: {name: kitchen}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: kitchen-v2}
spec:
  ports: [{name: http, port: 80}]
  selector: {tulle.dev/service: kitchen, version: v2}
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {ports: [{name: http, port: 8080}, {name: grpc, port: 9090, appProtocol: grpc}]}
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: kitchen-1}
spec:
  service: kitchen
  address: 127.0.0.1
  labels: {version: v1}
  ports: [{name: http, port: 3001, inbound: "127.0.0.1:9001"}]
---
apiVersion: tulle.dev/v1alpha1
kind: Workload
metadata: {name: kitchen-2}
spec:
  service: kitchen
  address: 127.0.0.1
  labels: {version: v2}
  weight: 2
  ports: [{name: http, port: 3002, inbound: "127.0.0.1:9002"}]
---
)";

model::StoreView view_of(const std::string& yaml) {
  model::DocumentsRead read = model::read_documents(yaml, "test");
  EXPECT_EQ(config::to_text(read.problems), "");
  model::StoreView view;
  uint64_t revision = 0;
  for (model::Document& document : read.documents) {
    ++revision;
    document.metadata.resource_version = revision;
    // As many seconds after midnight.
    std::string time = std::to_string(100000 + revision).substr(2);
    document.metadata.creation_timestamp =
        "2026-01-01T" + time.substr(0, 2) + ":" + time.substr(2, 2) + ":00Z";
    view = view.with(std::make_shared<const model::Document>(std::move(document)), revision);
  }
  return view;
}

Node node_of(const std::string& namespace_name) {
  Node node;
  node.id = "orders-1";
  node.namespace_name = namespace_name;
  node.service = "orders";
  node.outbound = *Address::parse("127.0.0.1:15001");
  node.ports = {{"http", 8080, *Address::parse("127.0.0.1:15006"), model::AppProtocol::http}};
  return node;
}

config::Compiled compiled(const xds::ResourceSet& resources) {
  static const config::Materials materials = [] {
    const tulle::testing::TestCa ca;
    const auto leaf = ca.issue_spiffe("spiffe://mesh.local/ns/default/sa/orders");
    config::Materials made;
    made.identity =
        config::Identity{leaf.certificate_pem, leaf.key_pem, ca.pem(), "mesh.local", "test"};
    return made;
  }();
  return config::compile(resources, materials, nullptr);
}

std::string routes_text(const Built& built) {
  if (built.resource == nullptr) return "nothing";
  route::RouteConfiguration config;
  EXPECT_TRUE(config.ParseFromString(built.resource->bytes));
  EXPECT_EQ(config.name(), built.resource->name);
  std::string text;
  for (const route::Route& each : config.virtual_hosts(0).routes()) {
    text += each.name() + ": " + text_of(each.match()) + " -> ";
    if (each.has_route()) text += forward_text(each.route());
    if (each.has_redirect()) text += redirect_text(each.redirect());
    if (each.has_direct_response()) {
      text += "answer " + std::to_string(each.direct_response().status());
    }
    text += headers_text(each) + "\n";
  }
  return text;
}

std::string endpoints_text(const Built& built) {
  if (built.resource == nullptr) return "nothing";
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  EXPECT_TRUE(assignment.ParseFromString(built.resource->bytes));
  EXPECT_EQ(assignment.cluster_name(), built.resource->name);
  std::string text;
  for (const auto& group : assignment.endpoints()) {
    const auto& where = group.locality();
    for (const auto& each : group.lb_endpoints()) {
      const auto& socket = each.endpoint().address().socket_address();
      text += socket.address() + ":" + std::to_string(socket.port_value()) + " weight=" +
              std::to_string(each.load_balancing_weight().value());
      if (!where.region().empty()) {
        text += " " + where.region() + "/" + where.zone() + "/" + where.sub_zone();
      }
      if (each.health_status() == envoy::config::core::v3::DRAINING) text += " DRAINING";
      text += "\n";
    }
  }
  return text;
}

}  // namespace tulle::build::testing
