#include "core/http/http2_rules.hpp"

#include <charconv>

#include "core/base/ascii.hpp"
#include "core/http/framing_guard.hpp"

namespace tulle {

bool is_request_path(std::string_view path) {
  if (path.empty()) return false;
  if (path == "*") return true;
  return path.front() == '/' && is_target(path);
}

std::string_view canonical_scheme(std::string_view scheme) {
  if (equals_ignoring_case(scheme, "http")) return "http";
  if (equals_ignoring_case(scheme, "https")) return "https";
  return {};
}

std::optional<int> parse_status(std::string_view text) {
  if (text.size() != 3 || text[0] < '1' || text[0] > '5') return std::nullopt;
  if (!is_digit(text[1]) || !is_digit(text[2])) return std::nullopt;
  return (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
}

std::optional<uint64_t> parse_content_length(std::string_view text) {
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return static_cast<uint64_t>(value);
}

}  // namespace tulle
