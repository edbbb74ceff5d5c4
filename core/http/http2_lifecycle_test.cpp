// How streams and connections end: resets and GOAWAY in both directions, retiring, deadlines, loss.

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "core/http/http2_raw_fixture_test.hpp"
#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

// ---- resets ----------------------------------------------------------------------------------

TEST(Http2Reset, AClientThatLetsGoCancels) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  up.reset();
  EXPECT_TRUE(pair.client->wants_write());
  pair.pump();
  ASSERT_NE(down->failure(), nullptr);
  EXPECT_EQ(down->failure()->code, Code::cancelled);
  EXPECT_EQ(down->failure()->origin, Origin::downstream);
  EXPECT_EQ(pair.client->open_streams(), 0u);
  EXPECT_EQ(pair.server->open_streams(), 0u);
}

TEST(Http2Reset, AStreamThatWasNeverSentIsForgotten) {
  Http2Pair pair;
  pair.pump();
  StreamRef up = pair.open();
  EXPECT_EQ(pair.client->open_streams(), 1u);
  up.reset();
  pair.pump();
  EXPECT_EQ(pair.client->open_streams(), 0u);
  StreamRef sent = pair.request("GET", "/");
  sent.reset();  // before the turn has ended
  const auto wire = h2::frames(pair.written(*pair.client));
  EXPECT_TRUE(h2::of_type(wire, h2::kHeaders).empty());
  EXPECT_EQ(pair.client->open_streams(), 0u);
}

TEST(Http2Reset, AServerThatLetsGoBeforeItAnswered) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  pair.take().reset();
  pair.pump();
  ASSERT_NE(up->failure(), nullptr);
  EXPECT_EQ(up->failure()->code, Code::cancelled);
  EXPECT_EQ(up->failure()->origin, Origin::upstream);
}

TEST(Http2Reset, AServerThatLetsGoInTheMiddle) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  down->draft().status = 200;
  down->send_head();
  down->send(Bytes("half"));
  pair.pump();
  down->cancel(Code::upstream_reset);
  down.reset();
  pair.pump();
  EXPECT_EQ(all_of(*up), "half");
  EXPECT_FALSE(up->arrived());
  ASSERT_NE(up->failure(), nullptr);
  EXPECT_EQ(up->failure()->code, Code::upstream_reset);  // INTERNAL_ERROR on the wire
}

TEST(Http2Reset, RefusedStreamsAreSafeToRetry) {
  Http2Pair pair;
  StreamRef up = pair.request("POST", "/", true);
  pair.pump();
  StreamRef down = pair.take();
  down->cancel(Code::overloaded);
  down.reset();
  pair.pump();
  ASSERT_NE(up->failure(), nullptr);
  EXPECT_EQ(up->failure()->code, Code::refused_stream);
  EXPECT_TRUE(up->untouched());
}

TEST(Http2Reset, AnAnswerStillDepartsAfterItsHandlerHasLetGo) {
  Http2Pair pair;
  StreamRef up = pair.request("POST", "/", true);
  up->send(Bytes("unread"));
  pair.pump();
  StreamRef down = pair.take();
  down->draft().status = 200;
  down->send_head();
  const std::string body(64 * 1024, 'b');
  down->send(Bytes(body));
  down->finish();
  down.reset();
  std::string got;
  for (int i = 0; i < 10; ++i) {
    pair.step();
    got += all_of(*up);
  }
  EXPECT_EQ(got, body);
  EXPECT_TRUE(up->ended());
  EXPECT_EQ(up->failure(), nullptr);
  EXPECT_EQ(pair.server->open_streams(), 1u);  // for a while the rest of the request may come
}

TEST(Http2Reset, AResetInTheQueueNeverReachesAHandler) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  ASSERT_TRUE(pair.feed(*pair.server, pair.written(*pair.client)));
  up.reset();
  ASSERT_TRUE(pair.feed(*pair.server, pair.written(*pair.client)));
  EXPECT_EQ(pair.server->accept(), nullptr);
  EXPECT_EQ(pair.server->open_streams(), 0u);
}

// ---- GOAWAY ----------------------------------------------------------------------------------

const h2::FieldList kOk = {{":status", "200"}};

