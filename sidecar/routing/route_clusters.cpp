#include "sidecar/routing/route_clusters.hpp"

#include <variant>

namespace tulle::routing {

std::set<ClusterIndex> clusters_of(const RouteTable& table) {
  std::set<ClusterIndex> clusters;
  for (const VirtualHost& host : table.virtual_hosts()) {
    for (const Route& route : host.routes) {
      const auto* forward = std::get_if<Forward>(&route.action);
      if (forward == nullptr) continue;
      for (const Target& target : forward->targets) {
        if (target.cluster != kInvalidBackend) clusters.insert(target.cluster);
      }
    }
  }
  return clusters;
}

}  // namespace tulle::routing
