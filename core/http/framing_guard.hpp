// Framing guard: what HTTP/1 messages must satisfy beyond what llhttp checks.
//
// Pure functions and two small incremental checkers; nothing is owned but a few counters. Whatever
// two implementations might read differently is refused, never repaired: the start
// line is judged as raw bytes, because llhttp forgets how it was spelled; framing fields are judged
// together when the head is complete; chunk lines are judged byte by byte beside llhttp. A refusal
// names a code, which decides the answer, and a reason in our own words.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/base/bytes.hpp"
#include "core/base/result.hpp"
#include "core/http/head.hpp"
#include "core/http/limits.hpp"

namespace tulle {

struct Refusal {
  Code code = Code::bad_request;
  const char* why = "";  // static text without quotes
};
using Checked = std::optional<Refusal>;  // empty: accepted

// ---- Alphabets -------------------------------------------------------------------------------

bool is_token_byte(char c);                   // RFC 9110, 5.6.2
bool is_value_byte(char c);                   // no CTL but HTAB
bool is_hex_digit(char c);
bool is_token(ByteView text);                 // not empty
bool is_target(ByteView text);                // bytes that may occur in an origin form
bool is_field_value(ByteView text);
// Calls visit(item) for every non-empty element of a comma-separated list, blanks trimmed.
template <class Visit>
void for_each_item(ByteView list, Visit visit);
ByteView trimmed(ByteView text);              // without SP and HTAB at both ends

// ---- Start lines -----------------------------------------------------------------------------

struct RequestLine {
  ByteView method;
  ByteView target;
  Version version = Version::http11;
};
struct StatusLine {
  int status = 0;
  Version version = Version::http11;
};

// A line whose LF has not come yet: refuses early what cannot become a request any more.
Checked check_partial_request_line(ByteView partial, const HttpLimits& limits);
Checked check_partial_status_line(ByteView partial, const HttpLimits& limits);
// A whole line, LF included.
Checked parse_request_line(ByteView line, const HttpLimits& limits, RequestLine& into);
Checked parse_status_line(ByteView line, const HttpLimits& limits, StatusLine& into);
// Splits the target into head.authority and head.path. `scheme` is that of the connection.
Checked parse_target(const RequestLine& line, ByteView scheme, Head& head);

template <class Visit>
void for_each_item(ByteView list, Visit visit) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const ByteView item = trimmed(list.substr(0, comma));
    list.remove_prefix(comma == ByteView::npos ? list.size() : comma + 1);
    if (!item.empty()) visit(item);
  }
}

}  // namespace tulle
