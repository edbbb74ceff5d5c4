// Slots: which authorities there are and when one follows another. Pure: times come in as numbers.
//
//   prepare          activate                 retire
//   next  --------->  current  ------------->  previous  --------> gone
//
// The bundle holds all of them: next long before it signs anything, previous until the last
// certificate it signed has expired. So at no moment does a workload meet a certificate whose CA it
// has not been told of. What a person asks for too early is refused with the time that is missing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace tulle::ca {

// One authority. Only its PEM counts here; nothing of this file looks into certificates.
struct Slot {
  std::string id;               // names its files; the beginning of its certificate's SHA-256
  std::string certificate_pem;  // own first, then up to the root
  std::string key_pem;          // empty in previous slots: they sign nothing any more
  std::string root_pem;         // what the bundle holds
  int64_t not_before = 0;       // Unix seconds, as all times here
  int64_t not_after = 0;
};

struct PreparedSlot {
  Slot slot;
  int64_t since = 0;            // in the bundle since
};

struct PreviousSlot {
  Slot slot;
  int64_t until = 0;            // by then everything it signed has expired
};

struct SlotTimes {
  int64_t leaf_lifetime = 86400;
  // How long a new bundle takes to reach everybody who is connected, generously.
  int64_t propagation = 30;
};

class Slots {
 public:
  static constexpr size_t kMostPrevious = 4;  // rotations in quick succession; bundles are bounded

  Slots(SlotTimes times, Slot current) : times_(times), current_(std::move(current)) {}
  // As it was stored.
  Slots(SlotTimes times, Slot current, std::optional<PreparedSlot> next,
        std::vector<PreviousSlot> previous)
      : times_(times),
        current_(std::move(current)),
        next_(std::move(next)),
        previous_(std::move(previous)) {}

  const Slot& current() const { return current_; }
  const std::optional<PreparedSlot>& next() const { return next_; }
  const std::vector<PreviousSlot>& previous() const { return previous_; }
  const SlotTimes& times() const { return times_; }

  // Errors: bad_request, with what to do instead.
  Result<void> prepare(Slot next, int64_t now);
  Result<void> activate(int64_t now);
  // The oldest previous one. `force`: although its certificates live (its key was stolen); they are
  // refused from then on, and their owners need new tokens.
  Result<void> retire(int64_t now, bool force);

  // The process was away and told nobody: what is prepared counts as known from now on.
  void restarted(int64_t now) {
    if (next_) next_->since = now;
  }

  // What is due by itself: a successor is prepared at half of the current one's life and activated
  // at five sixths; a previous one goes when it has expired.
  bool prepare_due(int64_t now) const;
  bool activate_due(int64_t now) const;
  bool retire_due(int64_t now) const;
  int64_t next_due(int64_t now) const;  // when to look again, at the latest

  // Roots of previous, current and next, oldest first, each once: who follows whom changes nothing.
  std::string bundle_pem() const;

 private:
  int64_t half_life() const;
  int64_t late_life() const;

  SlotTimes times_;
  Slot current_;
  std::optional<PreparedSlot> next_;
  std::vector<PreviousSlot> previous_;  // oldest first
};

}  // namespace tulle::ca
