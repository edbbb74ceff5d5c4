#include "core/http/http1_client.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/ascii.hpp"
#include "core/http/websocket.hpp"

namespace tulle {
namespace {

// gRPC says how a call ended in trailers, and HTTP/1.1 may lose those on any hop; gRPC-Web does not
// depend on them.
bool needs_http2(const Head& head) {
  static constexpr std::string_view kType = "application/grpc";
  const std::string_view type = head.fields.get(FieldId::content_type).value_or("");
  if (!equals_ignoring_case(type.substr(0, kType.size()), kType)) return false;
  return type.size() == kType.size() || type[kType.size()] == '+' || type[kType.size()] == ';';
}

// However little a handler wants: a read is worth as much.
constexpr size_t kLeastRead = 1536;

bool owns_handshake(const Head& request) {
  return request.version == Version::http2 && request.protocol == kWebSocket;
}

}  // namespace

Http1Client::Http1Client(const HttpLimits& limits, std::string_view scheme)
    : limits_(limits), scheme_(scheme), parser_(false, limits) {}

Stream* Http1Client::open() {
  if (over_ || retired_ || stream_ != nullptr) return nullptr;
  stream_ = Stream::make(dirty_, false, limits_.stream_inbound, limits_.stream_outbound);
  stream_->set_reused_connection(std::exchange(used_, true));
  stream_->set_credit_step(limits_.stream_inbound / 2 + 1);
  most_per_read_ = SIZE_MAX;
  interims_ = 0;
  return stream_;
}

// ---- Reading ---------------------------------------------------------------------------------

Result<void> Http1Client::read(ByteView wire, Instant) {
  if (over_ || wire.empty()) return {};
  if (in_ == In::idle) {
    // Nobody asked. Whatever it is, it must not become the answer to the next request.
    fail(Code::upstream_reset, "bytes came before the request was sent");
    return Error{Code::protocol_error, Origin::upstream, "unsolicited bytes"};
  }
  stream_->mark_touched();
  if (pending_.empty()) wire.remove_prefix(consume(wire));
  if (!over_ && !wire.empty()) {
    pending_.append(wire);
    read_pending();
  }
  if (over_) pending_.clear();
  return {};
}

size_t Http1Client::consume(ByteView wire) {
  size_t used = 0;
  while (used < wire.size()) {
    const size_t n = read_some(wire.substr(used));
    if (n == 0) break;
    used += n;
  }
  return used;
}

size_t Http1Client::read_some(ByteView wire) {
  switch (in_) {
    case In::head: return read_head(wire);
    case In::body: return read_body(wire);
    case In::tunnel: return read_tunnel(wire);
    case In::idle:
      // More than the response. The response itself was complete and stays so.
      cut();
      return wire.size();
    case In::done:
    case In::closed: return wire.size();
  }
  UNREACHABLE();
}

// A handler that wants little of the answer at a time: no more is read than that, and nothing while it
// has not taken what there is, or wants nothing. A client behind it that does not read would otherwise cost
// what a read brings.
void Http1Client::heed_limit() {
  const bool narrow = stream_->narrow_inbound();
  if (!narrow && most_per_read_ == SIZE_MAX) return;
  most_per_read_ = narrow ? std::max(stream_->inbound_limit(), kLeastRead) : SIZE_MAX;
  stream_->set_credit_step(narrow ? 1 : limits_.stream_inbound / 2 + 1);
}

bool Http1Client::has_enough() const {
  if (most_per_read_ == SIZE_MAX || stream_ == nullptr) return false;
  return stream_->readable() > 0 || stream_->inbound_limit() == 0;
}

void Http1Client::read_pending() {
  while (!pending_.empty()) {
    const ByteView front = pending_.front();
    const size_t used = consume(front);
    if (over_) return pending_.clear();
    pending_.drop(used);
    if (used < front.size()) return;
  }
}

size_t Http1Client::read_head(ByteView wire) {
  size_t used = 0;
  if (parser_.phase() == Http1Parser::Phase::line) {
    used = parser_.read_line(wire);
    if (parser_.phase() == Http1Parser::Phase::line_done) begin_head();
  } else {
    used = parser_.read_fields(wire);
    if (parser_.phase() == Http1Parser::Phase::fields_done) {
      parser_.end_response_head(*stream_->departing_head());
      if (parser_.phase() != Http1Parser::Phase::refused) head_complete();
    }
  }
  if (parser_.phase() == Http1Parser::Phase::refused) {
    fail(Code::upstream_protocol_error, parser_.refusal().why);
  }
  return used;
}

void Http1Client::begin_head() {
  const int status = parser_.status();
  interim_ = status < 200 && status != 101;
  if (!interim_) return parser_.begin_response_fields(stream_->arriving_head());
  const bool bearable = ++interims_ <= limits_.interim_responses;
  Head* const head = bearable ? stream_->arriving_interim() : nullptr;
  if (head == nullptr) return fail(Code::upstream_protocol_error, "too many interim responses");
  parser_.begin_response_fields(*head);
}

void Http1Client::head_complete() {
  if (interim_) {
    stream_->interim_arrived();
    return parser_.restart();
  }
  if (parser_.framing() == Framing::tunnel && !check_accept()) {
    return fail(Code::upstream_protocol_error, "the WebSocket handshake was not answered rightly");
  }
  stream_->head_arrived();
  switch (parser_.framing()) {
    case Framing::none: return response_complete();
    case Framing::tunnel:
      in_ = In::tunnel;
      out_ = Out::tunnel;
      body_.begin({Coding::raw, 0});
      return;
    default: in_ = In::body; return;
  }
}

// An upgrade that came as extended CONNECT is ours to answer for: the key and what it is answered
// with belong to this connection alone (RFC 8441, 5).
bool Http1Client::check_accept() {
  const Head& request = *stream_->departing_head();
  if (!owns_handshake(request)) return true;
  Fields& fields = stream_->arriving_head().fields;
  const bool good = fields.get(kWebSocketAccept).value_or("") ==
                    websocket_accept(request.fields.get(kWebSocketKey).value_or(""));
  fields.remove(kWebSocketAccept);
  return good;
}

size_t Http1Client::read_body(ByteView wire) {
  const size_t room = stream_->inbound_room();
  if (room == 0) return 0;
  const size_t used = parser_.read_body(wire.substr(0, room), *stream_);
  if (parser_.phase() == Http1Parser::Phase::refused) {
    fail(Code::upstream_protocol_error, parser_.refusal().why);
  } else if (parser_.phase() == Http1Parser::Phase::done) {
    stream_->end_arrived();
    response_complete();
  }
  return used;
}

size_t Http1Client::read_tunnel(ByteView wire) {
  wire = wire.substr(0, stream_->inbound_room());
  stream_->body_arrived(wire);
  return wire.size();
}

// The response is all here. What the request still had to say is no longer of interest, and the
// connection ends unless it had said everything.
void Http1Client::response_complete() {
  in_ = In::done;
  if (out_ == Out::held) {
    out_ = Out::done;  // declined: the request was complete with its head
    stream_->mark_departed();
  }
  if (out_ == Out::done && parser_.keeps_alive() && !retired_ && !input_ended_) {
    return end_exchange();
  }
  cut();
}

void Http1Client::end_of_input(const std::optional<Error>& why) {
  if (over_ || (input_ended_ && !why)) return;
  input_ended_ = true;
  // Lost altogether: what still waits for room may be received, but nothing will complete it.
  if (why) return fail(Code::upstream_reset, why->detail);
  end_reached();
}

// The end of the input counts once everything before it has been used.
void Http1Client::end_reached() {
  if (!input_ended_ || over_ || !pending_.empty()) return;
  if (in_ == In::done) return;  // said already: half a tunnel is left
  const bool regular = in_ == In::tunnel || parser_.ends_with_input();
  if (stream_ == nullptr) return cut();
  if (!regular) return fail(Code::upstream_reset, "the connection ended before the response did");
  stream_->end_arrived();
  if (in_ != In::tunnel) return response_complete();
  in_ = In::done;
  if (out_ == Out::done) tunnel_over();
}

void Http1Client::tunnel_over() {
  tunnel_ended_ = true;
  cut();
}

// ---- Writing ---------------------------------------------------------------------------------

bool Http1Client::has_output() const {
  if (stream_ == nullptr) return false;
  if (stream_->cancelled()) return true;
  if (out_ == Out::idle) return stream_->departing_head() != nullptr;
  if (out_ != Out::body && out_ != Out::tunnel) return false;
  return !stream_->departing_body().empty() || stream_->departing_end();
}

bool Http1Client::wants_write() const { return !dirty_.list.empty() || has_output(); }

void Http1Client::write(Bytes& wire, size_t limit) {
  while (dirty_.take() != nullptr) {}  // recycles; the one open stream is looked at in any case
  if (stream_ != nullptr) {
    stream_->take_credit();
    heed_limit();
    advance(wire, limit);
  }
  resume_reading();
}

void Http1Client::resume_reading() {
  while (dirty_.take() != nullptr) {}
  if (stream_ != nullptr) heed_limit();
  if (stream_ != nullptr && stream_->cancelled()) let_go();
  if (!over_) read_pending();
  end_reached();
  if (over_) pending_.clear();
}

void Http1Client::advance(Bytes& wire, size_t limit) {
  if (stream_->cancelled()) return let_go();
  if (out_ == Out::idle) {
    const Head* head = stream_->departing_head();
    if (head == nullptr) return;
    if (needs_http2(*head)) {
      stream_->fail({Code::not_implemented, Origin::upstream,
                     "gRPC needs HTTP/2, and the endpoint is spoken to in HTTP/1.1"});
      return end_exchange();
    }
    if (!write_head(*head, wire)) {
      stream_->fail(
          {Code::bad_request, Origin::downstream, "the request cannot be said in HTTP/1.1"});
      return end_exchange();
    }
    stream_->mark_head_departed();
    in_ = In::head;
  }
  if (out_ == Out::body || out_ == Out::tunnel) write_body(wire, limit);
}

bool Http1Client::write_head(const Head& head, Bytes& wire) {
  const bool held = head.method == Method::connect || !head.protocol.empty();
  BodyForm form;
  if (held) {
    // What follows is not a body.
  } else if (head.ended || (head.content_length && !announces_trailers(head))) {
    form.length = head.ended ? 0 : *head.content_length;
    // An empty body is announced where one is expected (RFC 9110, 8.6).
    const bool expected = head.method == Method::post || head.method == Method::put ||
                          head.method == Method::patch;
    if (!head.ended || head.content_length || expected) form.coding = Coding::length;
  } else {
    form.coding = Coding::chunked;
  }
  if (owns_handshake(head)) {
    stream_->draft().fields.set(kWebSocketKey, new_websocket_key());
  }
  const Persistence persistence = retired_ ? Persistence::close : Persistence::implied;
  if (!write_request_head(head, form, persistence, wire)) return false;
  body_.begin(form);
  out_ = held ? Out::held : Out::body;
  return true;
}

void Http1Client::write_body(Bytes& wire, size_t limit) {
  switch (body_.write(*stream_, wire, limit)) {
    case BodyWriter::Progress::waiting: return;
    case BodyWriter::Progress::broken:
      stream_->fail({Code::internal, Origin::local, "the body is not as long as announced"});
      return cut();
    case BodyWriter::Progress::ended: break;
  }
  stream_->mark_departed();
  const bool tunnel = std::exchange(out_, Out::done) == Out::tunnel;
  if (tunnel && in_ == In::done) tunnel_over();
}

// ---- Ends ------------------------------------------------------------------------------------

// Before its first byte a request can be forgotten without a trace.
void Http1Client::let_go() {
  if (out_ == Out::idle) return end_exchange();
  cut();
}

// The connection is clean again.
void Http1Client::end_exchange() {
  std::exchange(stream_, nullptr)->codec_closed();
  parser_.restart();
  in_ = In::idle;
  out_ = Out::idle;
  if (retired_ || input_ended_) cut();
}

void Http1Client::fail(Code code, std::string_view why) {
  if (stream_ != nullptr) stream_->fail({code, Origin::upstream, std::string(why)});
  cut();
}

// Ends the connection, whatever state the exchange is in. pending_ is let go of by those who may be
// reading from it.
void Http1Client::cut() {
  if (Stream* stream = std::exchange(stream_, nullptr)) stream->codec_closed();
  in_ = In::closed;
  over_ = true;
}

void Http1Client::retire() {
  retired_ = true;
  if (stream_ == nullptr) cut();
}

Codec::Waiting Http1Client::waiting() const {
  if (over_) return Waiting::handlers;
  if (stream_ == nullptr) return Waiting::idle;
  return in_ == In::head && parser_.begun() ? Waiting::head : Waiting::handlers;
}

void Http1Client::timed_out(Waiting what) {
  if (over_) return;
  if (what == Waiting::idle && stream_ == nullptr) return cut();
  if (what == Waiting::head && waiting() == Waiting::head) {
    fail(Code::upstream_protocol_error, "the response head did not come in time");
  }
}

}  // namespace tulle
