// An upstream that sends whatever windows allow, and readers of whom some take nothing.

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/memory_budget.hpp"
#include "core/base/rng.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

constexpr size_t kQueue = 64 * 1024;
constexpr size_t kThrifty = 1536;
constexpr size_t kMuch = 1024 * 1024;
constexpr uint16_t kMaxStreams = 3;
constexpr uint16_t kInitialWindow = 4;

// A client codec, and an upstream by hand that counts windows as RFC 9113 has it. Its answers are of
// `size` bytes, each sent as far as its window and the connection's allow.
class Http2Windows : public testing::Test {
 protected:
  struct Answer {
    int64_t window;
    size_t left;
  };

  void SetUp() override {
    listen();
    tell(h2::settings({{kMaxStreams, 1000}}));
    acknowledge();
  }
  void TearDown() override {
    streams_.clear();
    listen();
    codec_.reset();
    EXPECT_EQ(MemoryBudget::of_process().promised(), promised_before_);
  }
  Stream& ask(size_t wants = SIZE_MAX) {
    StreamRef stream(codec_->open());
    EXPECT_NE(stream, nullptr);
    Head& head = stream->draft();
    head.method = Method::get;
    head.method_text = "GET";
    head.scheme = "http";
    head.authority = "a";
    head.path = "/";
    head.ended = true;
    stream->send_head();
    if (wants != SIZE_MAX) stream->limit_inbound(wants);
    streams_.push_back(std::move(stream));
    return *streams_.back();
  }
  void tell(const std::string& bytes) { ASSERT_TRUE(codec_->read(bytes, now_).has_value()); }

  // What the codec has to say reaches the upstream.
  void listen() {
    Bytes wire;
    codec_->write(wire, SIZE_MAX / 2);
    for (const h2::Frame& frame : h2::frames(wire.to_string())) {
      switch (frame.type) {
        case h2::kSettings: {
          if ((frame.flags & h2::kAck) != 0) break;
          for (size_t at = 0; at + 6 <= frame.payload.size(); at += 6) {
            if (frame.payload[at + 1] != kInitialWindow) continue;
            const auto initial = static_cast<int64_t>(frame.at(at + 2));
            for (auto& [id, answer] : answers_) answer.window += initial - initial_;
            initial_ = initial;
          }
          ++acks_due_;
          break;
        }
        case h2::kHeaders:
          answers_[frame.stream] = {initial_, size_};
          starting_.push_back(frame.stream);
          break;
        case h2::kWindowUpdate:
          if (frame.stream == 0) {
            connection_ += frame.at(0);
          } else if (answers_.contains(frame.stream)) {
            answers_[frame.stream].window += frame.at(0);
          }
          break;
        case h2::kRstStream: answers_.erase(frame.stream); break;
        default: break;
      }
    }
  }
  void acknowledge() {
    for (; acks_due_ > 0; --acks_due_) tell(h2::settings_ack());
  }
  // False: it could send nothing.
  bool send(size_t most = SIZE_MAX) {
    std::string out;
    for (const uint32_t id : starting_) {
      if (answers_.contains(id)) out += h2::headers(id, {{":status", "200"}}, h2::kEndHeaders);
    }
    starting_.clear();
    for (auto at = answers_.begin(); at != answers_.end();) {
      auto& [id, answer] = *at;
      bool ended = false;
      while (!ended && most > 0) {
        const int64_t may = std::min({answer.window, connection_, int64_t{16384}});
        if (may <= 0) break;
        const size_t size = std::min({static_cast<size_t>(may), answer.left, most});
        answer.left -= size;
        answer.window -= static_cast<int64_t>(size);
        connection_ -= static_cast<int64_t>(size);
        most -= size;
        ended = answer.left == 0;
        out += h2::data(id, std::string(size, 'x'), ended ? h2::kEndStream : 0);
      }
      at = ended ? answers_.erase(at) : std::next(at);
    }
    if (!out.empty()) tell(out);
    return !out.empty();
  }
  // Until nothing moves; nobody reads.
  void exhaust() {
    do {
      listen();
      acknowledge();
    } while (send());
  }
  size_t held() const {
    size_t size = 0;
    for (const StreamRef& stream : streams_) size += stream->readable();
    return size;
  }
  // Reads one answer to its end. Returns the bytes.
  size_t read_all(Stream& stream) {
    size_t size = 0;
    for (int round = 0; round < 10000 && !stream.ended(); ++round) {
      listen();
      acknowledge();
      send();
      size += stream.receive(SIZE_MAX).size();
      EXPECT_EQ(stream.failure(), nullptr);
    }
    EXPECT_TRUE(stream.ended());
    return size;
  }

