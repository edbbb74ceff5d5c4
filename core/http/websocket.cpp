#include "core/http/websocket.hpp"

#include <algorithm>

#include "core/base/ascii.hpp"
#include "core/http/framing_guard.hpp"
#include "core/net/secrets.hpp"

namespace tulle {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
constexpr size_t kKeyBytes = 16;
constexpr size_t kKeyText = 24;  // base64 of 16 bytes: 22 digits and "=="

bool is_base64_digit(char c) {
  return is_alphanumeric(c) || c == '+' || c == '/';
}

bool is_websocket_key(std::string_view text) {
  return text.size() == kKeyText && text.ends_with("==") &&
         std::all_of(text.begin(), text.end() - 2, is_base64_digit);
}

}  // namespace

bool is_upgrade_protocol(std::string_view name) {
  const size_t slash = std::min(name.find('/'), name.size());
  const std::string_view base = name.substr(0, slash);
  if (!is_token(base) || (slash < name.size() && !is_token(name.substr(slash + 1)))) return false;
  return !equals_ignoring_case(name.substr(0, 2), "h2") && !equals_ignoring_case(base, "http");
}

bool has_websocket_key(const Fields& request) {
  size_t keys = 0;
  bool good = false;
  for (const Fields::Field field : request) {
    if (field.name != kWebSocketKey) continue;
    ++keys;
    good = is_websocket_key(field.value);
  }
  return keys == 1 && good;
}

std::string new_websocket_key() { return base64(random_bytes(kKeyBytes)); }

std::string websocket_accept(std::string_view key) {
  return base64(sha1(std::string(key).append(kGuid)));
}

}  // namespace tulle
