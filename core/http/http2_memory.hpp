// Http2Memory: free lists of small blocks, for the many short-lived allocations of nghttp2.
//
// One per thread. nghttp2 allocates an item, an array of fields and a stream for every request;
// taken from here they cost a few nanoseconds, and a steady state asks the allocator for nothing.
// Blocks keep their size class in front of them, because nghttp2 frees without saying the size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tulle {

class Http2Memory {
 public:
  // This thread's lists. Blocks go back on the thread that took them.
  static Http2Memory& of_thread();

  Http2Memory() = default;
  ~Http2Memory();
  Http2Memory(const Http2Memory&) = delete;
  Http2Memory& operator=(const Http2Memory&) = delete;

  void* allocate(size_t size);
  void* allocate_zeroed(size_t count, size_t size);
  void* reallocate(void* block, size_t size);
  void release(void* block);

  void trim();  // gives the free blocks back
  size_t bytes_kept() const { return bytes_kept_; }

 private:
  struct Block;
  static Block* get(size_t capacity);
  static void give_up(Block* block);
  static constexpr size_t kStep = 64;
  static constexpr size_t kClasses = 32;  // up to 2 KiB; larger blocks live as long as a session
  static constexpr size_t kKeep = 512 * 1024;

  std::array<Block*, kClasses> free_{};
  size_t bytes_kept_ = 0;
};

}  // namespace tulle
