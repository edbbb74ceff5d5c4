// MemoryBudget: what traffic may cost this process in memory, and how close it is to that.
//
// Memory is charged where it is got from the allocator, and given back where it is freed, by the
// pools that traffic lives in (chunks of bytes, streams and heads, nghttp2, connections, TLS). A
// request that finds its blocks in a pool touches nothing here. Each thread collects its charges
// and publishes them in batches, so the sum may be kBatch behind for every thread. The program, its
// configuration and what the allocator wastes are not in it: they are what the rest of the
// machine's (or cgroup's) memory is for.
//
//   calm -> tight: windows stop growing
//        -> shedding: new requests are refused, what is idle is closed, in the end the largest
//           holders are ended
//        -> full: nothing new is accepted
//
// One budget per process; without a limit it only counts. Levels are read by any thread with one
// relaxed load.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace tulle {

enum class MemoryUse : uint8_t { buffers, streams, http2, connections, tls, count_ };
std::string_view to_string(MemoryUse use);
inline constexpr size_t kMemoryUses = static_cast<size_t>(MemoryUse::count_);

// What was done because memory was short.
enum class Shed : uint8_t {
  request,     // a new request was answered `overloaded`
  stream,      // a new HTTP/2 stream was refused
  exchange,    // one that was under way was ended
  connection,  // closed: it was idle, or what it held was nobody's
  accepting,   // listeners were paused
  count_,
};
std::string_view to_string(Shed what);
inline constexpr size_t kShedKinds = static_cast<size_t>(Shed::count_);

class MemoryBudget {
 public:
  // Told when shedding begins and when it has become full, from any thread and with a lock held:
  // post, do not act.
  class Watcher {
   public:
    virtual void memory_is_short() = 0;

   protected:
    ~Watcher() = default;
  };

  static MemoryBudget& of_process();

  void set_limit(int64_t bytes);  // before traffic begins; 0: none
  int64_t limit() const { return limit_; }

  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  int64_t used(MemoryUse use) const {
    return by_use_[static_cast<size_t>(use)].load(std::memory_order_relaxed);
  }
  bool tight() const { return used() >= tight_; }
  bool shedding() const { return used() >= shedding_; }
  bool full() const { return used() >= full_; }
  // What each watcher should end for the budget to be clearly below shedding.
  int64_t excess_share();

  // A window that grows is a promise to hold that much. False: it must stay as it is.
  bool promise(int64_t bytes);
  void release_promise(int64_t bytes) { promised_.fetch_sub(bytes, std::memory_order_relaxed); }
  int64_t promised() const { return promised_.load(std::memory_order_relaxed); }

  void count(Shed what) {
    shed_[static_cast<size_t>(what)].fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t shed(Shed what) const {
    return shed_[static_cast<size_t>(what)].load(std::memory_order_relaxed);
  }

  void watch(Watcher& watcher);
  void forget(Watcher& watcher);
  bool is_watched_by(const Watcher& watcher);

  // A thread's charges, in a batch.
  void publish(const std::array<int64_t, kMemoryUses>& charges);

 private:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // Written in batches, read often: the marks share their line with nothing that changes.
  alignas(64) std::atomic<int64_t> used_{0};
  std::atomic<int64_t> promised_{0};
  std::array<std::atomic<int64_t>, kMemoryUses> by_use_{};
  alignas(64) int64_t limit_ = 0;
  int64_t tight_ = kNever;
  int64_t shedding_ = kNever;
  int64_t full_ = kNever;
  std::array<std::atomic<uint64_t>, kShedKinds> shed_{};
  std::mutex mutex_;
  std::vector<Watcher*> watchers_;
};

// This thread's part of the budget. Plain data, so that it may be used while a thread ends.
class MemoryMeter {
 public:
  static constexpr int64_t kBatch = 64 * 1024;

  static MemoryMeter& of_thread();

  void charge(MemoryUse use, int64_t bytes) {
    charges_[static_cast<size_t>(use)] += bytes;
    balance_ += bytes;
    if (balance_ >= kBatch || balance_ <= -kBatch) publish();
  }
  void publish();
  // The thread's memory has come and gone since it was trimmed: there may be something to give back.
  bool worth_trimming() const { return batches_ >= 16; }
  void trimmed() { batches_ = 0; }

 private:
  std::array<int64_t, kMemoryUses> charges_{};
  int64_t balance_ = 0;
  uint32_t batches_ = 0;
};

inline void charge_memory(MemoryUse use, size_t bytes) {
  MemoryMeter::of_thread().charge(use, static_cast<int64_t>(bytes));
}
inline void give_back_memory(MemoryUse use, size_t bytes) {
  MemoryMeter::of_thread().charge(use, -static_cast<int64_t>(bytes));
}

// For containers whose size a peer decides.
template <class T, MemoryUse kUse>
struct MeteredAllocator {
  using value_type = T;
  template <class U>
  struct rebind {
    using other = MeteredAllocator<U, kUse>;
  };
  MeteredAllocator() = default;
  template <class U>
  MeteredAllocator(const MeteredAllocator<U, kUse>&) {}  // NOLINT
  T* allocate(size_t count) {
    T* memory = std::allocator<T>().allocate(count);
    charge_memory(kUse, count * sizeof(T));
    return memory;
  }
  void deallocate(T* memory, size_t count) {
    give_back_memory(kUse, count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  bool operator==(const MeteredAllocator&) const { return true; }
};

// Pools keep freed blocks for reuse. A loop that has been idle for a while asks its thread's pools to
// let go of them, and the allocator to give the pages back.
using TrimPool = void (*)();
void trim_with_thread(TrimPool pool);  // `pool` is this thread's; once per pool and thread
void trim_thread_pools();
void trim_thread_memory();  // the pools, and the allocator

}  // namespace tulle
