// What HTTP/2 does when the process's memory is short: windows stay as they are, streams are refused.
#include <gtest/gtest.h>

#include <string>

#include "core/base/memory_budget.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

constexpr int64_t kMiB = 1 << 20;

class Http2Pressure : public testing::Test {
 protected:
  Http2Pressure() { budget_.set_limit(budget_.used() + 100 * kMiB); }
  ~Http2Pressure() override {
    use(0);
    budget_.set_limit(0);
  }
  // Of the hundred MiB so many are in use.
  void use(int64_t mib) {
    MemoryMeter::of_thread().charge(MemoryUse::tls, (mib - in_use_) * kMiB);
    in_use_ = mib;
  }
  MemoryBudget& budget_ = MemoryBudget::of_process();
  int64_t in_use_ = 0;
};

// How much arrives of an endless upload whose reader has kept up for a while, and then stops.
size_t window_after_reading(Http2Pair& pair, StreamRef& up, StreamRef& down) {
  size_t left = 64 << 20;
  for (int i = 0; i < 400; ++i) {
    if (!up->finished()) send_some(*up, left);
    pair.step();
    if (i < 300) all_of(*down);
  }
  return down->readable();
}

TEST_F(Http2Pressure, WindowsGrowOnlyWhileThereIsMemoryToPromise) {
  for (const int64_t used : {0, 70}) {
    use(used);
    const int64_t before = budget_.promised();
    {
      Http2Pair pair;
      StreamRef up = pair.request("POST", "/", true);
      pair.pump();
      StreamRef down = pair.take();
      const size_t window = used == 0 ? 1024 * 1024 : 64 * 1024;
      const size_t arrived = window_after_reading(pair, up, down);
      EXPECT_LE(arrived, window);
      EXPECT_GT(arrived, window / 2) << "what was read last is credited by halves";
      EXPECT_EQ(budget_.promised() - before, static_cast<int64_t>(window) - 64 * 1024);
    }
    EXPECT_EQ(budget_.promised(), before) << "a promise ends with its stream";
  }
}

TEST_F(Http2Pressure, NewStreamsAreRefusedAndThatIsNobodysFault) {
  const HttpLimits limits;
  const std::unique_ptr<Codec> codec = make_http2_codec(Codec::Role::server, limits, "http");
  const auto answers = [&](std::string_view bytes) {
    EXPECT_TRUE(codec->read(bytes, Instant{1}).has_value());
    Bytes wire;
    codec->write(wire, SIZE_MAX / 2);
    return h2::frames(wire.to_string());
  };
  answers(std::string(h2::kPreface) + h2::settings());
  answers(h2::settings_ack());
  use(95);
  const uint64_t before = budget_.shed(Shed::stream);
  uint32_t id = 1;
  for (; id < 2000; id += 2) {  // many more than the misbehaviour budget has tokens
    const auto frames = answers(h2::headers(id, h2::get()));
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(frames[0].type, h2::kRstStream);
    ASSERT_EQ(frames[0].at(0), 7u) << "REFUSED_STREAM";
  }
  EXPECT_EQ(budget_.shed(Shed::stream) - before, 1000u);
  EXPECT_EQ(codec->accept(), nullptr);
  use(0);
  EXPECT_TRUE(answers(h2::headers(id, h2::get())).empty());
  const StreamRef stream(codec->accept());
  EXPECT_NE(stream, nullptr);
}

}  // namespace
}  // namespace tulle
