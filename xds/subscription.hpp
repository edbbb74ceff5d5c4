// Subscription: the names one side of a state-of-the-world stream wants of one type.
//
// Knows the rules for empty lists and "*". Bounded: a list beyond the bounds is refused whole.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "xds/resource_set.hpp"

namespace tulle::xds {

inline constexpr std::string_view kWildcard = "*";
// A mesh with more destinations than this would not want them all in one sidecar.
inline constexpr size_t kMaxNames = 20'000;
// A host name (253) with port, or the longest route or cluster name made of several; generous.
inline constexpr size_t kMaxNameLength = 1024;

class Subscription {
 public:
  using Names = std::set<std::string, std::less<>>;

  explicit Subscription(ResourceType type) : type_(type) {}

  // Replaces the list; what has been added and removed is told.
  struct Change {
    bool first = false;             // nothing had been asked for on this stream
    bool wildcard_added = false;
    bool removed = false;
    std::vector<std::string> added;
  };
  Result<Change> replace(const std::vector<std::string>& names);

  ResourceType type() const { return type_; }
  bool begun() const { return begun_; }
  // Everything the server deems right for the node (listeners and clusters only).
  bool wildcard() const { return wildcard_; }
  const Names& names() const { return names_; }  // explicit ones, without "*"
  bool wants(std::string_view name) const { return wildcard_ || names_.contains(name); }

 private:
  ResourceType type_;
  Names names_;
  bool wildcard_ = false;
  bool begun_ = false;
  bool named_once_ = false;  // an empty list then means: nothing
};

// Listeners and clusters: a response holds all that exist, and what is left out is deleted.
inline bool whole_set(ResourceType type) {
  return type == ResourceType::listener || type == ResourceType::cluster;
}
// Clusters, endpoints, listeners, routes, secrets: the order that breaks nothing half-way.
inline constexpr std::array kSendOrder{ResourceType::cluster, ResourceType::endpoints,
                                       ResourceType::listener, ResourceType::route,
                                       ResourceType::secret};

}  // namespace tulle::xds
