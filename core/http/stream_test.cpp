#include "core/http/stream.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "core/net/loop.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/task.hpp"

namespace tulle {
namespace {

// A handler that only counts how often it is woken.
class Sleeper : public Task {
 public:
  using Task::Task;
  int runs = 0;
  bool* destroyed = nullptr;
  StreamRef holds;
  ~Sleeper() override {
    if (destroyed != nullptr) *destroyed = true;
  }

 private:
  void run() override { ++runs; }
};

class CountingFlusher : public Flusher {
 public:
  explicit CountingFlusher(Loop& loop) : Flusher(loop, Stage::frame) {}
  int flushes = 0;

 private:
  void flush() override { ++flushes; }
};

class StreamTest : public ::testing::Test {
 protected:
  StreamTest() { dirty_.flusher = &flusher_; }
  ~StreamTest() override { stream_.reset(); }

  Stream& make(bool server) {
    stream_.reset(Stream::make(dirty_, server, 100, 100));
    stream_->set_owner(&owner_);
    return *stream_;
  }
  // How often the owner runs because of what has happened since the last call.
  int wakes() {
    const int before = owner_.runs;
    loop_.turn();
    return owner_.runs - before;
  }
  bool is_dirty() { return !dirty_.list.empty(); }
  // What a codec's write() does.
  void sweep() {
    while (dirty_.take() != nullptr) {}
  }

  SimulatedClock clock_;
  Loop loop_{make_simulated_engine(clock_)};
  CountingFlusher flusher_{loop_};
  DirtyStreams dirty_;
  Sleeper owner_{loop_};
  StreamRef stream_;
};

TEST_F(StreamTest, EveryArrivalWakes) {
  Stream& stream = make(false);
  EXPECT_EQ(stream.head(), nullptr);
  ASSERT_NE(stream.arriving_interim(), nullptr);
  stream.arriving_interim()->status = 103;
  stream.interim_arrived();
  EXPECT_EQ(wakes(), 1);
  EXPECT_EQ(stream.interim()->status, 103);
  stream.drop_interim();
  EXPECT_EQ(stream.interim(), nullptr);

  stream.arriving_head().status = 200;
  stream.head_arrived();
  EXPECT_EQ(wakes(), 1);
  EXPECT_EQ(stream.head()->status, 200);

  stream.body_arrived("abc");
  EXPECT_EQ(wakes(), 1);
  stream.body_arrived("def");
  EXPECT_EQ(wakes(), 0) << "it has been told that there is something";
  EXPECT_EQ(stream.receive(100).to_string(), "abcdef");
  stream.body_arrived(Bytes("g"));
  EXPECT_EQ(wakes(), 1);

  stream.end_arrived();
  EXPECT_EQ(wakes(), 1);
  EXPECT_TRUE(stream.arrived());
  EXPECT_FALSE(stream.ended());
  EXPECT_EQ(stream.receive(1).size(), 1u);
  EXPECT_TRUE(stream.ended());
  stream.mark_departed();
  EXPECT_EQ(wakes(), 1);
  EXPECT_EQ(stream.bytes_received(), 7u);
}

TEST_F(StreamTest, AHeadMayBeTheEnd) {
  Stream& stream = make(true);
  stream.arriving_head().ended = true;
  stream.head_arrived();
  EXPECT_TRUE(stream.ended());
}

TEST_F(StreamTest, WithoutAnOwnerNobodyWakes) {
  Stream& stream = make(true);
  stream.set_owner(nullptr);
  stream.head_arrived();
  stream.body_arrived("x");
  stream.fail({Code::closed, Origin::downstream, ""});
  EXPECT_EQ(wakes(), 0);
}

TEST_F(StreamTest, InterimsAreBounded) {
  Stream& stream = make(false);
  for (int i = 0; i < 8; ++i) {
    stream.arriving_interim()->status = 100 + i;
    stream.interim_arrived();
  }
  EXPECT_EQ(stream.arriving_interim(), nullptr);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(stream.interim()->status, 100 + i);
    stream.drop_interim();
  }
  EXPECT_NE(stream.arriving_interim(), nullptr);

