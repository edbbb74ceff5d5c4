// Bytes that were read already are read again, in front of what comes.
#include "core/net/prefixed_stream.hpp"

#include <gtest/gtest.h>

#include "core/net/memory_stream.hpp"
#include "core/net/simulated_engine.hpp"
#include "tests/support/recorder.hpp"

namespace tulle {
namespace {

using testing::Recorder;

class Prefixed : public ::testing::Test {
 protected:
  // What was read so far is read by somebody else, who then lets go.
  void read_and_wrap(const std::string& first) {
    auto [near, far] = MemoryStream::pair(loop_);
    client_.own(std::move(near));
    far_ = far.get();
    Recorder sniffer;
    if (!first.empty()) client_.send(first);
    far->start(sniffer);
    clock_.run_until_quiet();
    ASSERT_EQ(sniffer.text, first);
    wrapped_ = std::make_unique<PrefixedStream>(loop_, std::move(far), Bytes(first));
  }
  SimulatedClock clock_{5};
  SimulatedLoop loop_{clock_};
  MemoryStream* far_ = nullptr;
  Recorder client_;
  std::unique_ptr<ByteStream> wrapped_;
};

TEST_F(Prefixed, TheReaderHearsAllOfItInOrder) {
  read_and_wrap("one ");
  Recorder server;
  server.own(std::move(wrapped_));
  client_.send("two ");
  clock_.run_until_quiet();
  client_.send("three");
  client_.stream->shutdown();
  clock_.run_until_quiet();
  EXPECT_EQ(server.text, "one two three");
  EXPECT_TRUE(server.ended_orderly());
  server.send("answer");
  server.stream->shutdown();
  clock_.run_until_quiet();
  EXPECT_EQ(client_.text, "answer");
  EXPECT_TRUE(client_.ended_orderly());
}

TEST_F(Prefixed, WithoutAPrefixItIsTheStreamItself) {
  read_and_wrap("");
  Recorder server;
  server.own(std::move(wrapped_));
  client_.send("x");
  clock_.run_until_quiet();
  EXPECT_EQ(server.text, "x");
}

TEST_F(Prefixed, APausedReaderGetsNothingUntilItReads) {
  read_and_wrap("first");
  Recorder server;
  server.stream = std::move(wrapped_);
  server.stream->want_read(false);
  server.stream->start(server);
  client_.send("second");
  client_.stream->shutdown();
  clock_.run_until_quiet();
  EXPECT_TRUE(server.opened);
  EXPECT_EQ(server.text, "");
  EXPECT_FALSE(server.ended);
  server.stream->want_read(true);
  clock_.run_until_quiet();
  EXPECT_EQ(server.text, "firstsecond");
  EXPECT_TRUE(server.ended_orderly());
}

TEST_F(Prefixed, AnEndThatCameBeforeIsToldBehindThePrefix) {
  read_and_wrap("all there is");
  client_.stream->shutdown();
  clock_.run_until_quiet();
  Recorder server;
  server.own(std::move(wrapped_));
  clock_.run_until_quiet();
  EXPECT_EQ(server.text, "all there is");
  EXPECT_TRUE(server.ended_orderly());
}

TEST_F(Prefixed, AResetIsTold) {
  read_and_wrap("x");
  Recorder server;
  server.own(std::move(wrapped_));
  clock_.run_until_quiet();
  far_->reset();
  clock_.run_until_quiet();
  EXPECT_TRUE(server.ended);
  EXPECT_FALSE(server.ended_orderly());
}

TEST_F(Prefixed, AbortAndFinishReachTheStreamInside) {
  read_and_wrap("x");
  ByteStream::abort(std::move(wrapped_));
  clock_.run_until_quiet();
  EXPECT_TRUE(client_.ended);
  EXPECT_FALSE(client_.ended_orderly());
}

}  // namespace
}  // namespace tulle
