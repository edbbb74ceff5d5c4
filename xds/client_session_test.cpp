// Message by message.
#include "xds/client_session.hpp"

#include <gtest/gtest.h>

#include "xds/session_fixture_test.hpp"

namespace tulle::xds {
namespace {

using testing::named_resource;

constexpr ResourceType kListener = ResourceType::listener;
constexpr ResourceType kCluster = ResourceType::cluster;
constexpr ResourceType kEndpoints = ResourceType::endpoints;
constexpr ResourceType kRoute = ResourceType::route;

class ClientSessionTest : public ::testing::Test {
 protected:
  ClientSession session{Node{.id = "n1", .metadata_json = R"({"a":{"b":[1,true]}})"}};
  Instant now{1'000'000'000};
  int nonces = 0;

  std::optional<DiscoveryRequest> next() {
    std::optional<std::string> bytes = session.next_request(now);
    if (!bytes) return std::nullopt;
    Result<DiscoveryRequest> request = decode_request(*bytes);
    EXPECT_TRUE(request.has_value());
    return std::move(*request);
  }
  std::string answer(ResourceType type, std::vector<std::shared_ptr<const Resource>> resources,
                     const std::string& version, std::vector<ResourceError> errors = {}) {
    DiscoveryResponse response;
    response.type_url = type_url(type);
    response.version_info = version;
    response.nonce = "n" + std::to_string(++nonces);
    for (const auto& resource : resources) {
      response.resources.push_back({std::string(type_url(resource->type)), resource->bytes});
    }
    response.resource_errors = std::move(errors);
    EXPECT_TRUE(session.receive(encode(response), now).has_value());
    return response.nonce;
  }
  std::string content(ResourceType type, const std::string& name) {
    const Resource* resource = session.resources().find(type, name);
    return resource == nullptr ? "" : resource->bytes;
  }
  // Subscribed on an open stream, the request taken.
  void begin(ResourceType type, ClientSession::Names names) {
    session.want(type, std::move(names));
    session.begin_stream();
    EXPECT_TRUE(next());
    EXPECT_FALSE(next());
  }
};

TEST_F(ClientSessionTest, AsksInOrderAndSaysOnceWhoItIs) {
  session.want(kRoute, {"r"});
  session.want(kListener, {"*", "a:80"});
  session.want(kCluster, {"c"});
  EXPECT_FALSE(next());  // no stream
  session.begin_stream();
  std::optional<DiscoveryRequest> request = next();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->type_url, type_url(kCluster));
  ASSERT_TRUE(request->node);
  EXPECT_EQ(request->node->id, "n1");
  EXPECT_EQ(request->node->metadata_json, R"({"a":{"b":[1,true]}})");
  EXPECT_EQ(request->version_info, "");
  EXPECT_EQ(request->response_nonce, "");
  request = next();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->type_url, type_url(kListener));
  EXPECT_EQ(request->resource_names, (std::vector<std::string>{"*", "a:80"}));
  EXPECT_FALSE(request->node);
  EXPECT_EQ(next()->type_url, type_url(kRoute));
  EXPECT_FALSE(next());
}

TEST_F(ClientSessionTest, AcceptsAndSaysSo) {
  begin(kCluster, {"a", "b"});
  const std::string nonce = answer(kCluster, {named_resource(kCluster, "a", "1")}, "v1");
  EXPECT_TRUE(session.undecided());
  EXPECT_NE(content(kCluster, "a"), "");
  EXPECT_FALSE(next());  // not before the verdict
  session.decide({}, now);
  std::optional<DiscoveryRequest> ack = next();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->version_info, "v1");
  EXPECT_EQ(ack->response_nonce, nonce);
  EXPECT_FALSE(ack->error_detail);
  EXPECT_EQ(ack->resource_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(next());
  // A change of the subscription repeats version and nonce.
  session.want(kCluster, {"a", "b", "c"});
  ack = next();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->version_info, "v1");
  EXPECT_EQ(ack->response_nonce, nonce);
}

