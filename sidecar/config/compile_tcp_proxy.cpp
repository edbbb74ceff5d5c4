// TcpProxy: where opaque connections go, and for how long they may be silent.
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/routing/destination_name.hpp"

namespace tulle::config {

namespace {

using Source = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

// Each takes up to the connect timeout; a caller does not wait for more than a handful.
constexpr uint32_t kMostAttempts = 16;

void add_target(CompileContext& context, const std::string& name, uint32_t weight,
                routing::Forward& forward, const Place& place) {
  const auto index = context.cluster(name);
  if (!index) place.dangling("Cluster \"" + name + "\" does not exist");
  routing::Target& target = forward.targets.emplace_back();
  target.cluster = index.value_or(0);
  target.weight = weight;
}

void add_shares(CompileContext& context, const Source::WeightedCluster& shares,
                routing::Forward& forward, const Place& place) {
  uint64_t total = 0;
  for (int i = 0; i < shares.clusters_size(); ++i) {
    const auto& share = shares.clusters(i);
    const Place at = place.field("clusters").at(static_cast<size_t>(i));
    if (share.weight() == 0) at.field("weight").invalid("must be at least 1");
    add_target(context, share.name(), share.weight(), forward, at.field("name"));
    total += share.weight();
  }
  if (shares.clusters_size() == 0) place.field("clusters").invalid("must not be empty");
  if (total > UINT32_MAX) place.field("clusters").invalid("the weights are too large");
  forward.total_weight = total == 0 ? 1 : total;
}

std::shared_ptr<const routing::RouteTable> table_of(const std::string& name,
                                                    std::optional<routing::Forward> forward) {
  std::vector<routing::VirtualHost> hosts;
  if (forward && !forward->targets.empty()) {
    routing::Route route;
    route.name = name;
    route.match.path.text.kind = routing::StringMatch::Kind::prefix;
    route.action = std::move(*forward);
    routing::VirtualHost& host = hosts.emplace_back();
    host.name = name;
    host.domains = {"*"};
    host.routes.push_back(std::move(route));
  }
  return std::make_shared<const routing::RouteTable>(name, std::move(hosts), false);
}

// The cluster's place holds the destination; where the original destination decides, it may stay
// empty.
void read_on_demand(const Source& source, bool by_original_destination, TcpProxy& proxy,
                    const Place& place) {
  proxy.on_demand = true;
  proxy.destination = source.cluster();
  if (source.has_weighted_clusters()) {
    place.field("weighted_clusters").invalid("does not go with on_demand");
  } else if (proxy.destination.empty() && by_original_destination) {
    return;
  } else if (routing::parse_destination(proxy.destination).port == 0) {
    place.field("cluster").invalid("\"" + proxy.destination +
                                   "\" is not <host>:<port>, which on_demand looks up; the host in "
                                   "lower case");
  }
}

}  // namespace

std::shared_ptr<const TcpProxy> compile_tcp_proxy(CompileContext& context,
                                                  const google::protobuf::Any& any,
                                                  bool by_original_destination,
                                                  const Place& place) {
  Source source;
  if (!unpack(any, source, place)) return nullptr;
  auto proxy = std::make_shared<TcpProxy>();
  std::optional<routing::Forward> forward;
  if (source.has_on_demand()) {
    read_on_demand(source, by_original_destination, *proxy, place);
  } else if (source.has_weighted_clusters()) {
    add_shares(context, source.weighted_clusters(), forward.emplace(),
               place.field("weighted_clusters"));
  } else if (!source.cluster().empty()) {
    add_target(context, source.cluster(), 1, forward.emplace(), place.field("cluster"));
  } else {
    place.invalid("needs one of cluster, weighted_clusters");
  }
  proxy->routes = table_of(source.stat_prefix().empty() ? "tcp" : source.stat_prefix(),
                           std::move(forward));
  if (source.has_idle_timeout()) {
    const auto limit = duration_of(source.idle_timeout(), place.field("idle_timeout"));
    if (limit) proxy->idle_timeout = *limit;
  }
  if (source.has_max_connect_attempts()) {
    read_number(source.max_connect_attempts(), 1, kMostAttempts, proxy->connect_attempts,
                place.field("max_connect_attempts"));
  }
  return proxy;
}

}  // namespace tulle::config