  const HttpLimits limits_;
  const int64_t promised_before_ = MemoryBudget::of_process().promised();
  Instant now_{1'000'000'000};
  std::unique_ptr<Codec> codec_ = make_http2_codec(Codec::Role::client, limits_, "http");
  std::vector<StreamRef> streams_;
  std::map<uint32_t, Answer> answers_;
  std::vector<uint32_t> starting_;
  size_t size_ = 100 * 1024;
  int64_t initial_ = 65535;
  int64_t connection_ = 65535;
  int acks_due_ = 0;
};

TEST_F(Http2Windows, AFewWhoDoNotReadHaveTheirQueues) {
  for (int i = 0; i < 10; ++i) ask();
  exhaust();
  EXPECT_EQ(held(), 10 * kQueue);
  EXPECT_EQ(initial_, int64_t{kQueue});
}

TEST_F(Http2Windows, ManyWhoDoNotReadHoldLittleEach) {
  for (int i = 0; i < 500; ++i) {
    ask();
    exhaust();
  }
  EXPECT_LE(held(), kMuch + kQueue + 500 * kThrifty);
}

// All ask at once, and the upstream has sent all that one window of the connection allows before it
// reads our SETTINGS.
TEST_F(Http2Windows, ABurstOfThemHoldsAWindowOfTheConnectionMore) {
  for (int i = 0; i < 500; ++i) ask();
  exhaust();
  EXPECT_LE(held(), kMuch + limits_.connection_window + kQueue + 500 * kThrifty);
}

TEST_F(Http2Windows, WhoTakesNextToNothingIsSentNextToNothing) {
  for (int i = 0; i < 500; ++i) ask(1536);
  exhaust();
  EXPECT_LE(held(), 5 * kQueue + 500 * kThrifty);
}

TEST_F(Http2Windows, ThoseWhoReadGetAllWhateverOthersDo) {
  for (int i = 0; i < 50; ++i) ask();
  Stream& reads = ask();
  exhaust();
  size_ = 5'000'000;
  Stream& comes_later = ask();
  EXPECT_EQ(read_all(reads), 100u * 1024);
  EXPECT_EQ(read_all(comes_later), 5'000'000u);
  // Its window had grown, so that it was not the narrow windows which it waited for.
  EXPECT_LE(held(), kMuch + limits_.connection_window + kQueue + 50 * kThrifty);
  // The others lose nothing by it.
  for (const StreamRef& stream : streams_) {
    if (stream.get() != &reads && stream.get() != &comes_later) {
      EXPECT_EQ(read_all(*stream), 100u * 1024);
    }
  }
}

TEST_F(Http2Windows, WindowsWidenWhenAllHasBeenTakenForAWhile) {
  for (int i = 0; i < 50; ++i) ask();
  exhaust();
  EXPECT_EQ(initial_, int64_t{kThrifty});
  for (const StreamRef& stream : streams_) read_all(*stream);
  streams_.clear();
  size_ = 100;
  read_all(ask());
  EXPECT_EQ(initial_, int64_t{kThrifty}) << "not at once: it would only go to and fro";
  now_ = now_ + 11s;
  read_all(ask());  // only now the codec has heard the time
  read_all(ask());
  EXPECT_EQ(initial_, int64_t{kQueue});
  size_ = 300'000;
  EXPECT_EQ(read_all(ask()), 300'000u);
}

// Readers, sleepers, resets, late acknowledgements, windows to and fro: nobody who reads is ever stuck.
TEST_F(Http2Windows, AnyOrderOfEvents) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    codec_ = make_http2_codec(Codec::Role::client, limits_, "http");
    answers_.clear();
    starting_.clear();
    initial_ = connection_ = 65535;
    acks_due_ = 0;
    listen();
    tell(h2::settings({{kMaxStreams, 1000}}));
    size_ = 1 + rng.below(300'000);
    std::vector<size_t> taken;
    for (int step = 0; step < 600; ++step) {
      switch (rng.below(8)) {
        case 0:
          if (streams_.size() < 60) ask(rng.chance(0.3) ? 1536 : SIZE_MAX);
          break;
        case 1: listen(); break;
        case 2: acknowledge(); break;
        case 3: send(1 + rng.below(200'000)); break;
        case 4: now_ = now_ + Duration(rng.below(4'000'000'000)); break;
        case 5:
          if (!streams_.empty() && rng.chance(0.1)) streams_.erase(streams_.begin());
          break;
        default:
          if (!streams_.empty()) {
            streams_[rng.below(streams_.size())]->receive(1 + rng.below(100'000));
          }
          break;
      }
    }
    // From any state: whoever reads now gets the rest.
    for (const StreamRef& stream : streams_) {
      read_all(*stream);
      ASSERT_EQ(stream->bytes_received(), size_);
    }
    streams_.clear();
    listen();
  }
}

}  // namespace
}  // namespace tulle
