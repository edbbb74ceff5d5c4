// RouteConfiguration to RouteTable: virtual hosts, routes and what they do.
#include <map>
#include <set>

#include "core/base/ascii.hpp"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "sidecar/config/compile_changes.hpp"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/policies/catalog.hpp"
#include "sidecar/routing/authority.hpp"
#include "xds/names.hpp"

namespace tulle::config {

namespace {

namespace route = envoy::config::route::v3;
using routing::ConnectRule;
using routing::DirectResponse;
using routing::FieldChanges;
using routing::Forward;
using routing::Redirect;
using routing::Route;
using routing::Target;
using routing::VirtualHost;

constexpr uint32_t kDirectResponseBody = 4096;

// What a route needs from around it.
struct Scope {
  CompileContext& context;
  const FieldChanges& outer;  // the virtual host's and the table's
  uint32_t max_body;
};

// Where a rewritten path or authority comes from a person, it must still be one.
void check_authority(const std::string& text, const Place& place) {
  if (text.find('*') != std::string::npos || !routing::domain_problem(text).empty()) {
    place.invalid("\"" + text + "\" is not a host");
  }
}

void check_path(const std::string& text, std::string_view forbidden, const Place& place) {
  if (!text.starts_with('/') && !text.empty()) {
    place.invalid("must begin with '/'");
  } else if (!is_field_value(text) || text.find_first_of(forbidden) != std::string::npos) {
    place.invalid("holds a character that a path cannot hold");
  }
}

Target make_target(Scope& scope, const std::string& cluster, const Place& place) {
  Target target;
  if (cluster == xds::kInvalidBackendCluster) {
    target.cluster = routing::kInvalidBackend;
    return target;
  }
  const std::optional<ClusterIndex> index = scope.context.cluster(cluster);
  if (!index) {
    place.dangling("cluster \"" + cluster + "\" does not exist");
    return target;
  }
  target.cluster = *index;
  return target;
}

// Weight 0 means "no request": the cluster must exist, but is no target.
void compile_weighted(Scope& scope, const route::WeightedCluster& weighted,
                      const FieldChanges& route_changes, Forward& forward, const Place& place) {
  uint64_t total = 0;
  for (int i = 0; i < weighted.clusters_size(); ++i) {
    const route::WeightedCluster::ClusterWeight& entry = weighted.clusters(i);
    const Place at = place.field("clusters").at(static_cast<size_t>(i));
    Target target = make_target(scope, entry.name(), at.field("name"));
    target.weight = entry.weight().value();
    target.changes = compile_changes_of(entry, at);
    append_changes(target.changes, route_changes);
    if (entry.has_host_rewrite_literal()) {
      target.host_rewrite = entry.host_rewrite_literal();
      check_authority(target.host_rewrite, at.field("host_rewrite_literal"));
    }
    total += target.weight;
    if (target.weight > 0) forward.targets.push_back(std::move(target));
  }
  if (total == 0 || total > UINT32_MAX) {
    place.field("clusters").invalid("the weights must add up to 1 to 4294967295");
    return;
  }
  forward.total_weight = total;
}

// "%%" is a percent sign; commands are not implemented.
void compile_path_rewrite(const route::RouteAction& action, Forward& forward, const Place& place) {
  const Place at = place.field("path_rewrite");
  std::string path;
  for (size_t i = 0; i < action.path_rewrite().size(); ++i) {
    const char c = action.path_rewrite()[i];
    if (c == '%' && (++i == action.path_rewrite().size() || action.path_rewrite()[i] != '%')) {
      at.unsupported("%COMMAND% is not supported yet; write %% for a percent sign");
      return;
    }
    path.push_back(c);
  }
  check_path(path, " ?#", at);
  if (!action.prefix_rewrite().empty()) at.invalid("excludes prefix_rewrite");
  forward.path_rewrite = std::move(path);
}

void compile_rewrites(const route::RouteAction& action, Forward& forward, const Place& place) {
  if (!action.prefix_rewrite().empty()) {
    check_path(action.prefix_rewrite(), " ?#", place.field("prefix_rewrite"));
    forward.prefix_rewrite = action.prefix_rewrite();
  }
  if (!action.path_rewrite().empty()) compile_path_rewrite(action, forward, place);
  if (action.has_host_rewrite_literal()) {
    check_authority(action.host_rewrite_literal(), place.field("host_rewrite_literal"));
    for (Target& target : forward.targets) {
      if (target.host_rewrite.empty()) target.host_rewrite = action.host_rewrite_literal();
    }
  }
  forward.auto_host_rewrite = action.auto_host_rewrite().value();
}

void compile_upgrades(const route::RouteAction& action, Forward& forward, const Place& place) {
  std::set<std::string> seen;
  for (int i = 0; i < action.upgrade_configs_size(); ++i) {
    const route::RouteAction::UpgradeConfig& entry = action.upgrade_configs(i);
    const Place at = place.field("upgrade_configs").at(static_cast<size_t>(i));
    const std::string type = upgrade_type(entry.upgrade_type(), seen, at);
    const bool enabled = !entry.has_enabled() || entry.enabled().value();
    if (type == kConnectType) {
      forward.connect = !enabled                    ? ConnectRule::refused
                        : entry.has_connect_config() ? ConnectRule::terminated
                                                     : ConnectRule::forwarded;
      continue;
    }
    if (entry.has_connect_config()) {
      at.field("connect_config").invalid("goes with upgrade_type CONNECT only");
    }
    if (!type.empty()) forward.upgrades.push_back({type, enabled});
  }
}

// A route for CONNECT has no path to rewrite, and a success of its own would open a tunnel to nobody.
void check_connect_route(const Route& route, const Place& place) {
  if (!route.match.connect_only) return;
  if (const auto* forward = std::get_if<Forward>(&route.action)) {
    if (forward->prefix_rewrite || forward->path_rewrite) {
      place.field("route").invalid("rewrites a path, and connect_matcher is for requests without one");
    }
  } else if (const auto* direct = std::get_if<DirectResponse>(&route.action)) {
    if (direct->status < 300) {
      place.field("direct_response").field("status").invalid(
          "must be 300 or more with connect_matcher: a success would open the tunnel");
    }
  }
}

Forward compile_forward(Scope& scope, const route::RouteAction& action,
                        const FieldChanges& changes, const Place& place) {
  Forward forward;
  switch (action.cluster_specifier_case()) {
    case route::RouteAction::kCluster:
      forward.targets.push_back(make_target(scope, action.cluster(), place.field("cluster")));
      forward.targets.back().changes = changes;
      break;
    case route::RouteAction::kWeightedClusters:
      compile_weighted(scope, action.weighted_clusters(), changes, forward,
                       place.field("weighted_clusters"));
      break;
    case route::RouteAction::CLUSTER_SPECIFIER_NOT_SET:
      place.invalid("needs one of cluster, weighted_clusters");
      break;
    default: break;  // refused as unsupported
  }
  compile_rewrites(action, forward, place);
  if (action.has_idle_timeout()) {
    forward.idle_timeout = duration_of(action.idle_timeout(), place.field("idle_timeout"));
  }
  compile_upgrades(action, forward, place);
  return forward;
}

DirectResponse compile_direct(Scope& scope, const route::DirectResponseAction& action,
                              const Place& place) {
  DirectResponse response;
  if (action.status() < 200 || action.status() > 599) {
    place.field("status").invalid("must be from 200 to 599");
  } else {
    response.status = static_cast<uint16_t>(action.status());
  }
  if (!action.has_body()) return response;
  const auto body = content_of(scope.context, action.body(), place.field("body"));
  if (!body) return response;
  if (body->size() > scope.max_body) {
    place.field("body").invalid("is longer than " + std::to_string(scope.max_body) + " bytes");
  }
  response.body = *body;
  return response;
}

uint16_t redirect_status(const route::RedirectAction& action, const Place& place) {
  switch (action.response_code()) {
    case route::RedirectAction::MOVED_PERMANENTLY: return 301;
    case route::RedirectAction::FOUND: return 302;
    case route::RedirectAction::SEE_OTHER: return 303;
    case route::RedirectAction::TEMPORARY_REDIRECT: return 307;
    case route::RedirectAction::PERMANENT_REDIRECT: return 308;
    default: break;
  }
  place.field("response_code").invalid("unknown value");
  return 301;
}

Redirect compile_redirect(const route::RedirectAction& action, const Place& place) {
  Redirect redirect;
  redirect.status = redirect_status(action, place);
  redirect.strip_query = action.strip_query();
  redirect.host = action.host_redirect();
  if (!redirect.host.empty()) check_authority(redirect.host, place.field("host_redirect"));
  if (action.https_redirect()) redirect.scheme = "https";
  if (action.has_scheme_redirect()) {
    redirect.scheme = lower_case(action.scheme_redirect());
    if (redirect.scheme != "http" && redirect.scheme != "https") {
      place.field("scheme_redirect").invalid("must be http or https");
    }
  }
  if (action.port_redirect() > UINT16_MAX) {
    place.field("port_redirect").invalid("must be from 1 to 65535");
  }
  redirect.port = static_cast<uint16_t>(action.port_redirect());
  if (action.has_path_redirect()) {
    check_path(action.path_redirect(), " #", place.field("path_redirect"));
    redirect.path = action.path_redirect();
  }
  if (action.has_prefix_rewrite()) {
    check_path(action.prefix_rewrite(), " ?#", place.field("prefix_rewrite"));
    redirect.prefix = action.prefix_rewrite();
  }
  return redirect;
}

Route compile_route(Scope& scope, const route::Route& config, const Place& place) {
  Route compiled;
  compiled.name = config.name();
  if (config.has_match()) {
    compiled.match = compile_route_match(config.match(), place.field("match"));
  } else {
    place.field("match").invalid("is missing");
  }
  compiled.changes = compile_changes_of(config, place);
  append_changes(compiled.changes, scope.outer);
  switch (config.action_case()) {
    case route::Route::kRoute:
      compiled.action =
          compile_forward(scope, config.route(), compiled.changes, place.field("route"));
      compiled.policies = policies::parse_entries(config.route(), place.field("route"));
      break;
    case route::Route::kRedirect:
      compiled.action = compile_redirect(config.redirect(), place.field("redirect"));
      break;
    case route::Route::kDirectResponse:
      compiled.action =
          compile_direct(scope, config.direct_response(), place.field("direct_response"));
      break;
    case route::Route::ACTION_NOT_SET:
      place.invalid("needs one of route, redirect, direct_response");
      break;
    default: break;  // refused as unsupported
  }
  check_connect_route(compiled, place);
  return compiled;
}

// A domain belongs to one virtual host of the table.
void compile_domains(const route::VirtualHost& config, VirtualHost& host,
                     std::map<std::string, std::string>& owners, const Place& place) {
  if (config.domains_size() == 0) place.field("domains").invalid("must not be empty");
  for (int i = 0; i < config.domains_size(); ++i) {
    const Place at = place.field("domains").at(static_cast<size_t>(i));
    const std::string domain = lower_case(config.domains(i));
    const std::string problem = routing::domain_problem(domain);
    if (!problem.empty()) at.invalid("\"" + config.domains(i) + "\" " + problem);
    const auto [owner, alone] = owners.emplace(domain, config.name());
    if (!alone) {
      at.invalid("\"" + config.domains(i) + "\" already belongs to virtual host \"" +
                 owner->second + "\"");
    }
    host.domains.push_back(domain);
  }
}

VirtualHost compile_host(CompileContext& context, const route::VirtualHost& config,
                         const FieldChanges& table_changes, uint32_t max_body, const Place& place) {
  VirtualHost host;
  host.name = config.name();
  if (host.name.empty()) place.field("name").invalid("must not be empty");
  FieldChanges changes = compile_changes_of(config, place);
  append_changes(changes, table_changes);
  Scope scope{context, changes, max_body};
  for (int i = 0; i < config.routes_size(); ++i) {
    const Place at = place.field("routes").at(static_cast<size_t>(i));
    Route compiled = compile_route(scope, config.routes(i), at);
    compiled.virtual_host = host.name;
    if (compiled.name.empty()) compiled.name = host.name + "[" + std::to_string(i) + "]";
    host.routes.push_back(std::move(compiled));
  }
  return host;
}

}  // namespace

std::shared_ptr<const routing::RouteTable> compile_routes(CompileContext& context,
                                                          const route::RouteConfiguration& config,
                                                          const Place& place) {
  const size_t before = place.problem_count();
  const FieldChanges changes = compile_changes_of(config, place);
  const uint32_t max_body = config.has_max_direct_response_body_size_bytes()
                                ? config.max_direct_response_body_size_bytes().value()
                                : kDirectResponseBody;
  std::vector<VirtualHost> hosts;
  std::map<std::string, std::string> domain_owners;
  std::set<std::string> names;
  for (int i = 0; i < config.virtual_hosts_size(); ++i) {
    const route::VirtualHost& entry = config.virtual_hosts(i);
    const Place at = place.field("virtual_hosts").at(static_cast<size_t>(i));
    hosts.push_back(compile_host(context, entry, changes, max_body, at));
    compile_domains(entry, hosts.back(), domain_owners, at);
    if (!names.insert(entry.name()).second) {
      at.field("name").invalid("\"" + entry.name() + "\" is given twice");
    }
  }
  if (place.problem_count() > before) return nullptr;
  return std::make_shared<const routing::RouteTable>(config.name(), std::move(hosts),
                                                     config.ignore_port_in_host_matching());
}

std::shared_ptr<const routing::RouteTable> compile_route_resource(CompileContext& context,
                                                                  const xds::Resource& resource) {
  const Place place = context.place_of(resource);
  const auto config = parse_resource<route::RouteConfiguration>(resource, place);
  return config != nullptr ? compile_routes(context, *config, place) : nullptr;
}

}  // namespace tulle::config
