// Http1Writer: heads and bodies as HTTP/1.1 text, made from the model only.
//
// Nothing of what a peer sent is copied as it came: names are lower case, one blank follows the
// colon, there is exactly one framing field, numbers are canonical, and bytes that could end a line
// never leave. Appends straight to the wire; owns no bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.hpp"
#include "core/http/head.hpp"
#include "core/http/stream.hpp"

namespace tulle {

// How the body departs.
enum class Coding : uint8_t { none, length, chunked, raw };  // raw: until close, or a tunnel
struct BodyForm {
  Coding coding = Coding::none;
  uint64_t length = 0;
};

enum class Persistence : uint8_t {
  implied,      // what the version of the message implies
  close,        // connection: close
  keep_alive,   // said to HTTP/1.0 clients
};

// A message that names trailers keeps them only in chunks, also when its length is known. Trailers
// that nothing has announced travel where chunks are used anyway, and are dropped otherwise.
bool announces_trailers(const Head& head);

// False when the head cannot be said in HTTP/1.1 without changing its meaning; nothing was
// appended then.
bool write_request_head(const Head& head, BodyForm body, Persistence persistence, Bytes& wire);

void write_response_head(const Head& head, BodyForm body, Persistence persistence, Bytes& wire);
void write_interim_head(const Head& head, Bytes& wire);
// 101, to a request that asked for `protocol`. `accept`: the digest of a WebSocket key; empty: `head`
// has it already, or there is none.
void write_switching_head(const Head& head, std::string_view protocol, std::string_view accept,
                          Bytes& wire);
// The whole answer to a request that was refused before anybody saw it.
void write_refusal(int status, std::string_view code, std::string_view detail, Bytes& wire);

// Moves one body from a stream to the wire.
class BodyWriter {
 public:
  enum class Progress : uint8_t {
    waiting,  // for the handler, or for the next call
    ended,    // all is on the wire
    broken,   // more or less than was announced; the connection must not live on
  };
  void begin(BodyForm form);
  Progress write(Stream& from, Bytes& wire, size_t limit);
  Coding coding() const { return coding_; }

 private:
  void write_some(Stream& from, Bytes& wire, size_t count);
  uint64_t left_ = 0;              // of what was announced
  Coding coding_ = Coding::none;
};

}  // namespace tulle
