#include "control-plane/build/route_order.hpp"

#include <algorithm>
#include <tuple>

namespace tulle::build {

namespace {

using model::Document;
using model::DocumentPtr;
using model::HttpMatch;
using model::PathMatch;

bool names_port(const Document& route, const ServicePortName& name,
                const model::ServicePort& port) {
  return std::ranges::any_of(
      route.http_route().parent_refs, [&](const model::ParentRef& parent) {
        return parent.name == name.service && parent.namespace_name == name.namespace_name &&
               (!parent.port || *parent.port == port.port) &&
               (parent.section_name.empty() || parent.section_name == port.name);
      });
}

std::vector<const Document*> applying(const Index& index, const ServicePortName& name,
                                      const model::ServicePort& port,
                                      std::string_view caller_namespace) {
  std::vector<const Document*> for_all;
  std::vector<const Document*> for_callers;
  for (const DocumentPtr& route : index.routes_of(name.namespace_name, name.service)) {
    if (!names_port(*route, name, port)) continue;
    const std::string& own = route->metadata.namespace_name;
    if (own == name.namespace_name) {
      for_all.push_back(route.get());
    } else if (own == caller_namespace) {
      for_callers.push_back(route.get());
    }
  }
  return for_callers.empty() ? for_all : for_callers;
}

int rank_of(PathMatch::Type type) {
  switch (type) {
    case PathMatch::Type::exact: return 0;
    case PathMatch::Type::regex: return 1;
    case PathMatch::Type::prefix: return 2;
  }
  return 2;
}

// "/abc/" matches what "/abc" matches.
size_t length_of(const PathMatch& path) {
  const bool slash = path.type == PathMatch::Type::prefix && path.value.ends_with('/');
  return path.value.size() - (slash ? 1 : 0);
}

bool comes_before(const RouteEntry& a, const RouteEntry& b) {
  const HttpMatch& x = a.match_of();
  const HttpMatch& y = b.match_of();
  const auto weight = [](const HttpMatch& match) {
    return std::tuple(-rank_of(match.path.type), length_of(match.path), !match.method.empty(),
                      match.headers.size(), match.query_params.size());
  };
  if (weight(x) != weight(y)) return weight(x) > weight(y);
  const model::Metadata& m = a.route->metadata;
  const model::Metadata& n = b.route->metadata;
  return std::tie(m.creation_timestamp, m.namespace_name, m.name, a.rule, a.match) <
         std::tie(n.creation_timestamp, n.namespace_name, n.name, b.rule, b.match);
}

}  // namespace

std::vector<RouteEntry> route_entries(const Index& index, const ServicePortName& name,
                                      const model::ServicePort& port,
                                      std::string_view caller_namespace) {
  std::vector<RouteEntry> entries;
  for (const Document* route : applying(index, name, port, caller_namespace)) {
    const auto& rules = route->http_route().rules;
    for (size_t rule = 0; rule < rules.size(); ++rule) {
      for (size_t match = 0; match < rules[rule].matches.size(); ++match) {
        entries.push_back({route, rule, match});
      }
    }
  }
  std::ranges::sort(entries, comes_before);
  return entries;
}

}  // namespace tulle::build
