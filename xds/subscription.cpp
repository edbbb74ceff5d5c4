#include "xds/subscription.hpp"

#include <utility>

namespace tulle::xds {

namespace {

Error refused(ResourceType type, const std::string& why) {
  return {Code::bad_request, Origin::downstream,
          "subscription to " + std::string(short_name(type)) + ": " + why};
}

}  // namespace

Result<Subscription::Change> Subscription::replace(const std::vector<std::string>& names) {
  if (names.size() > kMaxNames) {
    return refused(type_, "more than " + std::to_string(kMaxNames) + " names");
  }
  Names wanted;
  bool wildcard = false;
  for (const std::string& name : names) {
    if (name.empty()) return refused(type_, "an empty name");
    if (name.size() > kMaxNameLength) {
      return refused(type_, "a name longer than " + std::to_string(kMaxNameLength) + " bytes");
    }
    // Where there is no wildcard, "*" is a name like any other that does not exist.
    if (name == kWildcard && whole_set(type_)) {
      wildcard = true;
    } else {
      wanted.insert(name);
    }
  }
  if (names.empty() && !named_once_) wildcard = whole_set(type_);
  named_once_ = named_once_ || !names.empty();

  Change change;
  change.first = !begun_;
  change.wildcard_added = wildcard && !wildcard_;
  change.removed = !wildcard && wildcard_;
  for (const std::string& name : wanted) {
    if (!names_.contains(name)) change.added.push_back(name);
  }
  const size_t kept = wanted.size() - change.added.size();
  change.removed = change.removed || kept < names_.size();
  begun_ = true;
  wildcard_ = wildcard;
  names_ = std::move(wanted);
  return change;
}

}  // namespace tulle::xds
