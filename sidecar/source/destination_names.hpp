// DestinationNames: which destinations are asked for by name, and for how long. Main loop only.
//
// A name comes with the first request for it and goes an hour after the last one; when the places
// run out, ten minutes after. Bounded by DestinationRequests, which the workers ask.
#pragma once

#include <map>
#include <set>
#include <string>

#include "core/base/clock.hpp"
#include "sidecar/destination_requests.hpp"

namespace tulle::source {

inline constexpr Duration kUnusedDestinationStays = 1h;
// Longer than use is unknown for: workers report it every five minutes.
inline constexpr Duration kUnusedDestinationStaysWhenFull = 10min;
inline constexpr Duration kDestinationSweep = 5min;

class DestinationNames {
 public:
  explicit DestinationNames(DestinationRequests& requests) : requests_(requests) {}

  void restore(const std::set<std::string>& names, Instant now);
  // Takes in what the workers say and drops what nobody uses. True: names() has changed.
  bool advance(Instant now);
  std::set<std::string> names() const;
  bool contains(const std::string& name) const { return last_use_.contains(name); }
  size_t size() const { return last_use_.size(); }

 private:
  bool drop_unused(Instant now);

  DestinationRequests& requests_;
  std::map<std::string, Instant> last_use_;
  Instant swept_{};
};

}  // namespace tulle::source
