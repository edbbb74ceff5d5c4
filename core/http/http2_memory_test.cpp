#include "core/http/http2_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace tulle {
namespace {

TEST(Http2Memory, GivesTheSameBlockAgain) {
  Http2Memory memory;
  void* first = memory.allocate(100);
  memory.release(first);
  EXPECT_EQ(memory.bytes_kept(), 128u);
  EXPECT_EQ(memory.allocate(128), first);
  EXPECT_EQ(memory.bytes_kept(), 0u);
  memory.release(first);
}

TEST(Http2Memory, KeepsSizesApart) {
  Http2Memory memory;
  void* small = memory.allocate(64);
  memory.release(small);
  void* large = memory.allocate(65);
  EXPECT_NE(large, small);
  memory.release(large);
}

TEST(Http2Memory, BlocksAreAligned) {
  Http2Memory memory;
  std::vector<void*> blocks;
  for (size_t size : {0u, 1u, 63u, 64u, 65u, 2048u, 2049u, 20000u}) {
    void* block = memory.allocate(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % alignof(std::max_align_t), 0u);
    std::memset(block, 1, size);
    blocks.push_back(block);
  }
  for (void* block : blocks) memory.release(block);
}

TEST(Http2Memory, LargeBlocksAreNotKept) {
  Http2Memory memory;
  memory.release(memory.allocate(4096));
  EXPECT_EQ(memory.bytes_kept(), 0u);
}

TEST(Http2Memory, OfAFrameBufferThereIsWhatIsWrittenTo) {
  Http2Memory memory;
  auto* buffer = static_cast<char*>(memory.allocate(16404));
  std::memset(buffer, 1, 500);
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(buffer) / page * page;
  std::vector<unsigned char> there((16404 + page - 1) / page);
  ASSERT_EQ(mincore(reinterpret_cast<void*>(begin), 16404, there.data()), 0);
  EXPECT_EQ(std::count_if(there.begin(), there.end(), [](unsigned char c) { return (c & 1) != 0; }), 1);
  memory.release(buffer);
  EXPECT_EQ(memory.bytes_kept(), 0u);
}

TEST(Http2Memory, ReallocationKeepsTheContent) {
  Http2Memory memory;
  auto* text = static_cast<char*>(memory.allocate(60));
  std::memset(text, 'a', 60);
  EXPECT_EQ(memory.reallocate(text, 64), text);
  text = static_cast<char*>(memory.reallocate(text, 5000));
  for (int i = 0; i < 60; ++i) ASSERT_EQ(text[i], 'a');
  memory.release(text);
}

TEST(Http2Memory, ZeroedMemoryIsZeroAfterReuseToo) {
  Http2Memory memory;
  void* dirty = memory.allocate(256);
  std::memset(dirty, 0xff, 256);
  memory.release(dirty);
  auto* zero = static_cast<unsigned char*>(memory.allocate_zeroed(32, 8));
  ASSERT_EQ(zero, dirty);
  for (int i = 0; i < 256; ++i) ASSERT_EQ(zero[i], 0);
  memory.release(zero);
}

TEST(Http2Memory, AbsurdSizesAreNull) {
  Http2Memory memory;
  EXPECT_EQ(memory.allocate(SIZE_MAX), nullptr);
  EXPECT_EQ(memory.allocate_zeroed(SIZE_MAX / 2, 4), nullptr);
}

TEST(Http2Memory, KeepsABoundedAmount) {
  Http2Memory memory;
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(memory.allocate(2048));
  for (void* block : blocks) memory.release(block);
  EXPECT_LE(memory.bytes_kept(), 512u * 1024);
}

}  // namespace
}  // namespace tulle
