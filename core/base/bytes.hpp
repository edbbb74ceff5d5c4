// Bytes: a queue of byte slices in pooled, counted chunks. The currency of the data path.
//
// Owns: references to chunks. A chunk belongs to the pool of the thread that took it; Bytes never
// cross threads. Moving between queues moves slices; only a few bytes (256) are copied when the
// tail has room for them. Appending fills the free tail of the last chunk when nobody else holds
// that chunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/assert.hpp"

namespace tulle {

// Not owned; valid for as long as its source says.
using ByteView = std::string_view;

struct Chunk;

// Two sizes: a small body must not pin 16 KiB, and a TLS record must fit one chunk.
inline constexpr size_t kSmallChunk = 2 * 1024;
inline constexpr size_t kLargeChunk = 17 * 1024;  // 16 KiB of payload + record overhead + header

// What this thread's chunk pool holds. For metrics, limits and tests.
struct ChunkPoolStats {
  size_t chunks_in_use = 0;
  size_t bytes_in_use = 0;   // capacity of the chunks in use
  size_t bytes_pooled = 0;   // free chunks kept for reuse
};
ChunkPoolStats chunk_pool_stats();
// Gives free chunks back to the allocator. Called when a loop has been idle for a while.
void trim_chunk_pool(size_t keep_bytes = 0);

class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(ByteView copy) { append(copy); }
  Bytes(Bytes&& other) noexcept;
  Bytes& operator=(Bytes&& other) noexcept;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes();

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void append(ByteView copy);          // copies
  void append(Bytes&& more);           // moves slices; `more` is empty afterwards
  Bytes take(size_t max);              // moves bytes off the front, sharing at most one chunk
  void drop(size_t count);             // removes from the front; count <= size()
  void clear();

  // Room to write into directly: returns at least `min` bytes behind the tail; commit() what was
  // written. One reservation at a time; any other call on this queue ends it.
  struct Space {
    char* data;
    size_t size;
  };
  Space reserve(size_t min);
  void commit(size_t written);

  // Slices, front first, for writev and for hashing. i < slice_count().
  size_t slice_count() const { return count_; }
  ByteView slice(size_t i) const;
  ByteView front() const { return slice(0); }

  size_t copy_to(char* out, size_t max) const;  // copies without removing; returns the count
  std::string to_string() const;                // for tests and messages

 private:
  struct Slice {
    Chunk* chunk;
    uint32_t offset;
    uint32_t length;
  };

  Slice* ring() { return heap_ != nullptr ? heap_ : inline_; }
  const Slice* ring() const { return heap_ != nullptr ? heap_ : inline_; }
  Slice& at(uint32_t i) { return ring()[(head_ + i) & (capacity_ - 1)]; }
  const Slice& at(uint32_t i) const { return ring()[(head_ + i) & (capacity_ - 1)]; }
  void push(Slice slice);
  void pop();
  void pop_back();
  void grow();
  Slice* open_tail();
  bool has_room(size_t wanted);
  Slice& push_chunk(size_t wanted);
  void steal(Bytes& other) noexcept;

  size_t size_ = 0;
  Slice* heap_ = nullptr;
  uint32_t head_ = 0;
  uint32_t count_ = 0;
  static constexpr uint32_t kInlineSlices = 4;
  uint32_t capacity_ = kInlineSlices;  // power of two
  Slice inline_[kInlineSlices];
};

}  // namespace tulle
