#include "control-plane/build/result_check.hpp"

#include <charconv>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/build/build.hpp"
#include "control-plane/build/names.hpp"
#include "control-plane/build/route_order.hpp"
#include "control-plane/model/service_rules.hpp"
#include "sidecar/config/compile.hpp"

namespace tulle::build {

namespace {

using config::Place;
using config::Problem;
using model::Document;
using model::Kind;

// Whose view of a Service port the write may change, and to what.
struct Sight {
  ServicePortName name;
  std::string caller_namespace;
  friend auto operator<=>(const Sight& a, const Sight& b) {
    return std::tie(a.name.namespace_name, a.name.service, a.name.port, a.caller_namespace) <=>
           std::tie(b.name.namespace_name, b.name.service, b.name.port, b.caller_namespace);
  }
};

void add_sights(const Index& index, const std::string& namespace_name, const std::string& name,
                const std::string& caller_namespace, std::set<Sight>& sights) {
  const model::DocumentPtr service = index.service(namespace_name, name);
  if (service == nullptr) return;
  for (const model::ServicePort& port : service->service().ports) {
    sights.insert({{namespace_name, name, port.port}, caller_namespace});
  }
}

std::set<Sight> sights_of(const Index& index, const Document& changed) {
  const std::string& own = changed.metadata.namespace_name;
  std::set<Sight> sights;
  if (changed.kind() == Kind::service) {
    add_sights(index, own, changed.metadata.name, own, sights);
  } else if (changed.kind() == Kind::http_route) {
    for (const model::ParentRef& parent : changed.http_route().parent_refs) {
      add_sights(index, parent.namespace_name, parent.name, own, sights);
    }
  } else {
    add_sights(index, own, changed.workload().service, own, sights);
  }
  return sights;
}

// "virtual_hosts[0].routes[12].match..." is about routes[12].
std::optional<size_t> route_index(const std::string& path) {
  constexpr std::string_view kRoutes = "routes[";
  const size_t at = path.find(kRoutes);
  if (at == std::string::npos) return std::nullopt;
  size_t index = 0;
  const char* begin = path.data() + at + kRoutes.size();
  const auto [end, error] = std::from_chars(begin, path.data() + path.size(), index);
  if (error != std::errc()) return std::nullopt;
  return index;
}

// The field of the document that the fault came from; nothing: it is another document's.
std::optional<Place> place_of(const Problem& problem, const std::vector<RouteEntry>& entries,
                              const Document& changed, const Place& place) {
  if (changed.kind() != Kind::http_route) return place;
  const std::optional<size_t> index = route_index(problem.path);
  if (!index || *index >= entries.size()) return place;
  const RouteEntry& entry = entries[*index];
  if (entry.route->key() != changed.key()) return std::nullopt;
  const Place rule = place.field("spec").field("rules").at(entry.rule);
  const bool match = problem.path.find("].match", problem.path.find("routes[")) !=
                     std::string::npos;
  return match ? rule.field("matches").at(entry.match) : rule;
}

void report(const Problem& problem, const Place& at) {
  if (problem.kind == Problem::Kind::unsupported) {
    at.unsupported(problem.message);
  } else {
    at.invalid(problem.message);
  }
}

}  // namespace

void CompileCheck::check(const model::StoreView& result, const Document& changed,
                         const Place& place) const {
  const Index index(result);
  // Certificates are each sidecar's own: what needs them is not looked at.
  config::Materials materials;
  materials.complete = false;
  std::set<std::string> said;
  for (const Sight& sight : sights_of(index, changed)) {
    const Node caller{.id = "check", .namespace_name = sight.caller_namespace};
    const xds::ResourceSet resources =
        build_closure(index, mesh_, caller, {{ResourceType::route, route_name(sight.name)}});
    const config::Compiled compiled = config::compile(resources, materials, nullptr);
    if (compiled.problems.empty()) continue;
    const model::DocumentPtr service =
        index.service(sight.name.namespace_name, sight.name.service);
    const std::vector<RouteEntry> entries =
        route_entries(index, sight.name, *model::find_port(service->service(), sight.name.port),
                      sight.caller_namespace);
    for (const Problem& problem : compiled.problems) {
      const std::optional<Place> at = place_of(problem, entries, changed, place);
      if (!at || !said.insert(at->path() + problem.message).second) continue;
      report(problem, *at);
    }
  }
}

}  // namespace tulle::build
