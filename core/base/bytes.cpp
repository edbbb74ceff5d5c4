#include "core/base/bytes.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>

#include "core/base/input_block.hpp"
#include "core/base/memory_budget.hpp"
#include "core/base/poison.hpp"

namespace tulle {

namespace {

// Free chunks kept per thread; what is beyond goes back to the allocator at once.
constexpr size_t kPoolLimit = 4 * 1024 * 1024;

// Moving a queue copies up to this much when the tail has room: cheaper than a slice of its own,
// whose chunk would stay in use for a few bytes.
constexpr size_t kCopyUpTo = 256;

class ChunkPool;

}  // namespace

// A counted block. The payload follows the header, at the beginning of a cache line: the kernel and
// the C library copy there at their best. Counts are plain integers: a chunk and all who refer to it
// live on one thread.
struct alignas(64) Chunk {
  ChunkPool* pool;
  Chunk* next_free;
  uint32_t refs;
  uint32_t capacity;
  uint32_t used;  // everything before this offset has been handed to some slice
  uint32_t share_from;  // not 0: an InputBlock reads into it; counted as in use while shared

  char* data() { return reinterpret_cast<char*>(this + 1); }
};

namespace {

constexpr size_t kSmallPayload = kSmallChunk - sizeof(Chunk);
constexpr size_t kLargePayload = kLargeChunk - sizeof(Chunk);

// Free chunks are kept by capacity. The larger two are those of input blocks.
constexpr std::array<size_t, 4> kCapacities = {kSmallPayload, kLargePayload, 32 * 1024, 64 * 1024};

// Below this nobody looks whether a piece could be shared.
constexpr size_t kLeastShared = 4 * 1024;

// Last in, first out: the chunk that was just let go is still in the cache.
class ChunkPool {
 public:
  Chunk* take(size_t payload) {
    for (size_t i = 0; i < kCapacities.size(); ++i) {
      if (payload <= kCapacities[i]) return begin_use(take_free(i, kCapacities[i]));
    }
    return begin_use(allocate(payload));
  }

  // For an input block: not in use until somebody shares it.
  Chunk* lend(size_t size, uint32_t share_from) {
    const size_t i = index_of(size);
    Chunk* chunk = i < kCapacities.size() ? take_free(i, size) : allocate(size);
    ASAN_UNPOISON_MEMORY_REGION(chunk->data(), chunk->capacity);
    chunk->refs = 1;
    chunk->used = chunk->capacity;  // nobody appends behind what was read
    chunk->share_from = share_from;
    const auto place = std::find(lent_.begin(), lent_.end(), nullptr);
    ASSERT(place != lent_.end());
    *place = chunk;
    return chunk;
  }

  // The input block goes on elsewhere, or is gone.
  void end_loan(Chunk* chunk) {
    *std::find(lent_.begin(), lent_.end(), chunk) = nullptr;
    chunk->share_from = 0;
    if (--chunk->refs > 0) return;
    count(chunk);
    give_back(chunk);
  }

  // The lent chunk that holds the piece and is to be shared for it; null: none.
  Chunk* lent_around(ByteView piece) {
    for (Chunk* chunk : lent_) {
      if (chunk == nullptr || piece.size() < chunk->share_from) continue;
      const char* begin = chunk->data();
      if (std::less_equal<>()(begin, piece.data()) &&
          std::less<>()(piece.data(), begin + chunk->capacity)) {
        return chunk;
      }
    }
    return nullptr;
  }

  void share(Chunk* chunk) {
    if (++chunk->refs == 2) count(chunk);
  }
  void unshare(Chunk* chunk) {  // only the input block still has it
    --stats_.chunks_in_use;
    stats_.bytes_in_use -= chunk->capacity;
  }

