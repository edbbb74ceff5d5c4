#include "core/base/input_block.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include "core/base/rng.hpp"

namespace tulle {
namespace {

std::string pattern(size_t size, uint64_t seed = 1) {
  Rng rng(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>('a' + rng.below(26));
  return text;
}

ByteView read_into(InputBlock& block, const std::string& text) {
  char* const space = block.begin();
  std::copy(text.begin(), text.end(), space);
  return {space, text.size()};
}

TEST(InputBlock, LargePiecesAreSharedAndStayWhatTheyWere) {
  InputBlock block(64 * 1024, 32 * 1024);
  const std::string first = pattern(40'000, 1);
  const std::string second = pattern(50'000, 2);
  const ByteView arrived = read_into(block, first);
  Bytes kept;
  kept.append(arrived.substr(100));
  EXPECT_EQ(kept.front().data(), arrived.data() + 100);
  EXPECT_EQ(kept.slice_count(), 1u);
  Bytes more;
  more.append(read_into(block, second));
  EXPECT_EQ(kept.to_string(), first.substr(100));
  EXPECT_EQ(more.to_string(), second);
}

TEST(InputBlock, SmallPiecesAreCopiedAndTheBlockIsUsedAgain) {
  InputBlock block(64 * 1024, 32 * 1024);
  const std::string text = pattern(20'000);
  const ByteView arrived = read_into(block, text);
  Bytes kept;
  kept.append(arrived);
  EXPECT_NE(kept.front().data(), arrived.data());
  EXPECT_EQ(block.begin(), arrived.data());
  read_into(block, pattern(20'000, 9));
  EXPECT_EQ(kept.to_string(), text);
}

TEST(InputBlock, IsUsedAgainWhenNobodySharesItAnyMore) {
  InputBlock block(64 * 1024, 32 * 1024);
  const ByteView arrived = read_into(block, pattern(60'000));
  Bytes kept;
  kept.append(arrived);
  Bytes half = kept.take(30'000);
  kept.clear();
  EXPECT_NE(half.size(), 0u);
  half.clear();
  EXPECT_EQ(block.begin(), arrived.data());
}

// What is read next must not be written behind a shared piece, and nothing is appended into the
// block either: the rest of it belongs to the reader.
TEST(InputBlock, NothingIsAppendedBehindASharedPiece) {
  InputBlock block(64 * 1024, 32 * 1024);
  const std::string text = pattern(64 * 1024);
  const ByteView arrived = read_into(block, text);
  Bytes kept;
  kept.append(arrived.substr(0, 40'000));
  kept.append("tail");
  block.begin();  // moves on: the queue holds the only reference now
  kept.append("more");
  EXPECT_EQ(kept.to_string(), text.substr(0, 40'000) + "tailmore");
  const Bytes::Space space = kept.reserve(10);
  EXPECT_TRUE(space.data < arrived.data() || space.data >= arrived.data() + text.size());
}

TEST(InputBlock, CountsAsInUseOnlyWhileItIsShared) {
  const ChunkPoolStats before = chunk_pool_stats();
  {
    InputBlock block(32 * 1024, 16 * 1024);
    const ByteView arrived = read_into(block, pattern(32 * 1024));
    EXPECT_EQ(chunk_pool_stats().chunks_in_use, before.chunks_in_use);
    Bytes kept;
    kept.append(arrived.substr(0, 16 * 1024));
    kept.append(arrived.substr(16 * 1024));
    EXPECT_EQ(chunk_pool_stats().chunks_in_use, before.chunks_in_use + 1);
    kept.clear();
    EXPECT_EQ(chunk_pool_stats().bytes_in_use, before.bytes_in_use);
    kept.append(read_into(block, pattern(32 * 1024, 3)));
    block.begin();
    EXPECT_EQ(chunk_pool_stats().chunks_in_use, before.chunks_in_use + 1);
  }
  EXPECT_EQ(chunk_pool_stats().chunks_in_use, before.chunks_in_use);
  EXPECT_EQ(chunk_pool_stats().bytes_in_use, before.bytes_in_use);
}

TEST(InputBlock, OutlivesItsLoanInTheQueueThatKeepsIt) {
  Bytes kept;
  const std::string text = pattern(40'000);
  {
    InputBlock block(64 * 1024, 32 * 1024);
    kept.append(read_into(block, text));
  }
  EXPECT_EQ(kept.to_string(), text);
}

TEST(InputBlock, DiesWithItsThread) {
  std::thread([] {
    static thread_local InputBlock block(64 * 1024, 32 * 1024);
    Bytes kept;
    kept.append(read_into(block, pattern(64 * 1024)));
    EXPECT_EQ(kept.size(), 64u * 1024);
  }).join();
}

}  // namespace
}  // namespace tulle
