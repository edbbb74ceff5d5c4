#include "sidecar/source/destination_names.hpp"

namespace tulle::source {

void DestinationNames::restore(const std::set<std::string>& names, Instant now) {
  for (const std::string& name : names) {
    if (requests_.restore(name)) last_use_[name] = now;
  }
}

bool DestinationNames::advance(Instant now) {
  bool changed = false;
  for (std::string& name : requests_.take_asked()) {
    changed |= last_use_.insert_or_assign(std::move(name), now).second;
  }
  for (const std::string& name : requests_.take_used()) {
    const auto found = last_use_.find(name);
    if (found != last_use_.end()) found->second = now;
  }
  return drop_unused(now) || changed;
}

bool DestinationNames::drop_unused(Instant now) {
  const bool full = last_use_.size() >= DestinationRequests::kMost;
  if (!full && now < swept_ + kDestinationSweep) return false;
  swept_ = now;
  const Duration stays = full ? kUnusedDestinationStaysWhenFull : kUnusedDestinationStays;
  return std::erase_if(last_use_, [&](const auto& entry) {
           if (now < entry.second + stays) return false;
           requests_.forget(entry.first);
           return true;
         }) > 0;
}

std::set<std::string> DestinationNames::names() const {
  std::set<std::string> names;
  for (const auto& [name, last_use] : last_use_) names.insert(names.end(), name);
  return names;
}

}  // namespace tulle::source