TEST(Http2Goaway, StreamsAboveTheNumberAreRefusedTheOthersGoOn) {
  Http2Raw raw(Codec::Role::client);
  StreamRef one = raw.get();
  StreamRef two = raw.get();
  raw.write();
  StreamRef unsent = raw.get();
  StreamRef undecided(raw.codec->open());
  ASSERT_TRUE(raw.read(h2::goaway(1, 0)));
  EXPECT_EQ(one->failure(), nullptr);
  for (StreamRef* s : {&two, &undecided, &unsent}) {
    raw.write();
    ASSERT_NE((*s)->failure(), nullptr);
    EXPECT_EQ((*s)->failure()->code, Code::refused_stream);
    EXPECT_TRUE((*s)->untouched());
  }
  EXPECT_EQ(raw.codec->open(), nullptr);
  EXPECT_FALSE(raw.codec->finished());
  ASSERT_TRUE(raw.read(h2::headers(1, kOk)));
  EXPECT_TRUE(one->ended());
  EXPECT_TRUE(raw.codec->finished());
}

TEST(Http2Goaway, TheGracefulOneLetsEverythingFinish) {
  Http2Raw raw(Codec::Role::client);
  StreamRef one = raw.get();
  StreamRef two = raw.get();
  raw.write();
  ASSERT_TRUE(raw.read(h2::goaway(0x7fffffff, 0)));
  EXPECT_EQ(raw.codec->open(), nullptr);
  ASSERT_TRUE(raw.read(h2::headers(1, kOk) + h2::headers(3, kOk)));
  EXPECT_TRUE(one->ended());
  EXPECT_TRUE(two->ended());
  EXPECT_TRUE(raw.codec->finished());
}

TEST(Http2Goaway, ARisingNumberIsAProtocolError) {
  Http2Raw raw(Codec::Role::client);
  StreamRef one = raw.get();
  raw.write();
  ASSERT_TRUE(raw.read(h2::goaway(1, 0)));
  (void)raw.read(h2::goaway(3, 0));
  const auto answer = h2::of_type(raw.write(), h2::kGoaway);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].at(4), 1u);
  ASSERT_NE(one->failure(), nullptr);
  EXPECT_EQ(one->failure()->code, Code::upstream_protocol_error);
  EXPECT_TRUE(raw.codec->finished());
}

TEST(Http2Goaway, FromAClientLetsTheAnswersOut) {
  Http2Raw raw(Codec::Role::server);
  ASSERT_TRUE(raw.read(h2::headers(1, h2::get())));
  StreamRef down(raw.codec->accept());
  ASSERT_TRUE(raw.read(h2::goaway(0, 0)));
  EXPECT_FALSE(raw.codec->finished());
  Http2Pair::respond(*down, 200, "bye");
  EXPECT_EQ(h2::of_type(raw.write(), h2::kData).size(), 1u);
  EXPECT_TRUE(raw.codec->finished());
}

TEST(Http2Goaway, TheServerRetiresInTwoSteps) {
  Http2Raw raw(Codec::Role::server);
  ASSERT_TRUE(raw.read(h2::headers(1, h2::get())));
  StreamRef first(raw.codec->accept());
  raw.codec->retire();
  auto sent = raw.write();
  ASSERT_EQ(h2::of_type(sent, h2::kGoaway).size(), 1u);
  EXPECT_EQ(h2::of_type(sent, h2::kGoaway)[0].at(0), 0x7fffffffu);
  const auto pings = h2::of_type(sent, h2::kPing);
  ASSERT_EQ(pings.size(), 1u);
  // A request that was on its way is served.
  ASSERT_TRUE(raw.read(h2::headers(3, h2::get())));
  StreamRef second(raw.codec->accept());
  ASSERT_NE(second, nullptr);
  ASSERT_TRUE(raw.read(h2::ping(pings[0].payload, h2::kAck)));
  sent = raw.write();
  ASSERT_EQ(h2::of_type(sent, h2::kGoaway).size(), 1u);
  EXPECT_EQ(h2::of_type(sent, h2::kGoaway)[0].at(0), 3u);
  EXPECT_EQ(h2::of_type(sent, h2::kGoaway)[0].at(4), 0u);
  // One that comes later is not, and the client knows it.
  ASSERT_TRUE(raw.read(h2::headers(5, h2::get())));
  EXPECT_EQ(raw.codec->accept(), nullptr);
  EXPECT_FALSE(raw.codec->finished());
  Http2Pair::respond(*first, 200, "a");
  Http2Pair::respond(*second, 200, "b");
  EXPECT_EQ(h2::of_type(raw.write(), h2::kData).size(), 2u);
  EXPECT_TRUE(raw.codec->finished());
}