  void give_back(Chunk* chunk) {
    --stats_.chunks_in_use;
    stats_.bytes_in_use -= chunk->capacity;
    const size_t i = index_of(chunk->capacity);
    const bool odd = i == kCapacities.size();
    if (odd || stats_.bytes_pooled + chunk->capacity > kPoolLimit || orphaned_) {
      deallocate(chunk);
      if (orphaned_ && stats_.chunks_in_use == 0) delete this;
      return;
    }
    chunk->next_free = std::exchange(free_[i], chunk);
    ASAN_POISON_MEMORY_REGION(chunk->data(), chunk->capacity);
    stats_.bytes_pooled += chunk->capacity;
  }

  void trim(size_t keep) {
    for (size_t i = free_.size(); i-- > 0;) {
      while (free_[i] != nullptr && stats_.bytes_pooled > keep) {
        Chunk* chunk = std::exchange(free_[i], free_[i]->next_free);
        stats_.bytes_pooled -= chunk->capacity;
        deallocate(chunk);
      }
    }
  }

  // The thread ends. Chunks that are still in use (static objects) stay valid and keep the pool.
  void orphan() {
    trim(0);
    orphaned_ = true;
    if (stats_.chunks_in_use == 0) delete this;
  }

  const ChunkPoolStats& stats() const { return stats_; }

 private:
  static size_t index_of(size_t capacity) {
    const auto found = std::find(kCapacities.begin(), kCapacities.end(), capacity);
    return static_cast<size_t>(found - kCapacities.begin());
  }

  Chunk* take_free(size_t i, size_t capacity) {
    if (free_[i] == nullptr) return allocate(capacity);
    Chunk* chunk = std::exchange(free_[i], free_[i]->next_free);
    stats_.bytes_pooled -= chunk->capacity;
    return chunk;
  }

  Chunk* allocate(size_t payload) {
    ASSERT(payload <= UINT32_MAX);
    const size_t lines = (payload + alignof(Chunk) - 1) / alignof(Chunk);
    auto* chunk = static_cast<Chunk*>(
        std::aligned_alloc(alignof(Chunk), sizeof(Chunk) + lines * alignof(Chunk)));
    ASSERT(chunk != nullptr);
    chunk->pool = this;
    chunk->capacity = static_cast<uint32_t>(payload);
    charge_memory(MemoryUse::buffers, sizeof(Chunk) + payload);
    return chunk;
  }

  static void deallocate(Chunk* chunk) {
    give_back_memory(MemoryUse::buffers, sizeof(Chunk) + chunk->capacity);
    std::free(chunk);
  }

  void count(Chunk* chunk) {
    ++stats_.chunks_in_use;
    stats_.bytes_in_use += chunk->capacity;
  }

  Chunk* begin_use(Chunk* chunk) {
    ASAN_UNPOISON_MEMORY_REGION(chunk->data(), chunk->capacity);
    chunk->refs = 1;
    chunk->used = 0;
    chunk->share_from = 0;
    count(chunk);
    return chunk;
  }