TEST_F(ClientSessionTest, KeepsTheGoodPartAndTheOldFormOfTheRest) {
  begin(kCluster, {"a", "b", "c"});
  const auto a1 = named_resource(kCluster, "a", "1");
  const auto b1 = named_resource(kCluster, "b", "1");
  answer(kCluster, {a1, b1}, "v1");
  session.decide({}, now);
  next();
  const auto a2 = named_resource(kCluster, "a", "2");
  const auto b2 = named_resource(kCluster, "b", "2");
  const std::string nonce =
      answer(kCluster, {a2, b2, named_resource(kCluster, "c", "2")}, "v2");
  EXPECT_EQ(content(kCluster, "b"), b2->bytes);
  session.decide({{{kCluster, "b"}, "odd"}, {{kCluster, "c"}, "odder"}, {{kRoute, "x"}, "?"}}, now);
  EXPECT_EQ(content(kCluster, "a"), a2->bytes);
  EXPECT_EQ(content(kCluster, "b"), b1->bytes);
  EXPECT_EQ(content(kCluster, "c"), "");
  std::optional<DiscoveryRequest> nack = next();
  ASSERT_TRUE(nack && nack->error_detail);
  EXPECT_EQ(nack->version_info, "v1");
  EXPECT_EQ(nack->response_nonce, nonce);
  EXPECT_EQ(nack->error_detail->message, "Cluster \"b\": odd; Cluster \"c\": odder");
  EXPECT_EQ(session.rejected(), 1u);
  // A subscription change must not look like an acceptance.
  session.want(kCluster, {"a", "b"});
  nack = next();
  ASSERT_TRUE(nack);
  EXPECT_TRUE(nack->error_detail);
  EXPECT_EQ(nack->version_info, "v1");
}

TEST_F(ClientSessionTest, LeftOutOfAWholeSetIsGone) {
  begin(kListener, {"*", "a:80"});
  answer(kListener, {named_resource(kListener, "own", "1"), named_resource(kListener, "a:80", "1")},
         "v1");
  session.decide({}, now);
  answer(kListener, {named_resource(kListener, "own", "1")}, "v2");
  EXPECT_EQ(content(kListener, "a:80"), "");
  EXPECT_TRUE(session.unknown(kListener).empty());  // silence is no answer
  session.decide({}, now);
  // ... and of the others nothing is.
  session.want(kEndpoints, {"e", "f"});
  while (next()) {
  }
  answer(kEndpoints, {named_resource(kEndpoints, "e", "1"), named_resource(kEndpoints, "f", "1")},
         "v1");
  session.decide({}, now);
  answer(kEndpoints, {named_resource(kEndpoints, "f", "2")}, "v2");
  EXPECT_NE(content(kEndpoints, "e"), "");
}

TEST_F(ClientSessionTest, AnUnreadableListDeletesNothing) {
  begin(kCluster, {"a", "b"});
  answer(kCluster, {named_resource(kCluster, "a", "1"), named_resource(kCluster, "b", "1")}, "v1");
  session.decide({}, now);
  next();
  answer(kCluster,
         {named_resource(kCluster, "a", "2"), make_resource(kCluster, "b", "\xff\xff"),
          named_resource(kRoute, "r", "1")},
         "v2");
  session.decide({}, now);
  EXPECT_NE(content(kCluster, "b"), "");
  std::optional<DiscoveryRequest> nack = next();
  ASSERT_TRUE(nack && nack->error_detail);
  EXPECT_EQ(nack->error_detail->message,
            "resources[1] is not a Cluster with a name; resources[2] is not a Cluster with a name");
}

TEST_F(ClientSessionTest, TheSameNameTwice) {
  begin(kEndpoints, {"e"});
  answer(kEndpoints, {named_resource(kEndpoints, "e", "1"), named_resource(kEndpoints, "e", "2")},
         "v1");
  session.decide({}, now);
  std::optional<DiscoveryRequest> nack = next();
  ASSERT_TRUE(nack && nack->error_detail);
  EXPECT_EQ(nack->error_detail->message, "ClusterLoadAssignment \"e\" occurs twice");
}

TEST_F(ClientSessionTest, AnsweredUnknown) {
  begin(kListener, {"*", "a:80", "b:80"});
  answer(kListener, {named_resource(kListener, "b:80", "1")}, "v1",
         {{"a:80", {kStatusNotFound, ""}}, {"b:80", {7, "not yours"}}, {"z", {kStatusNotFound, ""}}});
  session.decide({}, now);
  EXPECT_EQ(session.unknown(kListener), ClientSession::Names{"a:80"});
  EXPECT_NE(content(kListener, "b:80"), "");
  session.end_stream();
  session.begin_stream();
  EXPECT_EQ(session.unknown(kListener).size(), 1u);  // until something else is said
  while (next()) {
  }
  answer(kListener, {named_resource(kListener, "a:80", "1")}, "v2");
  EXPECT_TRUE(session.unknown(kListener).empty());
  session.decide({}, now);
  answer(kListener, {}, "v3", {{"a:80", {kStatusNotFound, ""}}});
  EXPECT_EQ(content(kListener, "a:80"), "");
  EXPECT_EQ(session.unknown(kListener).size(), 1u);
  session.decide({}, now);
  session.want(kListener, {"*"});
  EXPECT_TRUE(session.unknown(kListener).empty());
}