TEST(Http2Goaway, ARequestBetweenTheLastNumberAndItsDepartureIsRefused) {
  Http2Raw raw(Codec::Role::server);
  ASSERT_TRUE(raw.read(h2::headers(1, h2::get())));
  StreamRef first(raw.codec->accept());
  raw.codec->retire();
  const auto pings = h2::of_type(raw.write(), h2::kPing);
  ASSERT_TRUE(raw.read(h2::ping(pings.at(0).payload, h2::kAck) + h2::headers(3, h2::get())));
  StreamRef second(raw.codec->accept());
  EXPECT_NE(second, nullptr);  // the number is chosen when it is written, so this one counts
  EXPECT_EQ(h2::of_type(raw.write(), h2::kGoaway).at(0).at(0), 3u);
}

TEST(Http2Goaway, AClientRetiresWhenItsStreamsAreDone) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  pair.client->retire();
  EXPECT_EQ(pair.client->open(), nullptr);
  pair.pump();
  EXPECT_FALSE(pair.client->finished());
  Http2Pair::respond(*down, 200, "x");
  pair.pump();
  EXPECT_EQ(all_of(*up), "x");
  EXPECT_TRUE(pair.client->finished());
  EXPECT_TRUE(pair.server->finished());
}

TEST(Http2Goaway, AnIdleClientRetiresAtOnce) {
  Http2Pair pair;
  pair.pump();
  pair.client->retire();
  EXPECT_TRUE(pair.client->wants_write());
  pair.pump();
  EXPECT_TRUE(pair.client->finished());
}

TEST(Http2Goaway, BothSidesOfARetiringServerFinish) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  pair.server->retire();
  pair.pump();
  EXPECT_EQ(pair.client->open(), nullptr);
  Http2Pair::respond(*down, 200, "x");
  pair.pump();
  EXPECT_EQ(all_of(*up), "x");
  EXPECT_EQ(up->failure(), nullptr);
  EXPECT_TRUE(pair.server->finished());
  EXPECT_TRUE(pair.client->finished());
}

// ---- probes, deadlines, loss -----------------------------------------------------------------

TEST(Http2Probe, IsAnsweredOnce) {
  Http2Pair pair;
  pair.pump();
  EXPECT_TRUE(pair.client->probe());
  EXPECT_TRUE(pair.client->probe());
  EXPECT_TRUE(pair.client->probe_pending());
  EXPECT_EQ(h2::of_type(h2::frames(pair.written(*pair.client)), h2::kPing).size(), 1u);
  ASSERT_TRUE(pair.feed(*pair.client, h2::ping("somebody", h2::kAck)).has_value());
  EXPECT_TRUE(pair.client->probe_pending());
  ASSERT_TRUE(pair.feed(*pair.client, h2::ping("tulle-up", h2::kAck)).has_value());
  EXPECT_FALSE(pair.client->probe_pending());
}

TEST(Http2Deadline, WhatIsWaitedFor) {
  HttpLimits limits;
  auto codec = make_http2_codec(Codec::Role::server, limits, "http");
  EXPECT_EQ(codec->waiting(), Codec::Waiting::head);  // the preface
  const auto read = [&](std::string_view bytes) {
    EXPECT_TRUE(codec->read(bytes, Instant{1}).has_value());
  };
  read(h2::kPreface);
  EXPECT_EQ(codec->waiting(), Codec::Waiting::head);
  read(h2::settings());
  EXPECT_EQ(codec->waiting(), Codec::Waiting::idle);
  const std::string whole = h2::block(h2::get());
  read(h2::frame(h2::kHeaders, h2::kEndStream, 1, whole.substr(0, 10)));
  EXPECT_EQ(codec->waiting(), Codec::Waiting::head);
  read(h2::frame(h2::kContinuation, 0, 1, whole.substr(10, 1)));
  EXPECT_EQ(codec->waiting(), Codec::Waiting::head);
  read(h2::frame(h2::kContinuation, h2::kEndHeaders, 1, whole.substr(11)));
  EXPECT_EQ(codec->waiting(), Codec::Waiting::handlers);
  StreamRef down(codec->accept());
  Http2Pair::respond(*down, 200);
  Bytes wire;
  codec->write(wire, 1 << 20);
  EXPECT_EQ(codec->waiting(), Codec::Waiting::idle);
  // A malformed head is over when its frame is.
  read(h2::headers(3, h2::with(h2::get(), "Upper", "x")));
  EXPECT_EQ(codec->waiting(), Codec::Waiting::handlers);
  codec->write(wire, 1 << 20);
  EXPECT_EQ(codec->waiting(), Codec::Waiting::idle);
}

