#include "sidecar/policies/route_chains.hpp"

#include <map>
#include <string_view>
#include <utility>

namespace tulle::policies {

const Chain* RouteChains::of(const routing::RouteTable& table, const routing::Route& route) {
  if (route.policies.empty()) return nullptr;
  OfTable& of = of_table(table);
  std::unique_ptr<Chain>& chain = of.chains[route.ordinal];
  return chain != nullptr ? chain.get() : &make(of, route, nullptr);
}

RouteChains::OfTable& RouteChains::of_table(const routing::RouteTable& table) {
  const auto found = tables_.find(&table);
  if (found != tables_.end()) return found->second;
  OfTable& fresh = tables_[&table];
  fresh.name = table.name();
  names_.insert(fresh.name);
  fresh.number = ++adopted_;
  fresh.routes.resize(table.route_count());
  fresh.chains.resize(table.route_count());
  return fresh;
}

Chain& RouteChains::make(OfTable& of, const routing::Route& route, const Chain* former) {
  std::unique_ptr<Chain>& chain = of.chains[route.ordinal];
  chain = std::make_unique<Chain>();
  chain->adopt(route.policies, {.host = host_}, former);
  of.routes[route.ordinal] = &route;
  return *chain;
}

const RouteChains::OfTable* RouteChains::former(const routing::RouteTable& table) const {
  const OfTable* latest = nullptr;
  for (const auto& [other, of] : tables_) {
    if (other == &table || of.name != table.name()) continue;
    if (latest == nullptr || of.number > latest->number) latest = &of;
  }
  return latest;
}

void RouteChains::adopt(const routing::RouteTable& table) {
  if (!names_.contains(table.name()) || tables_.contains(&table)) return;
  const OfTable* elder = former(table);
  if (elder == nullptr) return;
  using Key = std::pair<std::string_view, std::string_view>;  // virtual host, route
  std::map<Key, const Chain*> known;
  for (size_t i = 0; i < elder->chains.size(); ++i) {
    if (elder->chains[i] == nullptr) continue;
    const routing::Route& route = *elder->routes[i];
    known.emplace(Key{route.virtual_host, route.name}, elder->chains[i].get());
  }
  if (known.empty()) return;
  OfTable& fresh = of_table(table);
  for (const routing::VirtualHost& host : table.virtual_hosts()) {
    for (const routing::Route& route : host.routes) {
      const auto found = known.find(Key{route.virtual_host, route.name});
      if (found != known.end() && !route.policies.empty()) make(fresh, route, found->second);
    }
  }
}

}  // namespace tulle::policies
