// Http1Parser: one HTTP/1 message at a time, from bytes to a Head, body bytes and trailers.
//
// llhttp (strict) parses start line, fields and chunks; the framing guard judges beside it, so what
// either refuses is refused. Bodies with a length or up to the end of the connection are counted
// here. The parser calls nobody: its owner feeds it by phase and looks at the outcome. Order:
//   read_line -> begin_fields -> read_fields -> [owner: end_request_head / end_response_head]
//   -> read_body -> restart
// Owns the pieces of a line or a field that came torn; nothing is kept while a connection is idle.
#pragma once

#include <memory>
#include <string>

#include "core/base/bytes.hpp"
#include "core/http/chunk_guard.hpp"
#include "core/http/framing_fields.hpp"
#include "core/http/framing_guard.hpp"
#include "core/http/head.hpp"
#include "core/http/limits.hpp"
#include "core/http/stream.hpp"

struct llhttp__internal_s;

namespace tulle {

// Text that may arrive in pieces: a view while it lies in one piece, a copy once it is torn.
class TornText {
 public:
  void add(const char* at, size_t size);
  void keep();                  // the bytes seen so far are about to go away
  ByteView view() const { return torn_ ? ByteView(copy_) : seen_; }
  size_t size() const { return view().size(); }
  void clear();

 private:
  ByteView seen_;
  MeteredText copy_;
  bool torn_ = false;
};

class Http1Parser {
 public:
  enum class Phase : uint8_t { line, line_done, fields, fields_done, body, done, refused };

  Http1Parser(bool request, const HttpLimits& limits);
  ~Http1Parser();

  Phase phase() const { return phase_; }
  const Refusal& refusal() const { return refusal_; }
  bool begun() const;           // bytes of an incomplete head are here

  // Each takes bytes off the front and returns how many. read_line ends at line_done, read_fields
  // at fields_done, read_body at done; all may end at refused.
  size_t read_line(ByteView wire);
  size_t read_fields(ByteView wire);
  // Never hands `to` more than wire.size() bytes: limit what you pass by its inbound_room().
  size_t read_body(ByteView wire, Stream& to);

  // After line_done. `head` is clear; `scheme` is that of the connection.
  void begin_request_fields(Head& head, ByteView scheme);
  void begin_response_fields(Head& head);
  // The status of the line that was read; tells where a response head belongs.
  int status() const { return status_line_.status; }

  // After fields_done: judges framing. The phase becomes body or done, or refused.
  void end_request_head();
  void end_response_head(const Head& request);
  Framing framing() const { return framing_fields_.framing(); }
  bool keeps_alive() const { return framing_fields_.keeps_alive(); }
  // At most so many bytes of the body are still to come; nothing: nobody knows.
  std::optional<uint64_t> body_left() const;

  void restart();               // for the next message
  // The input has ended: true when that is the regular end of this message.
  bool ends_with_input() const;

 private:
  struct Callbacks;             // llhttp's, in the .cpp
  void refuse(const Refusal& why);
  bool refuse_if(const Checked& why);
  void refuse_malformed(const char* reason);
  void end_head();
  size_t execute(ByteView wire);
  void start_llhttp();
  void head_or_trailer_field();
  void trailer_field(ByteView name, ByteView value);
  bool weigh();                 // the field being read still fits
  size_t read_chunked(ByteView wire, Stream& to);

  const HttpLimits& limits_;
  const bool request_;
  Phase phase_ = Phase::line;
  bool in_trailers_ = false;
  bool llhttp_stopped_ = false;     // a callback paused it
  uint8_t empty_lines_ = 0;
  std::unique_ptr<llhttp__internal_s> llhttp_;
  Refusal refusal_;
  MeteredText line_;                // a torn start line
  ByteView whole_line_;             // valid from line_done to begin_*_fields
  RequestLine request_line_;
  StatusLine status_line_;
  TornText name_;
  TornText value_;
  Head* head_ = nullptr;
  Stream* stream_ = nullptr;        // during read_body
  FramingFields framing_fields_;
  ChunkGuard chunks_;
  uint64_t left_ = 0;               // of a body with a length
  size_t raw_ = 0;                  // bytes of the section being read
  size_t weight_ = 0;
  size_t count_ = 0;
};

}  // namespace tulle