TEST(Http2Deadline, IdleEndsPolitely) {
  Http2Pair pair;
  pair.pump();
  pair.server->timed_out(Codec::Waiting::idle);
  EXPECT_FALSE(pair.server->finished());  // the GOAWAY is not out yet
  const std::string wire = pair.written(*pair.server);
  const auto goaways = h2::of_type(h2::frames(wire), h2::kGoaway);
  ASSERT_EQ(goaways.size(), 1u);
  EXPECT_EQ(goaways[0].at(4), 0u);
  EXPECT_TRUE(pair.server->finished());
  ASSERT_TRUE(pair.feed(*pair.client, wire));
  EXPECT_EQ(pair.client->open(), nullptr);
  EXPECT_TRUE(pair.client->finished());
}

TEST(Http2Deadline, AHeadThatDoesNotEndEndsTheConnection) {
  Http2Raw raw(Codec::Role::server);
  ASSERT_TRUE(raw.read(h2::headers(1, h2::get(), h2::kEndHeaders)));
  StreamRef down(raw.codec->accept());
  ASSERT_TRUE(raw.read(h2::frame(h2::kHeaders, 0, 3, h2::block(h2::get()))));
  raw.codec->timed_out(Codec::Waiting::head);
  EXPECT_EQ(h2::of_type(raw.write(), h2::kGoaway).at(0).at(4), 11u);
  EXPECT_TRUE(raw.codec->finished());
  ASSERT_NE(down->failure(), nullptr);
}

TEST(Http2Loss, WhatIsIncompleteFailsWhatIsCompleteStays) {
  Http2Raw raw(Codec::Role::client);
  StreamRef half = raw.get();
  StreamRef nothing = raw.get();
  raw.write();
  StreamRef done(raw.codec->open());
  done->draft().method_text = "POST";
  done->draft().path = "/";
  done->draft().authority = "a";
  done->send_head();
  raw.write();
  ASSERT_TRUE(raw.read(h2::headers(1, kOk, h2::kEndHeaders) + h2::data(1, "part") +
                       h2::headers(5, kOk)));
  raw.codec->end_of_input(std::nullopt);
  ASSERT_NE(half->failure(), nullptr);
  EXPECT_FALSE(half->ended());
  EXPECT_FALSE(half->untouched());
  EXPECT_EQ(half->failure()->code, Code::upstream_reset);
  ASSERT_NE(nothing->failure(), nullptr);
  EXPECT_TRUE(nothing->untouched());
  EXPECT_EQ(done->failure(), nullptr);
  EXPECT_TRUE(done->ended());
  EXPECT_TRUE(raw.codec->finished());
  EXPECT_FALSE(raw.codec->wants_write());
  EXPECT_EQ(raw.codec->open_streams(), 0u);
}

TEST(Http2Loss, ACodecMayDieBeforeItsStreams) {
  Http2Pair pair;
  StreamRef up = pair.request("POST", "/", true);
  StreamRef unsent = pair.open();
  pair.pump();
  StreamRef down = pair.take();
  StreamRef waiting = pair.request("GET", "/");
  ASSERT_TRUE(pair.feed(*pair.server, pair.written(*pair.client)));  // never accepted
  pair.client.reset();
  pair.server.reset();
  EXPECT_NE(up->failure(), nullptr);
  EXPECT_NE(unsent->failure(), nullptr);
  EXPECT_NE(down->failure(), nullptr);
  down->cancel(Code::cancelled);
}

TEST(Http2Loss, ReleasedStreamsGoHomeAfterTheEnd) {
  Http2Pair pair;
  StreamRef up = pair.request("GET", "/");
  pair.pump();
  StreamRef down = pair.take();
  pair.server->end_of_input(std::nullopt);
  EXPECT_EQ(pair.server->dirty().alive, 1u);
  down.reset();
  EXPECT_TRUE(pair.server->wants_write());
  EXPECT_EQ(pair.written(*pair.server), "");
  EXPECT_EQ(pair.server->dirty().alive, 0u);
  EXPECT_FALSE(pair.server->wants_write());
}

}  // namespace
}  // namespace tulle
