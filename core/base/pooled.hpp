// Pooled<T>: operator new and delete over a thread-local free list, for objects made per request.
//
// Derive a final class from Pooled<Self>. Objects must be deleted on the thread that made them.
// The list keeps at most kKept blocks, and none when the thread has been idle for a while, so a burst
// does not pin its memory for ever.
#pragma once

#include <cstddef>
#include <new>

#include "core/base/assert.hpp"
#include "core/base/memory_budget.hpp"

namespace tulle {

template <class T>
class Pooled {
 public:
  static void* operator new(size_t size) {
    ASSERT(size == sizeof(T));
    FreeList& list = free_list();
    if (list.head == nullptr) {
      charge_memory(MemoryUse::streams, sizeof(T));
      return ::operator new(size);
    }
    Block* block = list.head;
    list.head = block->next;
    --list.count;
    return block;
  }
  static void operator delete(void* memory) {
    FreeList& list = free_list();
    if (list.count == kKept) return deallocate(memory);
    list.head = new (memory) Block{list.head};
    ++list.count;
  }

 private:
  static constexpr size_t kKept = 1024;
  struct Block {
    Block* next;
  };
  struct FreeList {
    Block* head = nullptr;
    size_t count = 0;
    FreeList() {
      trim_with_thread([] { free_list().trim(); });
    }
    ~FreeList() { trim(); }
    void trim() {
      while (head != nullptr) {
        Block* next = head->next;
        deallocate(head);
        head = next;
      }
      count = 0;
    }
  };
  static void deallocate(void* memory) {
    give_back_memory(MemoryUse::streams, sizeof(T));
    ::operator delete(memory);
  }
  static FreeList& free_list() {
    static thread_local FreeList list;
    return list;
  }
};

}  // namespace tulle
