// Framing guard: what HTTP/1 messages must satisfy beyond what llhttp checks.
//
// Pure functions and two small incremental checkers; nothing is owned but a few counters. Whatever
// two implementations might read differently is refused, never repaired: the start
// line is judged as raw bytes, because llhttp forgets how it was spelled; framing fields are judged
// together when the head is complete; chunk lines are judged byte by byte beside llhttp. A refusal
// names a code, which decides the answer, and a reason in our own words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.hpp"
#include "core/base/result.hpp"
#include "core/http/fields.hpp"
#include "core/http/head.hpp"
#include "core/http/limits.hpp"

namespace tulle {

struct Refusal {
  Code code = Code::bad_request;
  const char* why = "";  // static text without quotes
};
using Checked = std::optional<Refusal>;  // empty: accepted

// ---- Alphabets -------------------------------------------------------------------------------

bool is_token(ByteView text);                 // RFC 9110, 5.6.2; not empty
bool is_target(ByteView text);                // bytes that may occur in an origin form
bool is_field_value(ByteView text);           // no CTL but HTAB
bool equals_ignoring_case(ByteView text, ByteView lower_case);
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

// ---- Fields ----------------------------------------------------------------------------------

// How the end of a message is found.
enum class Framing : uint8_t {
  none,         // no body
  length,       // Head::content_length
  chunked,
  until_close,  // responses only
  tunnel,       // what follows is another protocol, if the answer says so
};

// Collects the fields of one head that describe the connection or the framing, and judges them
// together. Everything else it hands on to Head::fields.
class FramingFields {
 public:
  void clear();
  // One field line, value trimmed. `request`: whose fields these are.
  Checked add(bool request, ByteView name, ByteView value, Head& head);
  // The head is complete: fills what Head says about the body, and removes what Connection names.
  Checked finish_request(Head& head);
  // `request` is the head that is being answered.
  Checked finish_response(const Head& request, Head& head);

  Framing framing() const { return framing_; }
  bool keeps_alive() const { return keeps_alive_; }

 private:
  Checked add_known(bool request, FieldId id, ByteView value, Head& head);
  void add_connection(ByteView value);
  void add_upgrade(ByteView value, Head& head);
  Checked check_host(Head& head) const;
  Checked check_coding(const Head& head) const;
  Checked check_expect(Head& head) const;
  void strip_named(Head& head) const;

  std::string named_;            // names listed in Connection, comma-separated
  std::string host_;
  Checked coding_;               // why Transfer-Encoding is not exactly one "chunked"
  std::optional<uint64_t> length_;
  uint8_t hosts_ = 0;
  uint8_t lengths_ = 0;
  uint8_t codings_ = 0;
  bool close_ = false;
  bool keep_alive_ = false;
  bool upgrade_ = false;         // the Connection option
  bool upgrade_asked_ = false;   // the Upgrade field
  bool te_trailers_ = false;
  bool bad_expect_ = false;
  bool expects_continue_ = false;
  bool keeps_alive_ = false;
  Framing framing_ = Framing::none;
};

// A name that may not come in a trailer section: framing and routing are refused, fields of the
// connection are dropped.
enum class TrailerRule : uint8_t { keep, drop, refuse };
TrailerRule trailer_rule(ByteView name);

// ---- Chunked bodies --------------------------------------------------------------------------

// Follows the chunks of one body up to the last one; the trailer section is llhttp's alone.
class ChunkGuard {
 public:
  void begin(const HttpLimits& limits);
  Checked feed(ByteView bytes);   // exactly the bytes that llhttp is given

 private:
  enum class At : uint8_t {
    size, extension, name, equals, value, quoted, escaped, after_value, line_feed,
    data, data_cr, data_lf, trailers,
  };
  Checked step(unsigned char c);
  Checked size_digit(unsigned char c);
  Checked extension_byte(unsigned char c);
  Checked line_end();

  uint64_t left_ = 0;            // of the current chunk's data
  size_t line_ = 0;              // bytes of the current chunk line
  size_t line_limit_ = 0;
  size_t extensions_left_ = 0;   // bytes of extensions this message may still have
  uint8_t digits_ = 0;
  At at_ = At::size;
};

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
