// RouteChains: one worker's chains for the routes of the tables it serves.
//
// A chain is made when the first request takes its route, so memory grows with what is used. When a
// table is replaced, chains of routes that both have (same virtual host and name) hand their
// policies over. Chains of a table live until forget() is told that no generation has it.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sidecar/policies/chain.hpp"
#include "sidecar/routing/route_table.hpp"

namespace tulle::policies {

class RouteChains {
 public:
  explicit RouteChains(PolicyHost& host) : host_(host) {}

  // Null: the route has no policies. The chain lives as long as the table is in use.
  const Chain* of(const routing::RouteTable& table, const routing::Route& route);
  // `table` takes over from the table of the same name. Unchanged tables cost a look-up.
  void adopt(const routing::RouteTable& table);
  // Keeps the tables for which `in_use` is true.
  template <class InUse>
  void forget(InUse in_use) {
    std::erase_if(tables_, [&](const auto& item) { return !in_use(item.first); });
    names_.clear();
    for (const auto& [table, of] : tables_) names_.insert(of.name);
  }
  size_t tables() const { return tables_.size(); }

 private:
  struct OfTable {
    std::string name;
    uint64_t number = 0;                           // later tables have higher ones
    std::vector<const routing::Route*> routes;     // by ordinal; only where there is a chain
    std::vector<std::unique_ptr<Chain>> chains;    // by ordinal; null: not yet taken
  };
  OfTable& of_table(const routing::RouteTable& table);
  const OfTable* former(const routing::RouteTable& table) const;
  Chain& make(OfTable& of, const routing::Route& route, const Chain* former);

  PolicyHost& host_;
  std::unordered_map<const routing::RouteTable*, OfTable> tables_;
  std::unordered_set<std::string> names_;          // of tables_: most tables are never used
  uint64_t adopted_ = 0;
};

}  // namespace tulle::policies
