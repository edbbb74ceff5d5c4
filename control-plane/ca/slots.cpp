#include "control-plane/ca/slots.hpp"

#include <algorithm>

namespace tulle::ca {

namespace {

// Clocks of workloads may be behind; a certificate that they still take must still have its CA.
constexpr int64_t kClockSkew = 300;

Error refused(std::string why) {
  return {Code::bad_request, Origin::downstream, std::move(why)};
}

}  // namespace

int64_t Slots::half_life() const {
  return current_.not_before + (current_.not_after - current_.not_before) / 2;
}

int64_t Slots::late_life() const {
  return current_.not_before + (current_.not_after - current_.not_before) / 6 * 5;
}

Result<void> Slots::prepare(Slot next, int64_t now) {
  if (next_) return refused("authority " + next_->slot.id + " is prepared already: activate it");
  if (next.id == current_.id) {
    return refused("authority " + next.id + " is the current one already");
  }
  next_ = PreparedSlot{std::move(next), now};
  return {};
}

Result<void> Slots::activate(int64_t now) {
  if (!next_) return refused("no authority is prepared: prepare one first");
  const int64_t missing = next_->since + times_.propagation - now;
  if (missing > 0) {
    return refused("authority " + next_->slot.id + " is not known everywhere yet: wait " +
                   std::to_string(missing) + " s");
  }
  if (previous_.size() == kMostPrevious) {
    return refused("too many previous authorities are still in use: retire the oldest first");
  }
  Slot former = std::exchange(current_, std::move(next_->slot));
  next_.reset();
  former.key_pem.clear();
  previous_.push_back({std::move(former), now + times_.leaf_lifetime + kClockSkew});
  return {};
}

Result<void> Slots::retire(int64_t now, bool force) {
  if (previous_.empty()) return refused("there is no previous authority to retire");
  const int64_t missing = previous_.front().until - now;
  if (missing > 0 && !force) {
    return refused("certificates of authority " + previous_.front().slot.id +
                   " are valid for another " + std::to_string(missing) +
                   " s, then it is retired by itself; \"force\" refuses them from now on");
  }
  previous_.erase(previous_.begin());
  return {};
}

bool Slots::prepare_due(int64_t now) const { return !next_ && now >= half_life(); }

bool Slots::activate_due(int64_t now) const {
  return next_ && now >= late_life() && now >= next_->since + times_.propagation &&
         previous_.size() < kMostPrevious;
}

bool Slots::retire_due(int64_t now) const {
  return !previous_.empty() && now >= previous_.front().until;
}

int64_t Slots::next_due(int64_t now) const {
  int64_t when = next_ ? std::max(late_life(), next_->since + times_.propagation) : half_life();
  if (!previous_.empty()) when = std::min(when, previous_.front().until);
  return std::max(when, now);
}

std::string Slots::bundle_pem() const {
  std::vector<const std::string*> roots;
  for (const PreviousSlot& each : previous_) roots.push_back(&each.slot.root_pem);
  roots.push_back(&current_.root_pem);
  if (next_) roots.push_back(&next_->slot.root_pem);
  std::string bundle;
  for (size_t i = 0; i < roots.size(); ++i) {
    const auto same = [&](const std::string* root) { return *root == *roots[i]; };
    if (std::none_of(roots.begin(), roots.begin() + static_cast<std::ptrdiff_t>(i), same)) {
      bundle += *roots[i];
    }
  }
  return bundle;
}

}  // namespace tulle::ca
