// http2_rules: what one field of an HTTP/2 head may look like. Pure functions, no state.
//
// nghttp2 checks names, tokens, order and counts of pseudo-header fields. It lets through what has
// made proxies disagree with the servers behind them; that is refused here.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/http/authority.hpp"
#include "core/http/framing_field.hpp"

namespace tulle {

// "/..." or "*", of the bytes that the request line of HTTP/1 may have: what comes in by one version
// can go on by the other.
bool is_request_path(std::string_view path);

// "http" or "https" in lower case; empty for anything else.
std::string_view canonical_scheme(std::string_view scheme);

// 100 to 599 in three digits.
std::optional<int> parse_status(std::string_view text);

// Digits only, below 2^63.
std::optional<uint64_t> parse_content_length(std::string_view text);

// Where a request to switch protocols is answered with a success that does not switch, HTTP/2 cannot
// say so: 2xx means that the tunnel is open. The status goes as 501, and what it was in this field.
inline constexpr std::string_view kDeclinedStatus = "tulle-status";

}  // namespace tulle
