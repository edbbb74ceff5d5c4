#include "core/base/bytes.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/base/rng.hpp"

namespace tulle {
namespace {

std::string pattern(size_t size, uint64_t seed = 1) {
  Rng rng(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>('a' + rng.below(26));
  return text;
}

TEST(Bytes, AppendFillsTheTail) {
  Bytes bytes;
  for (int i = 0; i < 100; ++i) bytes.append("0123456789");
  EXPECT_EQ(bytes.size(), 1000u);
  EXPECT_EQ(bytes.slice_count(), 1u);
  EXPECT_EQ(bytes.front().substr(0, 12), "012345678901");
}

TEST(Bytes, SmallFirstThenLarge) {
  const ChunkPoolStats before = chunk_pool_stats();
  Bytes bytes;
  bytes.append("x");
  EXPECT_LE(chunk_pool_stats().bytes_in_use - before.bytes_in_use, kSmallChunk);
  bytes.append(pattern(100'000));
  EXPECT_EQ(bytes.size(), 100'001u);
  EXPECT_LE(bytes.slice_count(), 8u);
  bytes.clear();
  EXPECT_EQ(chunk_pool_stats().chunks_in_use, before.chunks_in_use);
  EXPECT_EQ(chunk_pool_stats().bytes_in_use, before.bytes_in_use);
}

TEST(Bytes, MovingCopiesNothing) {
  Bytes a(pattern(5000));
  const char* where = a.front().data();
  Bytes b("head ");
  b.append(std::move(a));
  EXPECT_TRUE(a.empty());  // NOLINT: that is the contract
  EXPECT_EQ(a.slice_count(), 0u);
  EXPECT_EQ(b.slice(1).data(), where);
  EXPECT_EQ(b.to_string(), "head " + pattern(5000));
  a.append("usable again");
  EXPECT_EQ(a.to_string(), "usable again");
}

TEST(Bytes, AFewBytesJoinTheTail) {
  const size_t chunks = chunk_pool_stats().chunks_in_use;
  Bytes a("head ");
  a.append(Bytes("body"));
  EXPECT_EQ(a.slice_count(), 1u);
  EXPECT_EQ(a.to_string(), "head body");
  EXPECT_EQ(chunk_pool_stats().chunks_in_use, chunks + 1);
}

TEST(Bytes, TakeSharesOneChunkAtMost) {
  const std::string text = pattern(60'000);
  Bytes bytes(text);
  const size_t chunks = chunk_pool_stats().chunks_in_use;
  Bytes front = bytes.take(30'000);
  EXPECT_EQ(chunk_pool_stats().chunks_in_use, chunks);
  EXPECT_EQ(front.to_string(), text.substr(0, 30'000));
  EXPECT_EQ(bytes.to_string(), text.substr(30'000));
  front.append("not into the shared chunk");
  EXPECT_EQ(bytes.to_string(), text.substr(30'000));
  EXPECT_EQ(bytes.take(1'000'000).size(), 30'000u);
  EXPECT_TRUE(bytes.empty());
}

TEST(Bytes, PiecesOfOneChunkMeetAgain) {
  Bytes bytes(pattern(1000));
  Bytes front = bytes.take(400);
  front.append(std::move(bytes));
  EXPECT_EQ(front.slice_count(), 1u);
  EXPECT_EQ(front.to_string(), pattern(1000));
}

TEST(Bytes, ASharedTailIsNotWritten) {
  Bytes a("shared");
  Bytes b = a.take(3);
  a.append("A");
  b.append("B");
  EXPECT_EQ(a.to_string(), "redA");
  EXPECT_EQ(b.to_string(), "shaB");
}

TEST(Bytes, ReserveAndCommit) {
  Bytes bytes("x");
  Bytes::Space space = bytes.reserve(10);
  ASSERT_GE(space.size, 10u);
  std::copy_n("0123456789", 10, space.data);
  bytes.commit(4);
  EXPECT_EQ(bytes.to_string(), "x0123");
  EXPECT_EQ(bytes.slice_count(), 1u);

  space = bytes.reserve(17'000);  // a TLS record
  ASSERT_GE(space.size, 17'000u);
  bytes.commit(0);
  EXPECT_EQ(bytes.slice_count(), 1u);
  EXPECT_EQ(bytes.to_string(), "x0123");

  space = bytes.reserve(300'000);  // larger than any chunk of the pool
  ASSERT_GE(space.size, 300'000u);
  std::fill_n(space.data, 300'000, 'z');
  bytes.commit(300'000);
  EXPECT_EQ(bytes.size(), 300'005u);
}

TEST(Bytes, AReservationIsEndedByOtherCalls) {
  Bytes bytes;
  bytes.reserve(100);
  Bytes more("more");
  bytes.append(std::move(more));
  EXPECT_EQ(bytes.to_string(), "more");
  EXPECT_EQ(bytes.slice_count(), 1u);
  bytes.reserve(100'000);
  bytes.append("!");
  EXPECT_EQ(bytes.to_string(), "more!");
  bytes.reserve(5'000);
  bytes.reserve(50'000);
  bytes.drop(5);
  EXPECT_TRUE(bytes.empty());
  bytes.reserve(1);
  EXPECT_TRUE(bytes.take(10).empty());
}

TEST(Bytes, CopyTo) {
  Bytes bytes(pattern(5000));
  bytes.append(Bytes("tail"));
  char out[5004];
  EXPECT_EQ(bytes.copy_to(out, sizeof(out)), sizeof(out));
  EXPECT_EQ(std::string(out, sizeof(out)), pattern(5000) + "tail");
  EXPECT_EQ(bytes.copy_to(out, 3), 3u);
  EXPECT_EQ(bytes.size(), 5004u);
}

TEST(Bytes, SelfMoveAndEmptyQueues) {
  Bytes bytes("kept");
  Bytes& same = bytes;
  bytes = std::move(same);
  EXPECT_EQ(bytes.to_string(), "kept");
  Bytes empty;
  bytes.append(std::move(empty));
  bytes.append("");
  bytes.drop(0);
  EXPECT_EQ(bytes.take(0).size(), 0u);
  EXPECT_EQ(bytes.to_string(), "kept");
}

TEST(Bytes, ThePoolReusesTheLastChunkFirstAndIsBounded) {
  trim_chunk_pool();
  EXPECT_EQ(chunk_pool_stats().bytes_pooled, 0u);
  const char* where;
  {
    Bytes bytes("x");
    where = bytes.front().data();
  }
  {
    Bytes bytes("y");
    EXPECT_EQ(bytes.front().data(), where);
  }
  { Bytes much(std::string(20'000'000, 'x')); }
  EXPECT_LE(chunk_pool_stats().bytes_pooled, 4u * 1024 * 1024);
  EXPECT_GT(chunk_pool_stats().bytes_pooled, 3u * 1024 * 1024);
  trim_chunk_pool(100'000);
  EXPECT_LE(chunk_pool_stats().bytes_pooled, 100'000u);
}

TEST(Bytes, EveryThreadHasItsPool) {
  const size_t here = chunk_pool_stats().chunks_in_use;
  std::thread([&] {
    EXPECT_EQ(chunk_pool_stats().bytes_pooled, 0u);
    Bytes bytes(pattern(50'000));
    EXPECT_GT(chunk_pool_stats().chunks_in_use, 0u);
  }).join();
  EXPECT_EQ(chunk_pool_stats().chunks_in_use, here);
}

// A static object may hold bytes when its thread's pool goes.
TEST(Bytes, OutliveTheirThread) {
  Bytes kept;
  std::thread([&] { kept.append(pattern(50'000)); }).join();
  EXPECT_EQ(kept.to_string(), pattern(50'000));
}

class BytesModel : public testing::TestWithParam<uint64_t> {};

// Random operations on a few queues, against strings.
TEST_P(BytesModel, AgreesWithStrings) {
  Rng rng(GetParam());
  const size_t chunks = chunk_pool_stats().chunks_in_use;
  {
    constexpr size_t kQueues = 4;
    std::vector<Bytes> queues(kQueues);
    std::vector<std::string> model(kQueues);
    const std::string source = pattern(70'000, GetParam());
    for (int step = 0; step < 5000; ++step) {
      const size_t a = rng.below(kQueues), b = rng.below(kQueues);
      const size_t size = rng.below(uint64_t{1} << rng.below(17));
      const std::string_view text = std::string_view(source).substr(rng.below(1000), size);
      switch (rng.below(7)) {
        case 0: case 1:
          queues[a].append(text);
          model[a] += text;
          break;
        case 2:
          if (a == b) break;
          queues[a].append(std::move(queues[b]));
          model[a] += std::exchange(model[b], "");
          break;
        case 3: {
          Bytes taken = queues[a].take(size);
          std::string expected = model[a].substr(0, size);
          model[a].erase(0, size);
          ASSERT_EQ(taken.to_string(), expected);
          queues[b].append(std::move(taken));
          model[b] += expected;
          break;
        }
        case 4: {
          const size_t n = std::min(size, model[a].size());
          queues[a].drop(n);
          model[a].erase(0, n);
          break;
        }
        case 5: {
          const Bytes::Space space = queues[a].reserve(size);
          ASSERT_GE(space.size, size);
          const size_t n = std::min(text.size(), space.size);
          text.copy(space.data, n);
          queues[a].commit(n);
          model[a] += text.substr(0, n);
          break;
        }
        case 6:
          if (model[a].size() < 200'000) break;
          queues[a] = Bytes();
          model[a].clear();
          break;
      }
      ASSERT_EQ(queues[a].size(), model[a].size());
      ASSERT_EQ(queues[b].to_string(), model[b]);
      for (size_t i = 0; i < queues[a].slice_count(); ++i) ASSERT_FALSE(queues[a].slice(i).empty());
    }
  }
  EXPECT_EQ(chunk_pool_stats().chunks_in_use, chunks);
}

INSTANTIATE_TEST_SUITE_P(Seeds, BytesModel, testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace tulle
