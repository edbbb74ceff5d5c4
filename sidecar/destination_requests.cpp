#include "sidecar/destination_requests.hpp"

#include <iterator>
#include <memory>
#include <utility>

#include "core/net/loop.hpp"
#include "core/net/task.hpp"
#include "sidecar/routing/destination_name.hpp"

namespace tulle {

class DestinationRequests::Wake final : public Message {
 public:
  explicit Wake(DestinationRequests& requests) : requests_(requests) {}
  void deliver() override {
    {
      const std::lock_guard lock(requests_.mutex_);
      requests_.wake_posted_ = false;
    }
    requests_.owner_.wake();
  }

 private:
  DestinationRequests& requests_;
};

void DestinationRequests::wake_owner() {
  if (std::exchange(wake_posted_, true)) return;
  main_.post(std::make_unique<Wake>(*this));
}

bool DestinationRequests::ask(std::string_view name) {
  if (routing::parse_destination(name).port == 0) return false;
  const std::lock_guard lock(mutex_);
  if (names_.contains(name)) return true;
  if (names_.size() >= kMost) {
    ++refused_;
    wake_owner();
    return false;
  }
  names_.emplace(name);
  asked_.emplace_back(name);
  wake_owner();
  return true;
}

void DestinationRequests::report_use(std::vector<std::string> names) {
  const std::lock_guard lock(mutex_);
  // A worker reports a name once in minutes; more than this is news that the next report repeats.
  if (used_.size() >= 16 * kMost) return;
  used_.insert(used_.end(), std::make_move_iterator(names.begin()),
               std::make_move_iterator(names.end()));
  wake_owner();
}

std::vector<std::string> DestinationRequests::take_asked() {
  const std::lock_guard lock(mutex_);
  return std::exchange(asked_, {});
}

uint64_t DestinationRequests::take_refused() {
  const std::lock_guard lock(mutex_);
  return std::exchange(refused_, 0);
}

std::vector<std::string> DestinationRequests::take_used() {
  const std::lock_guard lock(mutex_);
  return std::exchange(used_, {});
}

bool DestinationRequests::restore(std::string_view name) {
  if (routing::parse_destination(name).port == 0) return false;
  const std::lock_guard lock(mutex_);
  if (names_.size() >= kMost) return false;
  names_.emplace(name);
  return true;
}

void DestinationRequests::forget(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(name);
  if (found != names_.end()) names_.erase(found);
}

size_t DestinationRequests::size() const {
  const std::lock_guard lock(mutex_);
  return names_.size();
}

}  // namespace tulle
