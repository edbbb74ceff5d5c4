// Destinations: what requests of on-demand listeners can reach, by "<host>:<port>".
//
// Immutable; generations share one while nothing in it has changed. find() costs one hash and
// allocates nothing. A name that is missing has not been answered yet, which is not the same as
// being unknown: what the control plane has answered to be unknown is here, external or refused.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sidecar/config/filter_chains.hpp"
#include "sidecar/routing/route_table.hpp"

namespace tulle::config {

// What the origin of a resource says that we made ourselves, for an external destination.
inline constexpr std::string_view kEgressOrigin = "egress";

struct Destination {
  enum class Kind : uint8_t {
    mesh,      // configured, statically or by the control plane
    external,  // unknown to the control plane, and let through
    refused,   // unknown to the control plane, and egress is denied
  };
  std::string name;
  Kind kind = Kind::mesh;
  std::shared_ptr<const routing::RouteTable> routes;  // of HTTP; null: it takes none
  std::string version;  // hex hash of the listener, its routes and their clusters; no endpoints
  uint32_t index = 0;   // its place in all()
  std::shared_ptr<const TcpProxy> tcp{};              // of opaque TCP; null: it takes none
};

// Every route table that belongs to it, as shared_ptr.
template <class Visit>
void visit_tables(const Destination& destination, Visit visit) {
  if (destination.routes != nullptr) visit(destination.routes);
  if (destination.tcp != nullptr) visit(destination.tcp->routes);
}

class Destinations {
 public:
  Destinations() = default;
  explicit Destinations(std::vector<Destination> all);  // names are unique
  Destinations(const Destinations&) = delete;
  Destinations& operator=(const Destinations&) = delete;

  const Destination* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &all_[found->second];
  }
  const std::vector<Destination>& all() const { return all_; }
  size_t size() const { return all_.size(); }

 private:
  std::vector<Destination> all_;
  // Views into all_, which never changes.
  std::unordered_map<std::string_view, uint32_t> by_name_;
};

// Same names, kinds, routes and versions: the older one can be kept.
bool equal(const Destinations& a, const Destinations& b);

}  // namespace tulle::config
