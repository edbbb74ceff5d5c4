#include "core/http/http2_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/base/memory_budget.hpp"

namespace tulle {
namespace {

// A session has one buffer of this size, for the largest frame there can be, and writes short heads into
// it: bodies do not pass through. From the allocator it would be memory that has been used before; pages
// of its own are there only as far as they are written to.
constexpr size_t kFrameBuffer = 16 * 1024;

bool has_own_pages(size_t capacity) { return capacity >= kFrameBuffer; }

}  // namespace

// What stands in front of every block. Its size keeps the payload aligned for anything.
struct alignas(std::max_align_t) Http2Memory::Block {
  Block* next;
  size_t capacity;
};

Http2Memory& Http2Memory::of_thread() {
  static thread_local Http2Memory memory;
  static thread_local const bool trimmed_with_thread = [] {
    trim_with_thread([] { of_thread().trim(); });
    return true;
  }();
  (void)trimmed_with_thread;
  return memory;
}

Http2Memory::~Http2Memory() { trim(); }

void Http2Memory::trim() {
  for (Block*& block : free_) {
    while (block != nullptr) give_up(std::exchange(block, block->next));
  }
  bytes_kept_ = 0;
}

Http2Memory::Block* Http2Memory::get(size_t capacity) {
  const size_t size = sizeof(Block) + capacity;
  void* memory = nullptr;
  if (has_own_pages(capacity)) {
    memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
  } else {
    memory = std::malloc(size);
    if (memory == nullptr) return nullptr;
  }
  auto* block = static_cast<Block*>(memory);
  block->capacity = capacity;
  charge_memory(MemoryUse::http2, size);
  return block;
}

void Http2Memory::give_up(Block* block) {
  const size_t size = sizeof(Block) + block->capacity;
  give_back_memory(MemoryUse::http2, size);
  if (has_own_pages(block->capacity)) {
    ::munmap(block, size);
  } else {
    std::free(block);
  }
}

// Running out of memory is reported as null: nghttp2 turns it into an error of the connection.
void* Http2Memory::allocate(size_t size) {
  const size_t rank = size == 0 ? 0 : (size - 1) / kStep;
  Block* block = nullptr;
  if (rank >= kClasses) {
    if (size > SIZE_MAX - sizeof(Block)) return nullptr;
    block = get(size);
    return block == nullptr ? nullptr : block + 1;
  }
  const size_t capacity = (rank + 1) * kStep;
  if (free_[rank] != nullptr) {
    block = std::exchange(free_[rank], free_[rank]->next);
    bytes_kept_ -= capacity;
  } else {
    block = get(capacity);
    if (block == nullptr) return nullptr;
  }
  return block + 1;
}

void* Http2Memory::allocate_zeroed(size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return nullptr;
  void* memory = allocate(count * size);
  if (memory != nullptr) std::memset(memory, 0, count * size);
  return memory;
}

void* Http2Memory::reallocate(void* memory, size_t size) {
  if (memory == nullptr) return allocate(size);
  const size_t capacity = (static_cast<Block*>(memory) - 1)->capacity;
  if (size <= capacity) return memory;
  void* bigger = allocate(size);
  if (bigger == nullptr) return nullptr;
  std::memcpy(bigger, memory, capacity);
  release(memory);
  return bigger;
}

void Http2Memory::release(void* memory) {
  if (memory == nullptr) return;
  Block* block = static_cast<Block*>(memory) - 1;
  const size_t rank = (block->capacity - 1) / kStep;
  if (rank >= kClasses || bytes_kept_ + block->capacity > kKeep) {
    give_up(block);
    return;
  }
  block->next = std::exchange(free_[rank], block);
  bytes_kept_ += block->capacity;
}

}  // namespace tulle
