// What a rule does with a request: redirect it, or change it and forward it to its backends.
#include <optional>
#include <string>
#include <vector>

#include "control-plane/build/build_parts.hpp"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "xds/names.hpp"

namespace tulle::build {

namespace {

namespace v3 = envoy::config::route::v3;
using envoy::config::core::v3::HeaderValueOption;
using model::PathModifier;

constexpr uint32_t kServiceUnavailable = 503;

// Values are literal here; in xDS a percent sign begins a command.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) out.append(c == '%' ? 2 : 1, c);
  return out;
}

void add_headers(const std::vector<model::NameValue>& fields,
                 HeaderValueOption::HeaderAppendAction action,
                 google::protobuf::RepeatedPtrField<HeaderValueOption>& into) {
  for (const auto& [name, value] : fields) {
    HeaderValueOption& option = *into.Add();
    option.mutable_header()->set_key(name);
    option.mutable_header()->set_value(escaped(value));
    option.set_append_action(action);
    option.set_keep_empty_value(true);
  }
}

// Into whatever carries such fields: a route or a weighted cluster.
template <class Message>
void change_headers(const model::Filters& filters, Message& into) {
  if (filters.request_headers) {
    const model::HeaderModifier& change = *filters.request_headers;
    auto& add = *into.mutable_request_headers_to_add();
    add_headers(change.set, HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD, add);
    add_headers(change.add, HeaderValueOption::APPEND_IF_EXISTS_OR_ADD, add);
    for (const std::string& name : change.remove) into.add_request_headers_to_remove(name);
  }
  if (filters.response_headers) {
    const model::HeaderModifier& change = *filters.response_headers;
    auto& add = *into.mutable_response_headers_to_add();
    add_headers(change.set, HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD, add);
    add_headers(change.add, HeaderValueOption::APPEND_IF_EXISTS_OR_ADD, add);
    for (const std::string& name : change.remove) into.add_response_headers_to_remove(name);
  }
}

// What stands for the matched prefix afterwards. The sidecar puts `result + rest`; a prefix of "/"
// leaves a rest without its slash, every other one a rest with it.
std::string replacement_of(const std::string& replacement, const model::HttpMatch& match) {
  std::string text = replacement;
  while (text.ends_with('/')) text.pop_back();
  const bool whole = match.path.value.find_first_not_of('/') == std::string::npos;
  if (whole || text.empty()) text.push_back('/');
  return text;
}

v3::RedirectAction::RedirectResponseCode response_code(uint16_t status) {
  switch (status) {
    case 301: return v3::RedirectAction::MOVED_PERMANENTLY;
    case 303: return v3::RedirectAction::SEE_OTHER;
    case 307: return v3::RedirectAction::TEMPORARY_REDIRECT;
    case 308: return v3::RedirectAction::PERMANENT_REDIRECT;
    default: return v3::RedirectAction::FOUND;
  }
}

// The port: the one that is asked for, else the scheme's own, else the one that was called.
uint16_t redirect_port(const model::RequestRedirect& redirect, uint16_t called) {
  if (redirect.port) return *redirect.port;
  if (redirect.scheme == "http") return 80;
  if (redirect.scheme == "https") return 443;
  return called;
}

void redirect_to(const model::RequestRedirect& redirect, const model::HttpMatch& match,
                 uint16_t called, v3::RedirectAction& into) {
  if (!redirect.scheme.empty()) into.set_scheme_redirect(redirect.scheme);
  if (!redirect.hostname.empty()) into.set_host_redirect(redirect.hostname);
  into.set_port_redirect(redirect_port(redirect, called));
  into.set_response_code(response_code(redirect.status_code));
  if (!redirect.path) return;
  if (redirect.path->type == PathModifier::Type::prefix) {
    into.set_prefix_rewrite(replacement_of(redirect.path->value, match));
  } else {
    into.set_path_redirect(redirect.path->value.empty() ? "/" : redirect.path->value);
  }
}

void rewrite(const model::UrlRewrite& rewrite, const model::HttpMatch& match,
             v3::RouteAction& into) {
  if (!rewrite.hostname.empty()) into.set_host_rewrite_literal(rewrite.hostname);
  if (!rewrite.path) return;
  if (rewrite.path->type == PathModifier::Type::prefix) {
    into.set_prefix_rewrite(replacement_of(rewrite.path->value, match));
  } else {
    into.set_path_rewrite(rewrite.path->value.empty() ? "/" : escaped(rewrite.path->value));
  }
}

std::string cluster_of(Scene& scene, const model::BackendRef& backend) {
  const ServicePortName name{backend.namespace_name, backend.name, backend.port};
  model::DocumentPtr service;
  if (scene.find_port(name, service) == nullptr) return std::string(xds::kInvalidBackendCluster);
  return cluster_name(name, scene.mesh);
}

bool is_plain(const model::Filters& filters) {
  return !filters.request_headers && !filters.response_headers && !filters.rewrite;
}

// A weight of 0 is no request, so such a backend is not mentioned at all.
struct Share {
  const model::BackendRef* backend;
  std::string cluster;
};

std::vector<Share> shares_of(Scene& scene, const model::HttpRule& rule) {
  std::vector<Share> shares;
  for (const model::BackendRef& backend : rule.backend_refs) {
    if (backend.weight > 0) shares.push_back({&backend, cluster_of(scene, backend)});
  }
  return shares;
}

void forward_to(const std::vector<Share>& shares, v3::RouteAction& into) {
  if (shares.size() == 1 && is_plain(shares.front().backend->filters)) {
    into.set_cluster(shares.front().cluster);
    return;
  }
  for (const Share& share : shares) {
    auto& entry = *into.mutable_weighted_clusters()->add_clusters();
    entry.set_name(share.cluster);
    entry.mutable_weight()->set_value(share.backend->weight);
    change_headers(share.backend->filters, entry);
    const std::optional<model::UrlRewrite>& rewrite = share.backend->filters.rewrite;
    if (rewrite && !rewrite->hostname.empty()) entry.set_host_rewrite_literal(rewrite->hostname);
  }
}

// Nobody would be forwarded to. A reference that cannot be resolved counts even without weight.
void answer_nothing(Scene& scene, const model::HttpRule& rule, v3::Route& route) {
  bool resolved = !rule.backend_refs.empty();
  for (const model::BackendRef& backend : rule.backend_refs) {
    resolved = resolved && cluster_of(scene, backend) != xds::kInvalidBackendCluster;
  }
  if (!resolved) {
    route.mutable_route()->set_cluster(std::string(xds::kInvalidBackendCluster));
    return;
  }
  route.mutable_direct_response()->set_status(kServiceUnavailable);
  route.mutable_direct_response()->mutable_body()->set_inline_string(
      "every backendRef of this rule has weight 0\n");
}

// Zero is written out: absent would be 15 seconds.
void set_limits(const model::Timeouts& timeouts, const model::Retry* retry,
                v3::RouteAction& into) {
  set_duration(timeouts.request.value_or(0s), *into.mutable_timeout());
  build_retry(retry, timeouts, *into.mutable_retry_policy());
  into.set_cluster_not_found_response_code(v3::RouteAction::INTERNAL_SERVER_ERROR);
}

}  // namespace

void build_action(Scene& scene, const model::HttpRule& rule, const model::HttpMatch& match,
                  uint16_t port, v3::Route& route) {
  change_headers(rule.filters, route);
  if (rule.filters.redirect) {
    return redirect_to(*rule.filters.redirect, match, port, *route.mutable_redirect());
  }
  const std::vector<Share> shares = shares_of(scene, rule);
  if (shares.empty()) {
    answer_nothing(scene, rule, route);
  } else {
    forward_to(shares, *route.mutable_route());
  }
  if (!route.has_route()) return;
  if (rule.filters.rewrite) rewrite(*rule.filters.rewrite, match, *route.mutable_route());
  set_limits(rule.timeouts, rule.retry ? &*rule.retry : nullptr, *route.mutable_route());
}

void build_default_action(const std::string& cluster, v3::Route& route) {
  route.mutable_route()->set_cluster(cluster);
  set_limits({}, nullptr, *route.mutable_route());
}

}  // namespace tulle::build
