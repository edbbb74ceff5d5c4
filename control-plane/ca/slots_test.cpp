// A mesh's CA rotations of ten years, in microseconds.
#include "control-plane/ca/slots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tulle::ca {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kDay = 86400;
constexpr int64_t kYear = 365 * kDay;
constexpr int64_t kStart = 1'800'000'000;

Slot slot(const std::string& id, int64_t from, int64_t life = 10 * kYear) {
  return {id, "chain " + id + "\n", "key " + id, "root " + id + "\n", from, from + life};
}

Slots fresh() { return Slots({kDay, 30}, slot("a", kStart)); }

std::string why(const Result<void>& result) { return result ? "done" : result.error().detail; }

TEST(Slots, TheBundleHoldsTheNextBeforeAndThePreviousAfter) {
  Slots slots = fresh();
  EXPECT_EQ(slots.bundle_pem(), "root a\n");
  ASSERT_TRUE(slots.prepare(slot("b", kStart), kStart));
  EXPECT_EQ(slots.bundle_pem(), "root a\nroot b\n");
  EXPECT_EQ(slots.current().id, "a");
  ASSERT_TRUE(slots.activate(kStart + 30));
  EXPECT_EQ(slots.current().id, "b");
  EXPECT_EQ(slots.bundle_pem(), "root a\nroot b\n") << "nothing to push";
  EXPECT_EQ(slots.previous()[0].slot.key_pem, "") << "it signs nothing any more";
  const int64_t until = slots.previous()[0].until;
  EXPECT_GE(until, kStart + 30 + kDay) << "its last certificate lives so long";
  EXPECT_FALSE(slots.retire_due(until - 1));
  EXPECT_TRUE(slots.retire_due(until));
  ASSERT_TRUE(slots.retire(until, false));
  EXPECT_EQ(slots.bundle_pem(), "root b\n");
}

TEST(Slots, WhatComesTooEarlyIsRefusedWithTheTimeThatIsMissing) {
  Slots slots = fresh();
  EXPECT_THAT(why(slots.activate(kStart)), HasSubstr("prepare one first"));
  EXPECT_THAT(why(slots.retire(kStart, false)), HasSubstr("no previous authority"));
  EXPECT_THAT(why(slots.prepare(slot("a", kStart), kStart)), HasSubstr("current one already"));
  ASSERT_TRUE(slots.prepare(slot("b", kStart), kStart));
  EXPECT_THAT(why(slots.prepare(slot("c", kStart), kStart)), HasSubstr("activate it"));
  EXPECT_THAT(why(slots.activate(kStart + 29)), HasSubstr("wait 1 s"));
  ASSERT_TRUE(slots.activate(kStart + 30));
  EXPECT_THAT(why(slots.retire(kStart + 31, false)), HasSubstr("\"force\" refuses them"));
  EXPECT_TRUE(slots.retire(kStart + 31, true));
}

TEST(Slots, RotationsInQuickSuccessionAreBounded) {
  Slots slots = fresh();
  int64_t now = kStart;
  for (size_t i = 0; i < Slots::kMostPrevious; ++i) {
    ASSERT_TRUE(slots.prepare(slot("s" + std::to_string(i), now), now));
    ASSERT_TRUE(slots.activate(now += 30));
  }
  ASSERT_TRUE(slots.prepare(slot("one more", now), now));
  EXPECT_THAT(why(slots.activate(now += 30)), HasSubstr("retire the oldest"));
  EXPECT_FALSE(slots.activate_due(now));
}

TEST(Slots, OneRootInSeveralSlotsIsListedOnce) {
  Slots slots = fresh();
  Slot next = slot("b", kStart);
  next.root_pem = slots.current().root_pem;  // two intermediates below one root
  ASSERT_TRUE(slots.prepare(next, kStart));
  EXPECT_EQ(slots.bundle_pem(), "root a\n");
}

// Forty years by themselves, looked at when next_due() says: whatever was signed on any day can be
// verified until it has expired, by everybody who knows the bundle of 30 seconds before.
TEST(Slots, RotatesByItselfForDecadesWithoutAGap) {
  Slots slots = fresh();
  int64_t now = kStart;
  int rotations = 0;
  int looks = 0;
  std::string signer = slots.current().id;
  int64_t signed_until = 0;
  while (now < kStart + 40 * kYear) {
    ASSERT_LT(++looks, 1000);
    const std::string before = slots.bundle_pem();
    if (slots.retire_due(now)) {
      ASSERT_GE(now, signed_until) << "a certificate of it lives";
      ASSERT_TRUE(slots.retire(now, false));
    } else if (slots.activate_due(now)) {
      signer = slots.current().id;
      signed_until = now + kDay;
      ASSERT_THAT(before, HasSubstr(slots.next()->slot.root_pem));
      ASSERT_TRUE(slots.activate(now));
      ASSERT_FALSE(slots.next().has_value());
      ++rotations;
    } else if (slots.prepare_due(now)) {
      ASSERT_TRUE(slots.prepare(slot("r" + std::to_string(looks), now), now));
    }
    ASSERT_THAT(slots.bundle_pem(), HasSubstr(slots.current().root_pem));
    ASSERT_LT(now, slots.current().not_after);
    const int64_t due = slots.next_due(now);
    ASSERT_GE(due, now);
    now = std::max(due, now + 1);
  }
  EXPECT_GE(rotations, 4);
}

}  // namespace
}  // namespace tulle::ca
