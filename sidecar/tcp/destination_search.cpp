#include "sidecar/tcp/destination_search.hpp"

#include <utility>

#include "core/net/loop.hpp"

namespace tulle::tcp {
namespace {

// As long as an exchange waits.
constexpr Duration kLongest = 5s;

}  // namespace

DestinationSearch::DestinationSearch(exchange::ExchangeHost& host, Task& waiter)
    : host_(host), wait_(waiter), timer_(waiter) {}

DestinationSearch::State DestinationSearch::look_for(std::string_view name) {
  if (error_) return State::failed;
  if (found_ != nullptr) return State::found;
  const bool first = generation_ == nullptr;
  generation_ = first ? &host_.pin() : &host_.repin(*generation_);
  found_ = generation_->snapshot->find_destination(name);
  if (found_ != nullptr) {
    wait_.unlink();
    timer_.disarm();
    host_.destination_used(*found_);
    if (found_->kind != config::Destination::Kind::refused) return State::found;
    return fail({Code::denied, Origin::local,
                 std::string(name) + " is not in the mesh, and egress is denied"});
  }
  const Instant now = host_.loop().now();
  if (now >= until_) {
    return fail({Code::config_missing, Origin::local,
                 std::string(name) + ": the control plane has not answered in time"});
  }
  if (!host_.await_destination(name, wait_)) {
    let_go();
    return State::nobody_to_ask;
  }
  if (until_ == kNever) {
    until_ = now + kLongest;
    timer_.arm_at(until_);
  }
  return State::waiting;
}

DestinationSearch::State DestinationSearch::fail(Error error) {
  let_go();
  error_ = std::move(error);
  return State::failed;
}

void DestinationSearch::let_go() {
  wait_.unlink();
  timer_.disarm();
  found_ = nullptr;
  if (generation_ != nullptr) host_.unpin(*std::exchange(generation_, nullptr));
}

}  // namespace tulle::tcp
