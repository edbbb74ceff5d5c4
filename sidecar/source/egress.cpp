#include "sidecar/source/egress.hpp"

#include <algorithm>
#include <utility>

#include "core/base/log.hpp"
#include "core/net/loop.hpp"
#include "sidecar/config/external_destination.hpp"
#include "sidecar/routing/destination_name.hpp"

namespace tulle::source {
namespace {

// A name server says for how long an answer holds; not shorter, so that it is not asked all the time,
// and not longer, so that a host that has moved is found again.
constexpr Duration kShortest = 5s;
constexpr Duration kLongest = 5min;
// Without an answer, and the same again for each failure in a row.
constexpr Duration kFirstPause = 2s;
constexpr Duration kLongestPause = 1min;
// Name servers limit what one client may ask at a time.
constexpr size_t kMostLookups = 32;

bool is_ours(const Address& address, const BoundAddresses& ours) {
  return std::ranges::any_of(ours, [&](const auto& entry) {
    const Address& bound = entry.second;
    if (address == bound) return true;
    return address.port() == bound.port() && address.is_loopback();
  });
}

}  // namespace

Egress::Egress(Loop& loop, std::unique_ptr<Resolver> resolver, Task& owner)
    : loop_(loop), resolver_(std::move(resolver)), owner_(owner), timer_(owner) {}

void Egress::want(const std::set<std::string, std::less<>>& names) {
  std::erase_if(hosts_, [&](const auto& entry) {
    if (names.contains(entry.first)) return false;
    if (entry.second.lookup != nullptr) --running_;
    changed_ |= entry.second.answered;
    return true;
  });
  for (const std::string& name : names) {
    const auto [found, fresh] = hosts_.try_emplace(name);
    if (!fresh) continue;
    Host& host = found->second;
    host.due = loop_.now();
    const routing::HostAndPort parts = routing::parse_destination(name);
    const Result<Address> literal = Address::parse(parts.host, parts.port);
    log::info("external destination name=" + name);
    if (!literal && resolver_ != nullptr) continue;
    if (literal) host.addresses = {*literal};
    host.answered = changed_ = true;
    host.due = kNever;
  }
}

bool Egress::advance() {
  if (timer_.fired()) timer_.disarm();
  for (auto& [name, host] : hosts_) {
    if (host.lookup != nullptr && host.lookup->done()) changed_ |= take(name, host);
  }
  begin_due();
  rearm();
  return std::exchange(changed_, false);
}

// True: other addresses than before, or the first answer.
bool Egress::take(const std::string& name, Host& host) {
  const std::unique_ptr<Lookup> lookup = std::move(host.lookup);
  --running_;
  const bool first = !std::exchange(host.answered, true);
  const Result<ResolvedHost>& outcome = lookup->outcome();
  if (!outcome) {
    host.pause = std::clamp(2 * host.pause, kFirstPause, kLongestPause);
    host.due = loop_.now() + host.pause;
    if (first) {
      log::warn("external destination not found name=" + name + " reason=\"" +
                outcome.error().detail + "\"");
    }
    return first;
  }
  host.pause = {};
  host.due = loop_.now() + std::clamp(outcome->time_to_live, kShortest, kLongest);
  std::vector<Address> addresses = outcome->addresses;
  // Name servers turn the list around to spread load; the balancer does that better.
  std::ranges::sort(addresses, {}, [](const Address& address) { return address.to_string(); });
  if (!first && addresses == host.addresses) return false;
  host.addresses = std::move(addresses);
  return true;
}

void Egress::begin_due() {
  for (auto& [name, host] : hosts_) {
    if (running_ == kMostLookups) return;
    if (host.lookup != nullptr || host.due > loop_.now()) continue;
    const routing::HostAndPort parts = routing::parse_destination(name);
    host.lookup = resolver_->look_up(std::string(parts.host), parts.port, owner_);
    ++running_;
  }
}

void Egress::rearm() {
  Instant next = kNever;
  for (const auto& [name, host] : hosts_) {
    if (host.lookup == nullptr) next = std::min(next, host.due);
  }
  // What is due and had to wait begins when a look-up ends, which wakes the owner.
  if (next <= loop_.now() || next == kNever) {
    timer_.disarm();
  } else {
    timer_.arm_at(next);
  }
}

xds::ResourceSet Egress::resources(const BoundAddresses& ours) const {
  xds::ResourceSet resources;
  for (const auto& [name, host] : hosts_) {
    if (!host.answered) continue;
    std::vector<Address> addresses = host.addresses;
    std::erase_if(addresses, [&](const Address& address) { return is_ours(address, ours); });
    config::add_external_destination(resources, name, addresses);
  }
  return resources;
}

}  // namespace tulle::source
