#include "sidecar/exchange/tunnel.hpp"

#include <gtest/gtest.h>

namespace tulle::exchange {
namespace {

using routing::ConnectRule;

Head upgrade_to(std::string_view protocol) {
  Head head;
  head.method_text = "GET";
  head.protocol = protocol;
  return head;
}

TEST(Tunnel, TheRouteOverridesTheListener) {
  config::HttpOptions http;
  routing::Forward forward;
  EXPECT_EQ(rule_for(upgrade_to("websocket"), http, forward), ConnectRule::refused);
  http.upgrades = {"websocket"};
  EXPECT_EQ(rule_for(upgrade_to("websocket"), http, forward), ConnectRule::forwarded);
  EXPECT_EQ(rule_for(upgrade_to("tcp"), http, forward), ConnectRule::refused);
  forward.upgrades = {{"websocket", false}, {"tcp", true}};
  EXPECT_EQ(rule_for(upgrade_to("websocket"), http, forward), ConnectRule::refused);
  EXPECT_EQ(rule_for(upgrade_to("tcp"), http, forward), ConnectRule::forwarded);
}

TEST(Tunnel, ConnectGoesOnlyWhereItIsAllowed) {
  Head connect;
  connect.method = Method::connect;
  config::HttpOptions http;
  http.upgrades = {"connect"};  // a protocol of that name is another matter
  routing::Forward forward;
  EXPECT_EQ(rule_for(connect, http, forward), ConnectRule::refused);
  http.connect = true;
  EXPECT_EQ(rule_for(connect, http, forward), ConnectRule::forwarded);
  forward.connect = ConnectRule::terminated;
  EXPECT_EQ(rule_for(connect, http, forward), ConnectRule::terminated);
  forward.connect = ConnectRule::refused;
  EXPECT_EQ(rule_for(connect, http, forward), ConnectRule::refused);
}

TEST(Tunnel, OnlyTheRightAnswerOpensIt) {
  Head connect;
  connect.method = Method::connect;
  Head answer;
  for (const int status : {101, 200, 204, 299, 300, 403}) {
    answer.status = status;
    EXPECT_EQ(opens_tunnel(upgrade_to("websocket"), answer), status == 101) << status;
    EXPECT_EQ(opens_tunnel(connect, answer), status >= 200 && status < 300) << status;
  }
}

}  // namespace
}  // namespace tulle::exchange
