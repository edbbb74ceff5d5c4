#include "control-plane/validate/validate.hpp"

#include <algorithm>

#include "control-plane/model/service_rules.hpp"

namespace tulle::validate {

using model::BackendRef;
using model::DocumentPtr;
using model::HttpRouteSpec;
using model::Kind;
using model::ParentRef;
using model::ServicePort;
using model::ServiceSpec;

namespace {

std::string quoted(const std::string& namespace_name, const std::string& name) {
  return "\"" + namespace_name + "/" + name + "\"";
}

std::string ports_of(const ServiceSpec& service) {
  std::string text;
  for (const ServicePort& port : service.ports) {
    text.append(text.empty() ? "" : ", ").append(std::to_string(port.port));
    if (!port.name.empty()) text.append(" (").append(port.name).append(")");
  }
  return text;
}

// The Service, or null (reported with the nearest name of that namespace).
DocumentPtr find_service(const StoreView& view, const std::string& namespace_name,
                         const std::string& name, const Place& place) {
  DocumentPtr service = view.find(Kind::service, namespace_name, name);
  if (service != nullptr) return service;
  std::vector<std::string_view> names;
  for (const DocumentPtr& other : view.all(Kind::service, namespace_name)) {
    names.push_back(other->metadata.name);
  }
  std::string message = "there is no Service " + quoted(namespace_name, name);
  const std::string_view near = config::nearest(name, names);
  if (!near.empty()) message.append("; did you mean \"").append(near).append("\"?");
  place.field("name").dangling(std::move(message));
  return nullptr;
}

// Rules for requests need a port that has requests.
void refuse_opaque(const ServicePort* port, const Place& place) {
  if (port == nullptr || !model::is_opaque(port->app_protocol)) return;
  place.invalid("port " + std::to_string(port->port) + " is declared \"" +
                std::string(model::to_string(port->app_protocol)) +
                "\": its bytes are carried as they are, there are no requests to route");
}

void check_parent(const StoreView& view, const ParentRef& parent, const Place& place) {
  const DocumentPtr service = find_service(view, parent.namespace_name, parent.name, place);
  if (service == nullptr) return;
  const ServiceSpec& spec = service->service();
  const ServicePort* numbered = parent.port ? model::find_port(spec, *parent.port) : nullptr;
  if (parent.port && numbered == nullptr) {
    place.field("port").dangling("Service " + quoted(parent.namespace_name, parent.name) +
                                 " has no port " + std::to_string(*parent.port) +
                                 "; it has: " + ports_of(spec));
  }
  refuse_opaque(numbered, place.field("port"));
  if (parent.section_name.empty()) return;
  const auto named = std::ranges::find(spec.ports, parent.section_name, &ServicePort::name);
  if (named == spec.ports.end()) {
    place.field("sectionName")
        .dangling("Service " + quoted(parent.namespace_name, parent.name) + " has no port named \"" +
                  parent.section_name + "\"; it has: " + ports_of(spec));
  } else if (numbered != nullptr && numbered != &*named) {
    place.field("sectionName").invalid("names another port than port does");
  }
}

void check_backend(const StoreView& view, const BackendRef& backend, const Place& place) {
  const DocumentPtr service = find_service(view, backend.namespace_name, backend.name, place);
  if (service == nullptr) return;
  const ServicePort* port = model::find_port(service->service(), backend.port);
  if (port != nullptr) return refuse_opaque(port, place.field("port"));
  place.field("port").dangling("Service " + quoted(backend.namespace_name, backend.name) +
                               " has no port " + std::to_string(backend.port) +
                               "; it has: " + ports_of(service->service()));
}

void check_route(const StoreView& view, const Document& route, const Place& place) {
  const HttpRouteSpec& spec = route.http_route();
  const Place at = place.field("spec");
  for (size_t i = 0; i < spec.parent_refs.size(); ++i) {
    check_parent(view, spec.parent_refs[i], at.field("parentRefs").at(i));
  }
  for (size_t i = 0; i < spec.rules.size(); ++i) {
    const Place rule = at.field("rules").at(i);
    for (size_t k = 0; k < spec.rules[i].backend_refs.size(); ++k) {
      check_backend(view, spec.rules[i].backend_refs[k], rule.field("backendRefs").at(k));
    }
  }
}

bool refers_to(const Document& route, const Key& service) {
  const auto is_it = [&](const auto& ref) {
    return ref.name == service.name && ref.namespace_name == service.namespace_name;
  };
  const HttpRouteSpec& spec = route.http_route();
  return std::ranges::any_of(spec.parent_refs, is_it) ||
         std::ranges::any_of(spec.rules, [&](const model::HttpRule& rule) {
           return std::ranges::any_of(rule.backend_refs, is_it);
         });
}

// What the routes that refer to a Service would lack, reported at the Service.
void check_referrers(const StoreView& result, const Key& service, const Place& place) {
  for (const DocumentPtr& route : result.all(Kind::http_route)) {
    if (!refers_to(*route, service)) continue;
    Problems theirs;
    check_route(result, *route, Place(theirs, ""));
    for (const config::Problem& problem : theirs) {
      if (problem.kind != config::Problem::Kind::dangling) continue;
      place.dangling("is used by " + to_string(route->key()) + " at " + problem.path + ": " +
                     problem.message);
    }
  }
}

// What is called at an address must be one thing.
void check_cluster_ips(const StoreView& before, const Document& service, const Place& place) {
  const std::vector<std::string>& ips = service.service().cluster_ips;
  for (size_t i = 0; i < ips.size(); ++i) {
    const auto has_it = [&](const DocumentPtr& other) {
      return other->key() != service.key() &&
             std::ranges::find(other->service().cluster_ips, ips[i]) !=
                 other->service().cluster_ips.end();
    };
    const auto others = before.all(Kind::service);
    const auto taken = std::ranges::find_if(others, has_it);
    if (taken == others.end()) continue;
    place.field("clusterIPs").at(i).invalid(
        ips[i] + " is the address of " + to_string((*taken)->key()) + " already");
  }
}

// A registered workload belongs to its sidecar.
void check_owner(const StoreView& before, const Document& document, const Place& place) {
  const DocumentPtr present = before.find(document.key());
  if (present == nullptr || present->kind() != Kind::workload) return;
  const bool registered =
      present->workload().source == model::WorkloadSpec::Source::registration;
  const bool by_its_sidecar =
      document.workload().source == model::WorkloadSpec::Source::registration;
  if (registered && !by_its_sidecar) {
    place.field("metadata").field("name").invalid(
        "is registered by the sidecar \"" + present->workload().node + "\", which keeps it up to date");
  }
}

}  // namespace

Problems check_put(const StoreView& before, const Document& document,
                   const ResultCheck* result_check) {
  Problems problems;
  const Place place(problems, "");
  const StoreView result =
      before.with(std::make_shared<const Document>(document), before.revision() + 1);
  switch (document.kind()) {
    case Kind::service:
      check_referrers(result, document.key(), place.field("spec").field("ports"));
      check_cluster_ips(before, document, place.field("spec"));
      break;
    case Kind::workload: check_owner(before, document, place); break;
    case Kind::http_route: check_route(result, document, place); break;
  }
  if (problems.empty() && result_check != nullptr) result_check->check(result, document, place);
  return problems;
}

Problems unresolved(const StoreView& view, const Document& document) {
  Problems problems;
  if (document.kind() == Kind::http_route) check_route(view, document, Place(problems, ""));
  return problems;
}

Problems check_remove(const StoreView& before, const Key& key) {
  Problems problems;
  const Place place(problems, "");
  if (key.kind == Kind::service) {
    check_referrers(before.without(key, before.revision() + 1), key, place.field("metadata.name"));
  } else if (key.kind == Kind::workload) {
    const DocumentPtr present = before.find(key);
    if (present != nullptr &&
        present->workload().source == model::WorkloadSpec::Source::registration) {
      place.field("metadata.name")
          .invalid("is registered by the sidecar \"" + present->workload().node +
                   "\"; it goes when that ends");
    }
  }
  return problems;
}

}  // namespace tulle::validate
