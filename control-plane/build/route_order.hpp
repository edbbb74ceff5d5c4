// Which HTTPRoutes speak for a port of a Service, and in which order their matches are tried. Pure.
//
// A route in the Service's namespace applies to all callers. One in another namespace applies to
// the callers of that namespace, and where there is one, the others do not count for them. All
// rules of the routes that apply become one list, ordered by match: exact paths, then expressions,
// then prefixes, the longer before the shorter; then with a method, more header fields, more query
// parameters; then the older route, the name, the place in the document.
#pragma once

#include <string_view>
#include <vector>

#include "control-plane/build/index.hpp"
#include "control-plane/build/names.hpp"

namespace tulle::build {

struct RouteEntry {
  const model::Document* route;
  size_t rule;   // index in the route
  size_t match;  // index in the rule

  const model::HttpRule& rule_of() const { return route->http_route().rules[rule]; }
  const model::HttpMatch& match_of() const { return rule_of().matches[match]; }
};

// Empty: no route applies. Pointers are into `index`.
std::vector<RouteEntry> route_entries(const Index& index, const ServicePortName& name,
                                      const model::ServicePort& port,
                                      std::string_view caller_namespace);

}  // namespace tulle::build
