// Message by message.
#include "xds/server_session.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

#include "xds/references.hpp"
#include "xds/session_fixture_test.hpp"

namespace tulle::xds {
namespace {

using testing::named_resource;
using testing::offer_of;

constexpr ResourceType kListener = ResourceType::listener;
constexpr ResourceType kCluster = ResourceType::cluster;
constexpr ResourceType kEndpoints = ResourceType::endpoints;
constexpr ResourceType kRoute = ResourceType::route;

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

}  // namespace
}  // namespace tulle::xds
