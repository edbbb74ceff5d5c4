// clusters_of: which clusters a route table can send to. Ordered, each once, without the invalid one.
#pragma once

#include <set>

#include "sidecar/routing/route_table.hpp"

namespace tulle::routing {

std::set<ClusterIndex> clusters_of(const RouteTable& table);

}  // namespace tulle::routing
