#include "core/base/memory_budget.hpp"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "core/base/assert.hpp"

namespace tulle {

namespace {

std::vector<TrimPool>*& pools_of_thread() {
  static thread_local std::vector<TrimPool>* pools = nullptr;
  return pools;
}

// Deletes the list with the thread; a pool that is used even later is not trimmed any more.
struct PoolsOwner {
  ~PoolsOwner() { delete std::exchange(pools_of_thread(), nullptr); }
};

}  // namespace

std::string_view to_string(MemoryUse use) {
  switch (use) {
    case MemoryUse::buffers: return "buffers";
    case MemoryUse::streams: return "streams";
    case MemoryUse::http2: return "http2";
    case MemoryUse::connections: return "connections";
    case MemoryUse::tls: return "tls";
    case MemoryUse::count_: break;
  }
  UNREACHABLE();
}

std::string_view to_string(Shed what) {
  switch (what) {
    case Shed::request: return "request";
    case Shed::stream: return "stream";
    case Shed::exchange: return "exchange";
    case Shed::connection: return "connection";
    case Shed::accepting: return "accepting";
    case Shed::count_: break;
  }
  UNREACHABLE();
}

// Not inline: UBSan takes the address of a thread-local in another file for null (g++ 12).
MemoryMeter& MemoryMeter::of_thread() {
  static constinit thread_local MemoryMeter meter;
  return meter;
}

MemoryBudget& MemoryBudget::of_process() {
  static MemoryBudget& budget = *new MemoryBudget;  // outlives every thread
  return budget;
}

void MemoryBudget::set_limit(int64_t bytes) {
  limit_ = bytes;
  const bool none = bytes == 0;
  tight_ = none ? kNever : bytes / 20 * 12;
  shedding_ = none ? kNever : bytes / 20 * 16;
  full_ = none ? kNever : bytes / 20 * 18;
}

int64_t MemoryBudget::excess_share() {
  const std::lock_guard lock(mutex_);
  const auto sharers = static_cast<int64_t>(std::max<size_t>(watchers_.size(), 1));
  return limit_ == 0 ? 0 : std::max<int64_t>(used() - limit_ / 20 * 15, 0) / sharers;
}

bool MemoryBudget::promise(int64_t bytes) {
  const int64_t before = promised_.fetch_add(bytes, std::memory_order_relaxed);
  if (limit_ == 0 || used() + before + bytes < tight_) return true;
  release_promise(bytes);
  return false;
}

void MemoryBudget::watch(Watcher& watcher) {
  const std::lock_guard lock(mutex_);
  watchers_.push_back(&watcher);
}

void MemoryBudget::forget(Watcher& watcher) {
  const std::lock_guard lock(mutex_);
  std::erase(watchers_, &watcher);
}

bool MemoryBudget::is_watched_by(const Watcher& watcher) {
  const std::lock_guard lock(mutex_);
  return std::find(watchers_.begin(), watchers_.end(), &watcher) != watchers_.end();
}

void MemoryBudget::publish(const std::array<int64_t, kMemoryUses>& charges) {
  int64_t sum = 0;
  for (size_t i = 0; i < kMemoryUses; ++i) {
    if (charges[i] == 0) continue;
    by_use_[i].fetch_add(charges[i], std::memory_order_relaxed);
    sum += charges[i];
  }
  const int64_t before = used_.fetch_add(sum, std::memory_order_relaxed);
  const auto crosses = [&](int64_t mark) { return before < mark && before + sum >= mark; };
  if (!crosses(shedding_) && !crosses(full_)) return;
  const std::lock_guard lock(mutex_);
  for (Watcher* watcher : watchers_) watcher->memory_is_short();
}

void MemoryMeter::publish() {
  const std::array<int64_t, kMemoryUses> charges = std::exchange(charges_, {});
  balance_ = 0;
  ++batches_;
  MemoryBudget::of_process().publish(charges);
}

void trim_with_thread(TrimPool pool) {
  static thread_local PoolsOwner owner;
  (void)owner;
  std::vector<TrimPool>*& pools = pools_of_thread();
  if (pools == nullptr) pools = new std::vector<TrimPool>;
  pools->push_back(pool);
}

void trim_thread_pools() {
  if (const std::vector<TrimPool>* pools = pools_of_thread()) {
    for (const TrimPool pool : *pools) pool();
  }
  MemoryMeter::of_thread().publish();
}

void trim_thread_memory() {
  trim_thread_pools();
  MemoryMeter::of_thread().trimmed();
  malloc_trim(0);
}

}  // namespace tulle
