// The WebSocket handshake (RFC 6455, 4) as far as HTTP takes part in it, and names of protocols.
//
// In HTTP/1.1 a key goes with the Upgrade and its digest comes back with the 101; an extended CONNECT
// of HTTP/2 has neither (RFC 8441, 5). Where one becomes the other the codecs drop, make and check
// them with these functions. Pure; between two HTTP/1.1 sides nothing of this is used.
#pragma once

#include <string>
#include <string_view>

#include "core/http/fields.hpp"

namespace tulle {

inline constexpr std::string_view kWebSocket = "websocket";
inline constexpr std::string_view kWebSocketKey = "sec-websocket-key";
inline constexpr std::string_view kWebSocketAccept = "sec-websocket-accept";

// A name that Upgrade or :protocol may carry: a token, perhaps with a version behind a slash. HTTP
// itself is none: HTTP/2 is never spoken by upgrade here.
bool is_upgrade_protocol(std::string_view name);

// Exactly one key of 16 bytes in base64.
bool has_websocket_key(const Fields& request);
std::string new_websocket_key();
std::string websocket_accept(std::string_view key);

}  // namespace tulle
