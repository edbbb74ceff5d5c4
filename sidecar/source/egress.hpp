// Egress: destinations outside of the mesh, by name: their addresses, and the resources made of them.
//
// Owns the look-ups and what they found; that is also the cache, positive and negative, and it is as
// bounded as the names that it is given (DestinationRequests::kMost). A look-up that fails keeps the
// addresses of before. An address at which this sidecar itself listens is never used: it would call
// itself for ever. Main loop only.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/net/resolver.hpp"
#include "core/net/timer.hpp"
#include "sidecar/worker.hpp"
#include "xds/resource_set.hpp"

namespace tulle::source {

class Egress {
 public:
  // `owner` is woken when advance() has something to do. Without a resolver only addresses work.
  Egress(Loop& loop, std::unique_ptr<Resolver> resolver, Task& owner);

  // The destinations that are external from now on, "<host>:<port>".
  void want(const std::set<std::string, std::less<>>& names);
  // True: resources() has changed.
  bool advance();
  // Those whose first look-up is over; addresses that are ours are left out.
  xds::ResourceSet resources(const BoundAddresses& ours) const;
  size_t size() const { return hosts_.size(); }

 private:
  struct Host {
    std::unique_ptr<Lookup> lookup;
    std::vector<Address> addresses;
    bool answered = false;
    Instant due{};  // of the next look-up
    Duration pause{};
  };
  void begin_due();
  bool take(const std::string& name, Host& host);
  void rearm();

  Loop& loop_;
  std::unique_ptr<Resolver> resolver_;
  Task& owner_;
  std::map<std::string, Host, std::less<>> hosts_;
  size_t running_ = 0;
  bool changed_ = false;
  Timer timer_;
};

}  // namespace tulle::source