TEST_F(ClientSessionTest, VersionsSurviveStreamsAndNoncesDoNot) {
  begin(kCluster, {"a"});
  answer(kCluster, {named_resource(kCluster, "a", "1")}, "v1");
  session.decide({}, now);
  session.end_stream();
  EXPECT_FALSE(next());
  EXPECT_NE(content(kCluster, "a"), "");
  session.begin_stream();
  std::optional<DiscoveryRequest> request = next();
  ASSERT_TRUE(request && request->node);
  EXPECT_EQ(request->version_info, "v1");
  EXPECT_EQ(request->response_nonce, "");
}

TEST_F(ClientSessionTest, AStreamThatEndsBeforeTheVerdict) {
  begin(kCluster, {"a"});
  answer(kCluster, {named_resource(kCluster, "a", "1")}, "v1");
  session.end_stream();
  session.begin_stream();
  EXPECT_FALSE(next());
  session.decide({{{kCluster, "a"}, "bad"}}, now);
  std::optional<DiscoveryRequest> request = next();
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->error_detail);  // there is nothing on this stream to reject
  EXPECT_EQ(request->response_nonce, "");
  EXPECT_EQ(content(kCluster, "a"), "");
}

TEST_F(ClientSessionTest, RepeatedRejectionsOfTheSameWait) {
  begin(kCluster, {"a"});
  const auto bad = named_resource(kCluster, "a", "bad");
  Duration waited{};
  for (int i = 0; i < 9; ++i) {
    answer(kCluster, {bad}, "v1");
    session.decide({{{kCluster, "a"}, "bad"}}, now);
    const Instant due = session.next_deadline();
    ASSERT_NE(due, kNever);
    const Duration delay = due - now;
    EXPECT_EQ(delay, i == 0 ? 0s : std::min<Duration>(1s * (1 << (i - 1)), 30s)) << i;
    if (delay > 0s) {
      EXPECT_FALSE(next());
    }
    now = due;
    waited += delay;
    std::optional<DiscoveryRequest> nack = next();
    ASSERT_TRUE(nack && nack->error_detail);
  }
  EXPECT_GT(waited, 90s);
  // Others go on meanwhile, and something else is rejected at once.
  answer(kCluster, {named_resource(kCluster, "a", "other")}, "v2");
  session.decide({{{kCluster, "a"}, "bad"}}, now);
  EXPECT_TRUE(next());
}

TEST_F(ClientSessionTest, WhatNobodyAskedForIsIgnored) {
  begin(kCluster, {"a"});
  answer(kRoute, {named_resource(kRoute, "r", "1")}, "v1");
  EXPECT_FALSE(session.undecided());
  answer(kCluster, {named_resource(kCluster, "a", "1"), named_resource(kCluster, "z", "1")}, "v1");
  session.decide({}, now);
  EXPECT_EQ(content(kCluster, "z"), "");
  EXPECT_EQ(content(kRoute, "r"), "");
  EXPECT_FALSE(session.receive("\xff\xff", now).has_value());
}

TEST_F(ClientSessionTest, WhatIsWantedAgainIsAskedForAgain) {
  begin(kRoute, {"r", "s"});
  answer(kRoute, {named_resource(kRoute, "r", "1")}, "v1");
  session.want(kRoute, {"s"});
  session.want(kRoute, {"r", "s"});  // before the server heard of it
  EXPECT_EQ(content(kRoute, "r"), "");
  session.decide({}, now);
  std::optional<DiscoveryRequest> request = next();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->resource_names, std::vector<std::string>{"s"});
  request = next();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->resource_names, (std::vector<std::string>{"r", "s"}));
  EXPECT_FALSE(next());
}

TEST_F(ClientSessionTest, NoLongerWantedIsForgottenAndUnsubscribed) {
  begin(kRoute, {"r"});
  answer(kRoute, {named_resource(kRoute, "r", "1")}, "v1");
  session.decide({}, now);
  next();
  session.want(kRoute, {});
  EXPECT_EQ(content(kRoute, "r"), "");
  std::optional<DiscoveryRequest> request = next();
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->resource_names.empty());
}

}  // namespace
}  // namespace tulle::xds
