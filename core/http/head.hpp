// Head: the head of a request or a response, independent of the protocol version.
//
// Framing is not in here: codecs take Host, Content-Length, Transfer-Encoding, Connection and what
// it names, Keep-Alive, Upgrade and pseudo-header fields off the wire and put them back on; `fields`
// has the rest. So translation between versions is nobody's code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/http/fields.hpp"

namespace tulle {

enum class Method : uint8_t { get, head, post, put, delete_, connect, options, trace, patch, other };
enum class Version : uint8_t { http10, http11, http2 };

Method method_of(std::string_view text);
bool is_safe(Method method);         // RFC 9110, 9.2.1
bool is_idempotent(Method method);   // RFC 9110, 9.2.2
std::string_view to_string(Version version);

struct Head {
  // Requests.
  Method method = Method::get;
  std::string method_text;           // exact; never empty in a request
  std::string scheme;                // "http" or "https"
  std::string authority;             // host[:port]; from Host, :authority or the absolute form
  std::string path;                  // origin form with query, or "*"; empty for CONNECT
  std::string protocol;              // what an Upgrade or extended CONNECT asks for, lower case; else empty

  // Responses: 100..599. 101 and 2xx to CONNECT make the stream a tunnel. Zero in a request.
  int status = 0;

  Version version = Version::http11;  // as received
  Fields fields;
  std::optional<uint64_t> content_length;
  bool ended = false;                 // the message has no body and no trailers: ends with this head
  bool expects_continue = false;      // Expect: 100-continue (kept in fields as well)

  bool is_request() const { return status == 0; }
  void clear();                       // keeps capacity
};

}  // namespace tulle
