// FramingFields: the fields of one head that describe its framing or its connection, judged
// together when the head is complete. The part of the framing guard that decides where a message
// ends.
//
// Owns what those fields said. Everything else goes on to Head::fields as it comes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/http/framing_guard.hpp"

namespace tulle {

// How the end of a message is found.
enum class Framing : uint8_t {
  none,         // no body
  length,       // Head::content_length
  chunked,
  until_close,  // responses only
  tunnel,       // what follows is another protocol, if the answer says so
};

class FramingFields {
 public:
  explicit FramingFields(const HttpLimits& limits) : limits_(limits) {}
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
  void add_upgrade(bool request, ByteView value, Head& head);
  bool switches_to(ByteView protocol) const;
  Checked check_host(Head& head) const;
  Checked check_coding(const Head& head) const;
  Checked check_expect(Head& head) const;
  void strip_named(Head& head) const;

  const HttpLimits& limits_;
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
  bool upgrade_asked_ = false;   // the Upgrade field, whatever it names but HTTP/2
  bool te_trailers_ = false;
  bool bad_expect_ = false;
  bool expects_continue_ = false;
  bool keeps_alive_ = false;
  Framing framing_ = Framing::none;
};

// Servers that build CGI-like names would take it for a framing or identity field: `content_length`.
bool is_disguised(ByteView name);

// A name that may not come in a trailer section: framing and routing are refused, fields of the
// connection are dropped.
enum class TrailerRule : uint8_t { keep, drop, refuse };
TrailerRule trailer_rule(ByteView name);

}  // namespace tulle
