#include "core/http/framing_guard.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/ascii.hpp"
#include "core/http/authority.hpp"

namespace tulle {
namespace {

Refusal bad(const char* why) { return {Code::bad_request, why}; }

// One bit per alphabet and byte.
enum Alphabet : uint8_t { kToken = 1, kPath = 2, kQuery = 4, kValue = 8, kHex = 16 };

constexpr std::array<uint8_t, 256> kAlphabets = [] {
  std::array<uint8_t, 256> table{};
  const auto allow = [&table](std::string_view bytes, int alphabets) {
    for (char c : bytes) table[static_cast<unsigned char>(c)] |= static_cast<uint8_t>(alphabets);
  };
  allow("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        kToken | kPath | kQuery);
  allow("0123456789abcdefABCDEF", kHex);
  allow("!#$%&'*+-.^_`|~", kToken);
  allow("-._~!$&'()*+,;=:@/?%[]|", kPath | kQuery);
  // Browsers send these in queries as they are (the URL standard's query percent-encode set).
  allow("{}^`", kQuery);
  for (int c = 0x20; c < 0x100; ++c) table[static_cast<size_t>(c)] |= kValue;
  table['\t'] |= kValue;
  table[0x7f] = 0;
  return table;
}();

bool in(char c, Alphabet alphabet) {
  return (kAlphabets[static_cast<unsigned char>(c)] & alphabet) != 0;
}

bool all_in(ByteView text, Alphabet alphabet) {
  for (char c : text) {
    if (!in(c, alphabet)) return false;
  }
  return true;
}

// Room for one more byte, the CR.
bool line_too_long(ByteView partial, const HttpLimits& limits) {
  return partial.size() > limits.request_line + 1;
}

// Takes CRLF off; false when it ends otherwise, or holds another CR.
bool take_line_end(ByteView& line) {
  if (line.size() < 2 || line[line.size() - 2] != '\r') return false;
  line.remove_suffix(2);
  return line.find('\r') == ByteView::npos;
}

// "HTTP/" DIGIT "." DIGIT, and of these 1.0 and 1.1.
Checked parse_version(ByteView text, Version& into) {
  if (text.size() != 8 || !text.starts_with("HTTP/") || text[6] != '.' || !is_digit(text[5]) ||
      !is_digit(text[7])) {
    return bad("malformed HTTP version");
  }
  if (text == "HTTP/1.1") {
    into = Version::http11;
  } else if (text == "HTTP/1.0") {
    into = Version::http10;
  } else {
    return Refusal{Code::version_not_supported, "this version of HTTP is not spoken here"};
  }
  return {};
}

}  // namespace

// ---- Alphabets -------------------------------------------------------------------------------

bool is_token_byte(char c) { return in(c, kToken); }
bool is_value_byte(char c) { return in(c, kValue); }
bool is_hex_digit(char c) { return in(c, kHex); }
bool is_token(ByteView text) { return !text.empty() && all_in(text, kToken); }
bool is_field_value(ByteView text) { return all_in(text, kValue); }

bool is_target(ByteView text) {
  const size_t query = std::min(text.find('?'), text.size());
  return all_in(text.substr(0, query), kPath) && all_in(text.substr(query), kQuery);
}

ByteView trimmed(ByteView text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// ---- Start lines -----------------------------------------------------------------------------

Checked check_partial_request_line(ByteView partial, const HttpLimits& limits) {
  if (partial == "\r") return {};
  if (!all_in(partial.substr(0, partial.find(' ')), kToken) || partial.starts_with(' ')) {
    return bad("the method is not a token");
  }
  if (line_too_long(partial, limits)) return Refusal{Code::uri_too_long, "request line too long"};
  return {};
}

Checked parse_request_line(ByteView line, const HttpLimits& limits, RequestLine& into) {
  ByteView text = line.substr(0, line.size() - 1);
  const bool carriage_return = text.ends_with('\r');
  if (carriage_return) text.remove_suffix(1);
  const size_t space = text.find(' ');
  if (space == 0 || !all_in(text.substr(0, space), kToken)) return bad("the method is not a token");
  if (text.size() > limits.request_line) {
    return Refusal{Code::uri_too_long, "request line too long"};
  }
  if (!carriage_return) return bad("the request line does not end with CRLF");
  if (space == ByteView::npos) return bad("the request line has no target");
  const size_t second = text.find(' ', space + 1);
  if (second == ByteView::npos) return bad("the request line has no version");
  into.method = text.substr(0, space);
  into.target = text.substr(space + 1, second - space - 1);
  if (into.target.empty()) return bad("the request line has no target");
  if (!is_target(into.target)) return bad("invalid byte in the request target");
  return parse_version(text.substr(second + 1), into.version);
}

Checked check_partial_status_line(ByteView partial, const HttpLimits& limits) {
  const ByteView start = ByteView("HTTP/1.").substr(0, partial.size());
  if (!partial.starts_with(start)) return bad("not an HTTP/1 status line");
  if (line_too_long(partial, limits)) return bad("status line too long");
  return {};
}

Checked parse_status_line(ByteView line, const HttpLimits& limits, StatusLine& into) {
  if (Checked refused = check_partial_status_line(line.substr(0, line.size() - 1), limits)) {
    return refused;
  }
  if (!take_line_end(line)) return bad("the status line does not end with CRLF");
  if (Checked refused = parse_version(line.substr(0, 8), into.version)) return refused;
  // The blank before an empty reason is often left out.
  const bool shaped = line.size() >= 12 && line[8] == ' ' && (line.size() == 12 || line[12] == ' ');
  if (!shaped) return bad("malformed status line");
  int status = 0;
  for (char c : line.substr(9, 3)) {
    if (!is_digit(c)) return bad("malformed status");
    status = status * 10 + (c - '0');
  }
  if (status < 100 || status > 599) return bad("status out of range");
  if (!is_field_value(line.substr(12))) return bad("control byte in the reason phrase");
  into.status = status;
  return {};
}

Checked parse_target(const RequestLine& line, ByteView scheme, Head& head) {
  const ByteView target = line.target;
  head.authority.clear();
  if (head.method == Method::connect) {
    head.path.clear();
    const size_t colon = target.rfind(':');
    const bool port = colon != ByteView::npos && target.find(']', colon) == ByteView::npos;
    if (!is_authority(target) || !port) return bad("CONNECT needs host and port");
    head.authority = target;
    return {};
  }
  if (target.front() == '/') {
    head.path = target;
    return {};
  }
  if (target == "*") {
    if (head.method != Method::options) return bad("only OPTIONS may ask for *");
    head.path = target;
    return {};
  }
  const size_t separator = target.find("://");
  if (separator == ByteView::npos) return bad("the target is neither a path nor a URI");
  if (!equals_ignoring_case(target.substr(0, separator), scheme)) {
    return bad("the scheme of the target is not that of the connection");
  }
  const ByteView rest = target.substr(separator + 3);
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (!is_authority(rest.substr(0, end))) return bad("invalid authority in the target");
  head.authority = rest.substr(0, end);
  const ByteView path = rest.substr(end);
  if (path.empty()) {
    head.path = head.method == Method::options ? "*" : "/";
  } else {
    head.path = path.front() == '?' ? "/" : "";
    head.path += path;
  }
  return {};
}

}  // namespace tulle