  std::array<Chunk*, kCapacities.size()> free_{};  // by capacity
  std::array<Chunk*, 4> lent_{};
  bool orphaned_ = false;
  ChunkPoolStats stats_;
};

struct PoolOfThread {
  ChunkPool* pool = new ChunkPool;
  ~PoolOfThread() { pool->orphan(); }
};

ChunkPool& pool() {
  thread_local PoolOfThread owner;
  return *owner.pool;
}

void release(Chunk* chunk) {
  if (--chunk->refs == 0) return chunk->pool->give_back(chunk);
  if (chunk->refs == 1 && chunk->share_from != 0) chunk->pool->unshare(chunk);
}

}  // namespace

ChunkPoolStats chunk_pool_stats() { return pool().stats(); }

void trim_chunk_pool(size_t keep_bytes) { pool().trim(keep_bytes); }

Bytes::Bytes(Bytes&& other) noexcept { steal(other); }

Bytes& Bytes::operator=(Bytes&& other) noexcept {
  if (this == &other) return *this;
  clear();
  std::free(heap_);
  steal(other);
  return *this;
}

Bytes::~Bytes() {
  clear();
  std::free(heap_);
}

void Bytes::steal(Bytes& other) noexcept {
  size_ = std::exchange(other.size_, 0);
  heap_ = std::exchange(other.heap_, nullptr);
  head_ = std::exchange(other.head_, 0);
  count_ = std::exchange(other.count_, 0);
  capacity_ = std::exchange(other.capacity_, kInlineSlices);
  if (heap_ == nullptr && count_ != 0) std::memcpy(inline_, other.inline_, sizeof(inline_));
}

void Bytes::grow() {
  const uint32_t capacity = capacity_ * 2;
  auto* bigger = static_cast<Slice*>(std::malloc(capacity * sizeof(Slice)));
  ASSERT(bigger != nullptr);
  for (uint32_t i = 0; i < count_; ++i) bigger[i] = at(i);
  std::free(heap_);
  heap_ = bigger;
  head_ = 0;
  capacity_ = capacity;
}

void Bytes::push(Slice slice) {
  if (count_ == capacity_) grow();
  ring()[(head_ + count_) & (capacity_ - 1)] = slice;
  ++count_;
}

void Bytes::pop() {
  release(at(0).chunk);
  head_ = (head_ + 1) & (capacity_ - 1);
  --count_;
}

void Bytes::pop_back() {
  release(at(count_ - 1).chunk);
  --count_;
}

// The slice whose chunk may be written behind its end: nobody else holds the chunk, and the slice
// is the last piece of what was used. Null when there is none.
Bytes::Slice* Bytes::open_tail() {
  if (count_ == 0) return nullptr;
  Slice& last = at(count_ - 1);
  const bool open = last.chunk->refs == 1 && last.offset + last.length == last.chunk->used;
  return open ? &last : nullptr;
}

bool Bytes::has_room(size_t wanted) {
  const Slice* tail = open_tail();
  return tail != nullptr && tail->chunk->capacity - tail->chunk->used >= wanted;
}

// A queue starts with a small chunk, so that a short body does not pin 17 KiB; what has outgrown
// one goes on in large ones, so that a write needs few slices.
Bytes::Slice& Bytes::push_chunk(size_t wanted) {
  if (size_ >= kSmallPayload) wanted = std::max(wanted, kSmallPayload + 1);
  push({pool().take(wanted), 0, 0});
  return at(count_ - 1);
}

// Copies, except large pieces of an InputBlock.
void Bytes::append(ByteView copy) {
  Chunk* const lent = copy.size() >= kLeastShared ? pool().lent_around(copy) : nullptr;
  if (lent != nullptr) {
    if (count_ != 0 && at(count_ - 1).length == 0) pop_back();  // an unused reservation
    pool().share(lent);
    push({lent, static_cast<uint32_t>(copy.data() - lent->data()),
          static_cast<uint32_t>(copy.size())});
    size_ += copy.size();
    return;
  }
  while (!copy.empty()) {
    Slice* tail = open_tail();
    if (tail == nullptr || tail->chunk->used == tail->chunk->capacity) {
      tail = &push_chunk(std::min(copy.size(), kLargePayload));
    }
    Chunk& chunk = *tail->chunk;
    const uint32_t room = chunk.capacity - chunk.used;
    const auto n = static_cast<uint32_t>(std::min<size_t>(copy.size(), room));
    std::memcpy(chunk.data() + chunk.used, copy.data(), n);
    chunk.used += n;
    tail->length += n;
    size_ += n;
    copy.remove_prefix(n);
  }
}

void Bytes::append(Bytes&& more) {
  ASSERT(&more != this);
  if (more.empty()) return more.clear();
  if (size_ == 0) {
    *this = std::move(more);
    return;
  }
  if (more.size_ <= kCopyUpTo && has_room(more.size_)) {
    for (uint32_t i = 0; i < more.count_; ++i) append(more.slice(i));
    return more.clear();
  }
  if (at(count_ - 1).length == 0) pop_back();  // an unused reservation
  for (uint32_t i = 0; i < more.count_; ++i) {
    const Slice& slice = more.at(i);
    Slice& last = at(count_ - 1);
    if (slice.chunk == last.chunk && slice.offset == last.offset + last.length) {
      last.length += slice.length;  // two pieces of one chunk meet again
      release(slice.chunk);
    } else {
      push(slice);
    }
  }
  size_ += std::exchange(more.size_, 0);
  more.count_ = 0;
  more.head_ = 0;
}

Bytes Bytes::take(size_t max) {
  if (max >= size_) return std::move(*this);
  Bytes taken;
  while (max > 0) {
    Slice& first = at(0);
    if (first.length > max) {
      const auto n = static_cast<uint32_t>(max);
      ++first.chunk->refs;
      taken.push({first.chunk, first.offset, n});
      first.offset += n;
      first.length -= n;
      taken.size_ += n;
      size_ -= n;
      break;
    }
    taken.push(first);  // the reference moves along
    taken.size_ += first.length;
    size_ -= first.length;
    max -= first.length;
    head_ = (head_ + 1) & (capacity_ - 1);
    --count_;
  }
  return taken;
}

void Bytes::drop(size_t count) {
  ASSERT(count <= size_);
  size_ -= count;
  while (count > 0) {
    Slice& first = at(0);
    if (first.length > count) {
      first.offset += static_cast<uint32_t>(count);
      first.length -= static_cast<uint32_t>(count);
      return;
    }
    count -= first.length;
    pop();
  }
}

void Bytes::clear() {
  while (count_ != 0) pop();
  size_ = 0;
  head_ = 0;
}

Bytes::Space Bytes::reserve(size_t min) {
  Slice* tail = open_tail();
  if (tail == nullptr || tail->chunk->capacity - tail->chunk->used < std::max<size_t>(min, 1)) {
    if (count_ != 0 && at(count_ - 1).length == 0) pop_back();  // too small a reservation
    tail = &push_chunk(min);
  }
  Chunk& chunk = *tail->chunk;
  return {chunk.data() + chunk.used, chunk.capacity - chunk.used};
}

void Bytes::commit(size_t written) {
  ASSERT(count_ != 0);
  Slice& last = at(count_ - 1);
  ASSERT(written <= last.chunk->capacity - last.chunk->used);
  last.chunk->used += static_cast<uint32_t>(written);
  last.length += static_cast<uint32_t>(written);
  size_ += written;
  if (last.length == 0) pop_back();
}

ByteView Bytes::slice(size_t i) const {
  ASSERT(i < count_);
  const Slice& slice = at(static_cast<uint32_t>(i));
  return {slice.chunk->data() + slice.offset, slice.length};
}

size_t Bytes::copy_to(char* out, size_t max) const {
  size_t copied = 0;
  for (uint32_t i = 0; i < count_ && copied < max; ++i) {
    const ByteView piece = slice(i).substr(0, max - copied);
    std::memcpy(out + copied, piece.data(), piece.size());
    copied += piece.size();
  }
  return copied;
}

std::string Bytes::to_string() const {
  std::string out;
  out.reserve(size_);
  for (uint32_t i = 0; i < count_; ++i) out += slice(i);
  return out;
}

// ---- InputBlock ----------------------------------------------------------------------------

InputBlock::InputBlock(size_t size, size_t share_from)
    : size_(size), share_from_(static_cast<uint32_t>(std::max(share_from, kLeastShared))) {
  pool();  // so that the thread's pool outlives a block that is thread-local as well
}

InputBlock::~InputBlock() {
  if (chunk_ != nullptr) chunk_->pool->end_loan(chunk_);
}

char* InputBlock::begin() {
  if (chunk_ != nullptr && chunk_->refs == 1) return chunk_->data();
  if (chunk_ != nullptr) chunk_->pool->end_loan(chunk_);
  chunk_ = pool().lend(size_, share_from_);
  return chunk_->data();
}

}  // namespace tulle
