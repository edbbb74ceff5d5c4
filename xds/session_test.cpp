// Both sessions by hand, message by message.
#include <gtest/gtest.h>

#include <initializer_list>

#include "xds/client_session.hpp"
#include "xds/server_session.hpp"
#include "xds/session_fixture_test.hpp"

namespace tulle::xds {
namespace {

using testing::named_resource;
using testing::offer_of;

constexpr ResourceType kListener = ResourceType::listener;
constexpr ResourceType kCluster = ResourceType::cluster;
constexpr ResourceType kEndpoints = ResourceType::endpoints;
constexpr ResourceType kRoute = ResourceType::route;

// ---- the server --------------------------------------------------------------------------------

class ServerSessionTest : public ::testing::Test {
 protected:
  ServerSession session{ServerSession::Options{.control_plane = "cp-1"}};
  Instant now{1000};

  Result<void> ask(ResourceType type, std::vector<std::string> names, std::string nonce = "",
                   std::string error = "") {
    DiscoveryRequest request;
    request.node = Node{.id = "n1"};
    request.type_url = type_url(type);
    request.resource_names = std::move(names);
    request.response_nonce = std::move(nonce);
    if (!error.empty()) request.error_detail = Status{3, error};
    return session.receive(encode(request), now);
  }
  void offer(ResourceType type, std::initializer_list<const char*> names,
             const std::string& content = "1") {
    session.offer(type, offer_of(type, {names.begin(), names.end()}, content));
  }
  // The next response; checks its type.
  DiscoveryResponse next(ResourceType type) {
    std::optional<std::string> bytes = session.next_response(now);
    if (!bytes) {
      ADD_FAILURE() << "no response";
      return {};
    }
    Result<DiscoveryResponse> response = decode_response(*bytes);
    EXPECT_TRUE(response.has_value());
    EXPECT_EQ(response->type_url, type_url(type));
    EXPECT_FALSE(response->nonce.empty());
    EXPECT_EQ(response->control_plane, "cp-1");
    for (const PackedResource& resource : response->resources) {
      EXPECT_EQ(resource.type_url, type_url(type));
    }
    return *response;
  }
  static std::vector<std::string> names_in(const DiscoveryResponse& response, ResourceType type) {
    std::vector<std::string> names;
    for (const PackedResource& resource : response.resources) {
      names.push_back(name_of(type, resource.bytes).value_or("?"));
    }
    return names;
  }
  bool silent() { return !session.wants_send() && !session.next_response(now); }
  using Names = std::vector<std::string>;
};

TEST_F(ServerSessionTest, FirstRequestIsAnswered) {
  EXPECT_TRUE(session.take_changed_subscriptions().empty());
  ASSERT_TRUE(ask(kListener, {"*", "a:80"}));
  EXPECT_EQ(session.node()->id, "n1");
  EXPECT_EQ(session.take_changed_subscriptions(), std::vector{kListener});
  EXPECT_TRUE(session.take_changed_subscriptions().empty());
  EXPECT_TRUE(silent());  // nothing has been offered
  EXPECT_TRUE(session.subscription(kListener).wildcard());
  EXPECT_EQ(session.subscription(kListener).names().size(), 1u);
  offer(kListener, {"own", "a:80"});
  const DiscoveryResponse response = next(kListener);
  EXPECT_EQ(names_in(response, kListener), (Names{"a:80", "own"}));
  EXPECT_TRUE(silent());
  EXPECT_FALSE(session.synced());
  ASSERT_TRUE(ask(kListener, {"*", "a:80"}, response.nonce));
  EXPECT_TRUE(session.synced());
  EXPECT_EQ(session.state(kListener).accepted_version, response.version_info);
  EXPECT_TRUE(silent());
}

TEST_F(ServerSessionTest, AnEmptyAnswerIsAnAnswer) {
  ASSERT_TRUE(ask(kListener, {}));
  EXPECT_TRUE(session.subscription(kListener).wildcard());
  offer(kListener, {});
  EXPECT_TRUE(next(kListener).resources.empty());
}

TEST_F(ServerSessionTest, OneInFlightAndTheLatestWins) {
  ASSERT_TRUE(ask(kCluster, {"a"}));
  offer(kCluster, {"a"}, "1");
  const DiscoveryResponse first = next(kCluster);
  offer(kCluster, {"a"}, "2");
  offer(kCluster, {"a"}, "3");
  EXPECT_FALSE(session.next_response(now));
  EXPECT_TRUE(session.state(kCluster).waiting);
  ASSERT_TRUE(ask(kCluster, {"a"}, first.nonce));
  const DiscoveryResponse second = next(kCluster);
  EXPECT_EQ(second.resources.at(0).bytes, named_resource(kCluster, "a", "3")->bytes);
  EXPECT_NE(second.version_info, first.version_info);
  EXPECT_NE(second.nonce, first.nonce);
}

TEST_F(ServerSessionTest, TheSameOfferSaysNothing) {
  ASSERT_TRUE(ask(kCluster, {"a"}));
  offer(kCluster, {"a"});
  const DiscoveryResponse first = next(kCluster);
  ASSERT_TRUE(ask(kCluster, {"a"}, first.nonce));
  offer(kCluster, {"a"});
  EXPECT_TRUE(silent());
  offer(kCluster, {"a"}, "2");
  const DiscoveryResponse second = next(kCluster);
  offer(kCluster, {"a"});  // back again while in flight
  ASSERT_TRUE(ask(kCluster, {"a"}, second.nonce));
  EXPECT_EQ(next(kCluster).version_info, first.version_info);
}

TEST_F(ServerSessionTest, StaleNoncesAreIgnored) {
  ASSERT_TRUE(ask(kCluster, {"a"}));
  offer(kCluster, {"a"});
  const DiscoveryResponse first = next(kCluster);
  ASSERT_TRUE(ask(kCluster, {"a"}, first.nonce));
  offer(kCluster, {"a"}, "2");
  const DiscoveryResponse second = next(kCluster);
  ASSERT_TRUE(ask(kCluster, {"a", "b"}, first.nonce));
  EXPECT_TRUE(session.take_changed_subscriptions().empty());
  EXPECT_EQ(session.subscription(kCluster).names().size(), 1u);
  EXPECT_TRUE(session.state(kCluster).in_flight);
  ASSERT_TRUE(ask(kCluster, {"a", "b"}, second.nonce));
  EXPECT_EQ(session.subscription(kCluster).names().size(), 2u);
}

TEST_F(ServerSessionTest, ARejectionIsKeptAndNotAnsweredWithTheSame) {
  ASSERT_TRUE(ask(kCluster, {"a"}));
  offer(kCluster, {"a"});
  const DiscoveryResponse good = next(kCluster);
  ASSERT_TRUE(ask(kCluster, {"a"}, good.nonce));
  offer(kCluster, {"a"}, "bad");
  const DiscoveryResponse bad = next(kCluster);
  now = Instant{5000};
  ASSERT_TRUE(ask(kCluster, {"a"}, bad.nonce, "a: does not compile"));
  EXPECT_TRUE(silent());
  const ServerSession::TypeState state = session.state(kCluster);
  EXPECT_EQ(state.accepted_version, good.version_info);
  ASSERT_TRUE(state.rejection);
  EXPECT_EQ(state.rejection->text, "a: does not compile");
  EXPECT_EQ(state.rejection->version, bad.version_info);
  EXPECT_EQ(state.rejection->at, now);
  EXPECT_FALSE(session.synced());
  offer(kCluster, {"a"}, "bad");
  EXPECT_TRUE(silent());
  offer(kCluster, {"a"}, "better");
  const DiscoveryResponse better = next(kCluster);
  ASSERT_TRUE(ask(kCluster, {"a"}, better.nonce));
  EXPECT_TRUE(session.synced());
}

TEST_F(ServerSessionTest, OnlyWhatChangedOfEndpoints) {
  ASSERT_TRUE(ask(kEndpoints, {"a", "b"}));
  offer(kEndpoints, {"a", "b"});
  DiscoveryResponse response = next(kEndpoints);
  EXPECT_EQ(names_in(response, kEndpoints), (Names{"a", "b"}));
  // A name is added: it alone is sent, and sent again when it is dropped and asked for again.
  ASSERT_TRUE(ask(kEndpoints, {"a", "b", "c"}, response.nonce));
  offer(kEndpoints, {"a", "b", "c"});
  response = next(kEndpoints);
  EXPECT_EQ(names_in(response, kEndpoints), Names{"c"});
  ASSERT_TRUE(ask(kEndpoints, {"a", "b"}, response.nonce));
  EXPECT_TRUE(silent());
  ASSERT_TRUE(ask(kEndpoints, {"a", "b", "c"}, response.nonce));
  offer(kEndpoints, {"a", "b", "c"});
  EXPECT_EQ(names_in(next(kEndpoints), kEndpoints), Names{"c"});
}

TEST_F(ServerSessionTest, EndpointsThatComeBackAreToldAgain) {
  ASSERT_TRUE(ask(kEndpoints, {"a", "b"}));
  offer(kEndpoints, {"a", "b"});
  DiscoveryResponse response = next(kEndpoints);
  ASSERT_TRUE(ask(kEndpoints, {"a", "b"}, response.nonce));
  offer(kEndpoints, {"a"});
  EXPECT_TRUE(silent());  // left out means unchanged: there is nothing to say
  offer(kEndpoints, {"a", "b"});
  EXPECT_EQ(names_in(next(kEndpoints), kEndpoints), Names{"b"});
}

TEST_F(ServerSessionTest, WholeSetsOfClustersAndListeners) {
  ASSERT_TRUE(ask(kCluster, {"a", "b"}));
  offer(kCluster, {"a", "b"});
  DiscoveryResponse response = next(kCluster);
  ASSERT_TRUE(ask(kCluster, {"a", "b", "c"}, response.nonce));
  offer(kCluster, {"a", "b", "c"});
  response = next(kCluster);
  EXPECT_EQ(names_in(response, kCluster), (Names{"a", "b", "c"}));
  ASSERT_TRUE(ask(kCluster, {"a", "c"}, response.nonce));
  EXPECT_TRUE(silent());
  offer(kCluster, {"a"});
  EXPECT_EQ(names_in(next(kCluster), kCluster), Names{"a"});
}

TEST_F(ServerSessionTest, UnknownNamesAreAnswered) {
  for (const ResourceType type : {kListener, kEndpoints}) {
    ASSERT_TRUE(ask(type, {"a", "x"}));
    Offer with_error = offer_of(type, {"a"}, "1");
    with_error.errors["x"] = Status{kStatusNotFound, "no such service"};
    with_error.errors["nobody asked"] = Status{kStatusNotFound, ""};
    session.offer(type, with_error);
    DiscoveryResponse response = next(type);
    ASSERT_EQ(response.resource_errors.size(), 1u);
    EXPECT_EQ(response.resource_errors[0].name, "x");
    EXPECT_EQ(response.resource_errors[0].status.code, kStatusNotFound);
    ASSERT_TRUE(ask(type, {"a", "x"}, response.nonce));
    session.offer(type, with_error);
    EXPECT_TRUE(silent());
    offer(type, {"a", "x"});
    response = next(type);
    EXPECT_TRUE(response.resource_errors.empty());
    EXPECT_EQ(names_in(response, type).back(), "x");
  }
}

TEST_F(ServerSessionTest, InTheOrderThatBreaksNothing) {
  for (const ResourceType type : kResourceTypes) {
    ASSERT_TRUE(ask(type, {"a"}));
  }
  const auto changed = session.take_changed_subscriptions();
  EXPECT_TRUE(std::ranges::equal(changed, kSendOrder));
  for (const ResourceType type : kResourceTypes) offer(type, {"a"});
  for (const ResourceType type : kSendOrder) next(type);
  EXPECT_TRUE(silent());
}

TEST_F(ServerSessionTest, ClustersGoAfterTheRoutesThatLeftThem) {
  ASSERT_TRUE(ask(kCluster, {"*"}));
  ASSERT_TRUE(ask(kRoute, {"r"}));
  offer(kCluster, {"old"});
  offer(kRoute, {"r"}, "to old");
  const DiscoveryResponse clusters = next(kCluster);
  const DiscoveryResponse routes = next(kRoute);
  ASSERT_TRUE(ask(kCluster, {"*"}, clusters.nonce));
  ASSERT_TRUE(ask(kRoute, {"r"}, routes.nonce));
  offer(kCluster, {"new"});
  offer(kRoute, {"r"}, "to new");
  const DiscoveryResponse both = next(kCluster);
  EXPECT_EQ(names_in(both, kCluster), (Names{"new", "old"}));
  const DiscoveryResponse moved = next(kRoute);
  ASSERT_TRUE(ask(kCluster, {"*"}, both.nonce));
  EXPECT_TRUE(silent());  // the route's answer is still out
  ASSERT_TRUE(ask(kRoute, {"r"}, moved.nonce));
  const DiscoveryResponse last = next(kCluster);
  EXPECT_EQ(names_in(last, kCluster), Names{"new"});
  EXPECT_NE(last.version_info, both.version_info);
}

TEST_F(ServerSessionTest, LargeAnswersAreCut) {
  ServerSession small{ServerSession::Options{.control_plane = "cp-1", .cut_at = 1000}};
  session = std::move(small);
  Names names;
  for (int i = 0; i < 50; ++i) names.push_back("endpoints-" + std::to_string(i));
  ASSERT_TRUE(ask(kEndpoints, names));
  session.offer(kEndpoints, offer_of(kEndpoints, names, std::string(100, 'x')));
  std::set<std::string> got;
  int parts = 0;
  while (session.wants_send()) {
    std::optional<std::string> bytes = session.next_response(now);
    ASSERT_TRUE(bytes);
    EXPECT_LE(bytes->size(), 1000u);
    Result<DiscoveryResponse> part = decode_response(*bytes);
    for (const std::string& name : names_in(*part, kEndpoints)) {
      EXPECT_TRUE(got.insert(name).second);
    }
    ASSERT_TRUE(ask(kEndpoints, names, part->nonce));
    ASSERT_LT(++parts, 50);
  }
  EXPECT_EQ(got.size(), 50u);
  EXPECT_GT(parts, 5);
}

TEST_F(ServerSessionTest, UnknownTypesAndGarbage) {
  DiscoveryRequest request;
  request.type_url = "type.googleapis.com/envoy.service.runtime.v3.Runtime";
  EXPECT_TRUE(session.receive(encode(request), now));
  EXPECT_TRUE(silent());
  EXPECT_FALSE(session.receive("\xff\xff\xff", now));
}

TEST_F(ServerSessionTest, SubscriptionsAreBounded) {
  EXPECT_FALSE(ask(kRoute, Names(kMaxNames + 1, "x")));
  EXPECT_FALSE(ask(kRoute, {std::string(kMaxNameLength + 1, 'x')}));
  EXPECT_FALSE(ask(kRoute, {""}));
  EXPECT_FALSE(session.subscription(kRoute).begun());
}

TEST(Subscription, EmptyListsAndWildcards) {
  Subscription listeners(kListener);
  EXPECT_TRUE(listeners.replace({})->first);
  EXPECT_TRUE(listeners.wildcard());
  EXPECT_TRUE(listeners.replace({"a"})->removed);
  EXPECT_FALSE(listeners.wildcard());
  EXPECT_TRUE(listeners.replace({})->removed);
  EXPECT_FALSE(listeners.wildcard());  // something was named once: now nothing is wanted
  EXPECT_FALSE(listeners.wants("a"));
  EXPECT_TRUE(listeners.replace({"*", "a"})->wildcard_added);
  EXPECT_EQ(listeners.names().size(), 1u);
  EXPECT_TRUE(listeners.wants("b"));
  Subscription routes(kRoute);
  EXPECT_TRUE(routes.replace({"*"}).has_value());
  EXPECT_FALSE(routes.wildcard());
}

// ---- the client --------------------------------------------------------------------------------

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