  Stream& server = make(true);
  for (int i = 0; i < 20; ++i) {
    server.draft().status = 103;
    server.send_interim();
    EXPECT_EQ(server.draft().status, 0) << "the draft is clear again";
  }
  int departed = 0;
  for (; server.departing_interim() != nullptr; ++departed) server.interim_departed();
  EXPECT_EQ(departed, 8);
}

TEST_F(StreamTest, SendingMarksDirtyAndFlushesOnce) {
  Stream& stream = make(true);
  EXPECT_FALSE(is_dirty());
  stream.draft().status = 200;
  stream.send_head();
  stream.send(Bytes("abc"));
  stream.finish();
  EXPECT_TRUE(is_dirty());
  loop_.turn();
  EXPECT_EQ(flusher_.flushes, 1);
  EXPECT_EQ(dirty_.take(), &stream);
  EXPECT_EQ(dirty_.take(), nullptr);
  EXPECT_FALSE(stream.departing_end()) << "the body goes first";
  stream.departing_body().drop(3);
  stream.body_departed(3);
  EXPECT_TRUE(stream.departing_end());
  EXPECT_EQ(stream.bytes_sent(), 3u);
}

TEST_F(StreamTest, RoomIsCapacityAndAskingInVainArms) {
  Stream& stream = make(true);
  stream.send_head();
  EXPECT_EQ(stream.room(), 100u);
  stream.send(Bytes(std::string(100, 'x')));
  stream.departing_body().drop(10);
  stream.body_departed(10);
  EXPECT_EQ(wakes(), 0) << "nobody has asked in vain";
  stream.send(Bytes(std::string(10, 'x')));
  EXPECT_EQ(stream.room(), 0u);
  stream.departing_body().drop(1);
  stream.body_departed(1);
  EXPECT_EQ(wakes(), 1);
  EXPECT_EQ(stream.room(), 1u);
  stream.finish();
  EXPECT_EQ(stream.room(), 0u);
}

TEST_F(StreamTest, TakingBytesGivesCredit) {
  Stream& stream = make(true);
  stream.set_credit_step(50);
  stream.body_arrived(std::string(100, 'x'));
  EXPECT_EQ(stream.inbound_room(), 0u);
  stream.receive(49);
  EXPECT_FALSE(is_dirty());
  stream.receive(1);
  EXPECT_TRUE(is_dirty());
  EXPECT_EQ(stream.inbound_room(), 50u);
  EXPECT_EQ(stream.take_credit(), 50u);
  EXPECT_EQ(stream.take_credit(), 0u);
}

TEST_F(StreamTest, TheFirstFailureCounts) {
  Stream& stream = make(false);
  stream.send_head();
  stream.body_arrived("kept");
  wakes();
  stream.fail({Code::upstream_reset, Origin::upstream, "one"});
  EXPECT_EQ(wakes(), 1);
  stream.fail({Code::internal, Origin::local, "two"});
  EXPECT_EQ(wakes(), 0);
  EXPECT_EQ(stream.failure()->detail, "one");
  EXPECT_FALSE(stream.arrived());
  EXPECT_EQ(stream.room(), 0u);
  stream.send(Bytes("dropped"));
  stream.finish();
  stream.end_arrived();
  EXPECT_FALSE(stream.arrived());
  EXPECT_FALSE(stream.finished());
  EXPECT_EQ(stream.receive(100).to_string(), "kept");
}

TEST_F(StreamTest, DroppingEarlyCancels) {
  for (const bool server : {false, true}) {
    Stream& stream = make(server);
    stream.send_head();
    sweep();
    stream_.reset();
    EXPECT_EQ(dirty_.take(), &stream);
    EXPECT_EQ(stream.cancelled(), Code::cancelled);
    EXPECT_EQ(dirty_.alive, 1u) << "it stays until the codec has closed it";
    stream.codec_closed();
    EXPECT_EQ(dirty_.alive, 0u);
  }
}

TEST_F(StreamTest, AServerMayLetGoOfAFinishedAnswer) {
  Stream& stream = make(true);
  stream.send_head();
  stream.send(Bytes("answer"));
  stream.finish();
  stream_.reset();
  EXPECT_FALSE(stream.cancelled().has_value());
  EXPECT_TRUE(stream.released());
  EXPECT_EQ(stream.departing_body().to_string(), "answer");
  stream.body_arrived("the rest of the request");
  EXPECT_EQ(stream.inbound_room(), 100u) << "discarded";
  stream.codec_closed();
}

TEST_F(StreamTest, AClientThatLetsGoOfAnUnansweredRequestCancels) {
  Stream& stream = make(false);
  stream.draft().ended = true;
  stream.send_head();
  stream_.reset();
  EXPECT_TRUE(stream.cancelled().has_value());
  stream.codec_closed();
}

TEST_F(StreamTest, ClosedFirstIsSweptLater) {
  Stream& stream = make(true);
  bool destroyed = false;
  auto handler = std::make_unique<Sleeper>(loop_);
  handler->destroyed = &destroyed;
  stream.set_owner(handler.get());
  handler->holds = std::move(stream_);
  Sleeper& task = *handler;
  stream.set_handler(std::move(handler));
  stream.send_head();
  stream.finish();
  stream.codec_closed();
  sweep();
  EXPECT_EQ(dirty_.alive, 1u);
  task.holds.reset();
  EXPECT_FALSE(destroyed) << "never from inside what may be its own run()";
  EXPECT_TRUE(is_dirty());
  EXPECT_EQ(dirty_.take(), nullptr);
  EXPECT_TRUE(destroyed);
  EXPECT_EQ(dirty_.alive, 0u);
  EXPECT_TRUE(dirty_.live.empty());
}

TEST_F(StreamTest, WhatIsSentAfterTheCodecClosedIsDropped) {
  Stream& stream = make(false);
  stream.send_head();
  stream.send(Bytes(std::string(100, 'x')));
  EXPECT_EQ(stream.room(), 0u);
  stream.end_arrived();
  stream.codec_closed();
  EXPECT_EQ(wakes(), 1);
  EXPECT_EQ(stream.room(), 100u);
  stream.send(Bytes(std::string(100, 'x')));
  EXPECT_EQ(stream.room(), 100u);
}

TEST_F(StreamTest, DiscardedStreamsGoBackAtOnce) {
  Stream* stream = Stream::make(dirty_, true, 1, 1);
  EXPECT_EQ(dirty_.alive, 1u);
  stream->discard();
  EXPECT_EQ(dirty_.alive, 0u);
}

TEST_F(StreamTest, TheLastOneFlushes) {
  Stream& stream = make(true);
  stream.codec_closed();
  loop_.turn();
  const int before = flusher_.flushes;
  stream_.reset();
  loop_.turn();
  sweep();
  loop_.turn();
  EXPECT_EQ(flusher_.flushes, before + 2) << "one to sweep, one because nobody is alive";
}

TEST_F(StreamTest, TheCodecMayDieFirst) {
  auto own = std::make_unique<DirtyStreams>();
  StreamRef held(Stream::make(*own, false, 100, 100));
  StreamRef released(Stream::make(*own, false, 100, 100));
  Stream* const waiting_for_codec = released.release();
  StreamRelease()(waiting_for_codec);

  bool destroyed = false;
  auto handler = std::make_unique<Sleeper>(loop_);
  handler->destroyed = &destroyed;
  handler->holds.reset(Stream::make(*own, true, 100, 100));
  Stream& parked = *handler->holds;
  parked.set_owner(handler.get());
  parked.set_handler(std::move(handler));

  held->set_owner(&owner_);
  held->send_head();
  own.reset();
  EXPECT_TRUE(destroyed);
  ASSERT_NE(held->failure(), nullptr);
  EXPECT_EQ(held->failure()->code, Code::closed);
  EXPECT_EQ(wakes(), 1);
  held->send(Bytes("x"));
  held->finish();
  held->receive(10);
  held.reset();
}

TEST_F(StreamTest, PooledStreamsAreAsNew) {
  Stream& first = make(false);
  first.set_owner(nullptr);
  first.arriving_head().status = 200;
  first.arriving_head().fields.add("x", "y");
  first.arriving_head().ended = true;
  first.head_arrived();
  first.arriving_trailers().add("x", "y");
  first.draft().path = "/";
  first.send_head();
  first.mark_head_departed();
  first.send(Bytes("x"));
  first.body_arrived("x");
  first.fail({Code::internal, Origin::local, ""});
  first.mark_touched();
  first.set_reused_connection(true);
  first.wire_id = 7;
  first.codec_closed();
  const Stream* const address = &first;
  stream_.reset();
  sweep();

  Stream& second = make(true);
  EXPECT_EQ(&second, address) << "the pool gave the same one";
  EXPECT_TRUE(second.is_server());
  EXPECT_EQ(second.head(), nullptr);
  EXPECT_TRUE(second.arriving_head().fields.empty());
  EXPECT_TRUE(second.trailers().empty() && second.draft().path.empty());
  EXPECT_FALSE(second.head_sent() || second.head_departed() || second.arrived() || second.finished());
  EXPECT_FALSE(second.departed() || second.released() || second.closed_by_codec());
  EXPECT_FALSE(second.failure() || second.cancelled() || second.reused_connection());
  EXPECT_TRUE(second.untouched());
  EXPECT_EQ(second.readable() + second.bytes_received() + second.bytes_sent(), 0u);
  EXPECT_EQ(second.room(), 100u);
  EXPECT_EQ(second.wire_id, 0);
  second.codec_closed();
}

}  // namespace
}  // namespace tulle
