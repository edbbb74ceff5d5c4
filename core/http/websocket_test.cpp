#include "core/http/websocket.hpp"

#include <gtest/gtest.h>

namespace tulle {
namespace {

TEST(WebSocket, TheAcceptOfTheStandardsExample) {
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, KeysAreRandomAndWellFormed) {
  const std::string one = new_websocket_key();
  EXPECT_NE(one, new_websocket_key());
  Fields fields;
  EXPECT_FALSE(has_websocket_key(fields));
  fields.add(kWebSocketKey, one);
  EXPECT_TRUE(has_websocket_key(fields));
  fields.add(kWebSocketKey, one);
  EXPECT_FALSE(has_websocket_key(fields)) << "two keys are none";
}

TEST(WebSocket, KeysThatAreNone) {
  for (const char* bad : {"", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===",
                          "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25jZQ==, x",
                          "dGhlIHNhbXBsZSBub25jZ_=="}) {
    Fields fields;
    fields.add(kWebSocketKey, bad);
    EXPECT_FALSE(has_websocket_key(fields)) << bad;
  }
}

TEST(WebSocket, ProtocolNames) {
  for (const char* good : {"websocket", "WebSocket", "spdy/3.1", "TLS/1.0", "tcp", "connect-udp"}) {
    EXPECT_TRUE(is_upgrade_protocol(good)) << good;
  }
  for (const char* bad : {"", "h2c", "H2", "h2", "http", "HTTP/2.0", "web socket", "a,b", "a/", "/a",
                          "a/b/c", "a\"b"}) {
    EXPECT_FALSE(is_upgrade_protocol(bad)) << bad;
  }
}

}  // namespace
}  // namespace tulle
