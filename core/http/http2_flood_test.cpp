// Peers that make work: what is harmless once ends the connection when it does not stop.
#include <gtest/gtest.h>

#include <string>

#include "core/http/http2_attack_fixture_test.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

// Sends `unit` until the connection ends; how often, at most `limit`. Answers are read.
class Http2Flood : public Http2Attack {
 protected:
  template <class Unit>
  size_t flood(const Unit& unit, size_t limit) {
    for (size_t i = 0; i < limit; ++i) {
      if (!read(unit(i))) {
        EXPECT_EQ(answer(), gone(kEnhanceYourCalm));
        EXPECT_TRUE(codec_->finished());
        return i;
      }
      while (StreamRef stream{codec_->accept()}) {
      }
      sent();
      if (codec_->finished()) return i;
    }
    return limit;
  }
};

TEST_F(Http2Flood, RapidReset) {
  EXPECT_LE(flood(
                [](size_t i) {
                  const auto id = static_cast<uint32_t>(2 * i + 1);
                  return h2::headers(id, h2::get()) + h2::rst(id, 8);
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, RapidResetIsNotPaidForWithData) {
  EXPECT_LE(flood(
                [](size_t i) {
                  const auto id = static_cast<uint32_t>(2 * i + 1);
                  return h2::headers(id, h2::get(), h2::kEndHeaders) + h2::data(id, "x") +
                         h2::data(id, "x") + h2::rst(id, 8);
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, MadeYouReset) {
  EXPECT_LE(flood(
                [](size_t i) {
                  const auto id = static_cast<uint32_t>(2 * i + 1);
                  return h2::headers(id, h2::get(), h2::kEndHeaders) +
                         h2::window_update(id, 0x7fffffff);
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, MalformedHeads) {
  EXPECT_LE(flood([](size_t i) { return h2::headers(static_cast<uint32_t>(2 * i + 1), {}); },
                  100000),
            1000u);
}

TEST_F(Http2Flood, RefusedHeads) {
  EXPECT_LE(flood(
                [](size_t i) {
                  return h2::headers(static_cast<uint32_t>(2 * i + 1),
                                     replace(h2::get(), ":path", "/#"));
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, EmptyData) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  EXPECT_LE(flood([](size_t) { return h2::data(1, ""); }, 100000), 100u);
}

TEST_F(Http2Flood, PaddingOnly) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  EXPECT_LE(flood([](size_t) { return h2::data(1, std::string("\x02\0\0", 3), h2::kPadded); },
                  100000),
            100u);
}

TEST_F(Http2Flood, Pings) { EXPECT_LE(flood([](size_t) { return h2::ping(); }, 100000), 1000u); }

TEST_F(Http2Flood, UnsolicitedPingAnswers) {
  EXPECT_LE(flood([](size_t) { return h2::ping("12345678", h2::kAck); }, 100000), 1000u);
}

TEST_F(Http2Flood, Settings) {
  EXPECT_LE(flood([](size_t) { return h2::settings({{4, 65535}}); }, 100000), 1000u);
}

TEST_F(Http2Flood, Priorities) {
  EXPECT_LE(flood(
                [](size_t i) {
                  return h2::frame(h2::kPriority, 0, static_cast<uint32_t>(2 * i + 101),
                                   h2::number(0, 4) + "\x01");
                },
                100000),
            1000u);
}

TEST_F(Http2Flood, UnknownFrames) {
  EXPECT_LE(flood([](size_t) { return h2::frame(0x77, 0, 0, "what?"); }, 100000), 1000u);
  greet();
  EXPECT_LE(flood([](size_t) { return h2::frame(0xff, 0, 1, ""); }, 100000), 1000u);
}

TEST_F(Http2Flood, WindowDrips) {
  EXPECT_LE(flood([](size_t) { return h2::window_update(0, 1); }, 100000), 10000u);
}

TEST_F(Http2Flood, HonestPingsAreNoFlood) {
  EXPECT_TRUE(read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef stream(codec_->accept());
  for (int i = 0; i < 5000; ++i) {  // the way gRPC measures its bandwidth
    ASSERT_TRUE(read(h2::data(1, "message") + h2::ping()));
    stream->receive(SIZE_MAX);
    sent();
  }
}

TEST_F(Http2Flood, CancellingIsAllowedToThoseWhoAlsoListen) {
  for (uint32_t i = 0; i < 5000; ++i) {
    const uint32_t id = 4 * i + 1;
    ASSERT_TRUE(read(h2::headers(id, h2::get()) + h2::headers(id + 2, h2::get())));
    StreamRef served(codec_->accept());
    StreamRef cancelled(codec_->accept());
    Http2Pair::respond(*served, 200);
    sent();
    ASSERT_TRUE(read(h2::rst(id + 2, 8)));
    EXPECT_NE(cancelled->failure(), nullptr);
    sent();
  }
}

TEST_F(Http2Flood, APeerThatDoesNotReadIsBounded) {
  limits_.misbehaviour_burst = 1000000;
  greet();
  size_t pings = 0;
  while (pings < 100000 && read(h2::ping())) ++pings;
  EXPECT_LE(pings, 1001u);
  EXPECT_GE(pings, 900u);
  EXPECT_EQ(h2::of_type(sent(), h2::kGoaway).size(), 1u);
  greet();
  size_t changes = 0;
  while (changes < 100000 && read(h2::settings())) ++changes;
  EXPECT_LE(changes, 1001u);
  greet();
  for (uint32_t id = 1; id < 200000 && read(h2::headers(id, {})); id += 2) {
  }
  EXPECT_LE(sent().size(), 1400u);
  EXPECT_TRUE(codec_->finished());
}

TEST_F(Http2Flood, TheBudgetComesBackWithTime) {
  for (int second = 0; second < 100; ++second) {
    now_ = now_ + 1s;
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(read(h2::ping()));
    sent();
  }
}

}  // namespace
}  // namespace tulle
