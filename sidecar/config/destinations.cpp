#include "sidecar/config/destinations.hpp"

#include <algorithm>
#include <utility>

#include "core/base/assert.hpp"

namespace tulle::config {

Destinations::Destinations(std::vector<Destination> all) : all_(std::move(all)) {
  by_name_.reserve(all_.size());
  for (uint32_t i = 0; i < all_.size(); ++i) {
    all_[i].index = i;
    const bool alone = by_name_.emplace(all_[i].name, i).second;
    ASSERT(alone);
    const bool leads_nowhere = all_[i].routes == nullptr && all_[i].tcp == nullptr;
    ASSERT(leads_nowhere == (all_[i].kind == Destination::Kind::refused));
  }
}

bool equal(const Destinations& a, const Destinations& b) {
  return std::ranges::equal(a.all(), b.all(), [](const Destination& x, const Destination& y) {
    return x.name == y.name && x.kind == y.kind && x.routes == y.routes && x.tcp == y.tcp &&
           x.version == y.version;
  });
}

}  // namespace tulle::config
