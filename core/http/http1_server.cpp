#include "core/http/http1_server.hpp"

#include <string>
#include <utility>

#include "core/http/websocket.hpp"

namespace tulle {
namespace {

// How much of a request is read and thrown away so that its connection may live on.
constexpr uint64_t kDrain = 64 * 1024;

int status_of(Code code) {
  switch (code) {
    case Code::uri_too_long: return 414;
    case Code::header_too_large: return 431;
    case Code::not_implemented: return 501;
    case Code::version_not_supported: return 505;
    default: return 400;
  }
}

}  // namespace

Http1Server::Http1Server(const HttpLimits& limits, std::string_view scheme)
    : limits_(limits), scheme_(scheme), parser_(true, limits) {}

Http1Server::~Http1Server() {
  if (stream_ != nullptr && !accepted_) stream_->discard();
}

// ---- Reading ---------------------------------------------------------------------------------

Result<void> Http1Server::read(ByteView wire, Instant) {
  if (over_) return {};  // what still comes after our last word is nobody's
  if (pending_.empty()) wire.remove_prefix(consume(wire));
  if (over_) pending_.clear();
  if (!over_ && !wire.empty()) {
    pending_.append(wire);
    read_pending();
  }
  if (answer_) return Error{answer_->why.code, Origin::downstream, answer_->why.why};
  return {};
}

// Returns how many bytes were used; the rest must wait.
size_t Http1Server::consume(ByteView wire) {
  size_t used = 0;
  while (used < wire.size()) {
    if (in_ == In::closed) return wire.size();
    const size_t n = read_some(wire.substr(used));
    if (n == 0) break;
    used += n;
  }
  return used;
}

size_t Http1Server::read_some(ByteView wire) {
  switch (in_) {
    case In::head: return read_head(wire);
    case In::body: return read_body(wire);
    case In::tunnel: return read_tunnel(wire);
    case In::done:
    case In::held:
    case In::closed: return 0;
  }
  UNREACHABLE();
}

void Http1Server::read_pending() {
  while (!pending_.empty()) {
    const ByteView front = pending_.front();
    const size_t used = consume(front);
    if (over_) return pending_.clear();
    pending_.drop(used);
    if (used < front.size()) break;
  }
}

size_t Http1Server::read_head(ByteView wire) {
  size_t used = 0;
  if (parser_.phase() == Http1Parser::Phase::line) {
    used = parser_.read_line(wire);
    if (parser_.phase() == Http1Parser::Phase::line_done) {
      stream_ = Stream::make(dirty_, true, limits_.stream_inbound, limits_.stream_outbound);
      stream_->limit_outbound(most_held_, false);
      accepted_ = ready_ = continued_ = false;
      parser_.begin_request_fields(stream_->arriving_head(), scheme_);
    }
  } else {
    used = parser_.read_fields(wire);
    if (parser_.phase() == Http1Parser::Phase::fields_done) parser_.end_request_head();
    if (!parser_.begun() && parser_.phase() != Http1Parser::Phase::refused) head_complete();
  }
  if (parser_.phase() == Http1Parser::Phase::refused) {
    refuse(parser_.refusal(), status_of(parser_.refusal().code));
  }
  return used;
}

void Http1Server::head_complete() {
  close_ = close_announced_ = !parser_.keeps_alive();
  close_said_ = false;
  drained_ = 0;
  switch (parser_.framing()) {
    case Framing::none: in_ = In::done; break;
    case Framing::tunnel: in_ = In::held; break;
    default: in_ = In::body; break;
  }
  stream_->set_credit_step(limits_.stream_inbound / 2 + 1);
  stream_->head_arrived();
  ready_ = true;
}

size_t Http1Server::read_body(ByteView wire) {
  const size_t room = stream_->inbound_room();
  if (room == 0) return 0;
  const size_t used = parser_.read_body(wire.substr(0, room), *stream_);
  continued_ = true;
  if (out_ == Out::done) drained_ += used;
  if (parser_.phase() == Http1Parser::Phase::refused) {
    refuse(parser_.refusal(), status_of(parser_.refusal().code));
  } else if (parser_.phase() == Http1Parser::Phase::done) {
    body_complete();
  } else {
    settle();
  }
  return used;
}

void Http1Server::body_complete() {
  in_ = In::done;
  stream_->end_arrived();
  settle();
}

size_t Http1Server::read_tunnel(ByteView wire) {
  wire = wire.substr(0, stream_->inbound_room());
  stream_->body_arrived(wire);
  return wire.size();
}

void Http1Server::end_of_input(const std::optional<Error>& why) {
  if (over_ || (input_ended_ && !why)) return;
  input_ended_ = true;
  if (why) fail_and_cut({Code::closed, Origin::downstream, "the client's connection broke"});
  end_reached();
}

// The end of the input counts once everything before it has been used; some of it may have to wait
// for room, or for its turn.
void Http1Server::end_reached() {
  if (!input_ended_ || over_ || !pending_.empty()) return;
  switch (in_) {
    case In::head: return cut();
    case In::body: return refuse({Code::bad_request, "the body was cut short"}, 400);
    case In::tunnel: return body_complete();
    case In::held:  // the answer decides whether it is the end of a tunnel
    case In::done:
    case In::closed: return;
  }
}

Stream* Http1Server::accept() {
  if (!ready_) return nullptr;
  ready_ = false;
  accepted_ = true;
  return stream_;
}

bool Http1Server::wants_read() const {
  if (over_ || input_ended_) return false;
  if (pending_.empty()) return true;
  // A body waits for its reader, but a pipelined request may come while one is answered.
  return (in_ == In::done || in_ == In::held) && pending_.size() < limits_.pipelined;
}

// ---- Writing ---------------------------------------------------------------------------------

bool Http1Server::has_output() const {
  if (stream_ == nullptr || !accepted_) return false;
  if (stream_->cancelled()) return true;
  if (out_ == Out::head) return stream_->departing_head() || stream_->departing_interim();
  if (out_ == Out::body) return !stream_->departing_body().empty() || stream_->departing_end();
  return false;
}

bool Http1Server::wants_write() const {
  return answer_.has_value() || !dirty_.list.empty() || has_output();
}

void Http1Server::write(Bytes& wire, size_t limit) {
  while (dirty_.take() != nullptr) {}  // recycles; the one open stream is looked at in any case
  if (stream_ != nullptr) stream_->take_credit();
  if (stream_ != nullptr && accepted_) advance(wire, limit);
  if (stream_ != nullptr) settle();
  resume_reading();
  if (answer_) {
    write_refusal(answer_->status,
                  to_string(answer_->status == 408 ? Code::request_timeout : answer_->why.code),
                  answer_->why.why, wire);
    answer_.reset();
  }
}

void Http1Server::resume_reading() {
  while (dirty_.take() != nullptr) {}
  if (stream_ != nullptr && stream_->cancelled()) cut();
  if (!over_) read_pending();
  end_reached();
  if (over_) pending_.clear();
}

void Http1Server::hold_back(size_t most) {
  most_held_ = most;
  if (stream_ != nullptr) stream_->limit_outbound(most, false);
}

// Puts on the wire what the handler has left.
void Http1Server::advance(Bytes& wire, size_t limit) {
  if (stream_->cancelled()) return cut();
  if (out_ == Out::head) {
    write_interims(wire);
    const Head* head = stream_->departing_head();
    if (head == nullptr) return;
    if (!write_head(*head, wire)) return;
    stream_->mark_head_departed();
    out_ = Out::body;
  }
  if (out_ == Out::body) write_body(wire, limit);
}

void Http1Server::write_interims(Bytes& wire) {
  const bool understood = stream_->head()->version != Version::http10;
  while (const Head* interim = stream_->departing_interim()) {
    if (interim->status == 100) continued_ = true;
    if (understood && interim->status != 101) write_interim_head(*interim, wire);
    stream_->interim_departed();
  }
}

// What the answer's end means for the connection is decided here, while it can still be said.
bool Http1Server::must_close(const Head& head) const {
  // Requests that came before the end of the input are still answered.
  if (close_ || retired_ || (input_ended_ && pending_.empty())) return true;
  // Declined. What came early, or may still be on its way to the other end of a CONNECT, was never
  // meant to be a request.
  if (in_ == In::held) return !pending_.empty() || stream_->head()->method == Method::connect;
  if (in_ != In::body) return false;
  // A client that waits for a 100 may send the body or the next request; nobody could tell.
  if (stream_->head()->expects_continue && !continued_) return true;
  if (!head.ended && !stream_->finished()) return false;
  return parser_.body_left().value_or(kDrain + 1) > kDrain;
}

// What the head announces. Whether bytes follow is another matter: not to HEAD, and not with 304.
BodyForm Http1Server::form_of(const Head& head) const {
  const Head& request = *stream_->head();
  if (head.status < 200 || head.status == 204) return {};
  if (request.method == Method::head || head.status == 304) {
    if (!head.content_length) return {};
    return {Coding::length, *head.content_length};
  }
  if (head.ended) return {Coding::length, 0};
  const bool chunks = request.version != Version::http10;
  if (head.content_length && !(chunks && announces_trailers(head))) {
    return {Coding::length, *head.content_length};
  }
  return {chunks ? Coding::chunked : Coding::raw, 0};
}

bool Http1Server::write_head(const Head& head, Bytes& wire) {
  const Head& request = *stream_->head();
  const bool success = head.status >= 200 && head.status < 300;
  if (head.status == 101 || (in_ == In::held && request.protocol.empty() && success)) {
    if (in_ != In::held || (head.status == 101) == request.protocol.empty()) {
      fail_and_cut({Code::internal, Origin::local, "an answer that nobody asked for: 101"});
      return false;
    }
    write_tunnel_head(head, wire);
    return true;
  }
  const BodyForm form = form_of(head);
  close_ = must_close(head) || form.coding == Coding::raw;
  close_said_ = close_;
  Persistence persistence = close_ ? Persistence::close : Persistence::implied;
  if (!close_ && request.version == Version::http10) persistence = Persistence::keep_alive;
  write_response_head(head, form, persistence, wire);
  const bool without_body = request.method == Method::head || head.status == 304;
  body_.begin(without_body ? BodyForm{} : form);
  return true;
}

void Http1Server::write_tunnel_head(const Head& head, Bytes& wire) {
  if (head.status == 101) {
    const Head& request = *stream_->head();
    std::string accept;  // an HTTP/2 upstream knows no key and leaves its digest to us
    if (request.protocol == kWebSocket && head.version == Version::http2) {
      accept = websocket_accept(request.fields.get(kWebSocketKey).value_or(""));
    }
    write_switching_head(head, request.protocol, accept, wire);
  } else {
    write_interim_head(head, wire);  // 2xx to CONNECT has no framing either
  }
  close_ = true;
  in_ = In::tunnel;
  body_.begin({Coding::raw, 0});
}

void Http1Server::write_body(Bytes& wire, size_t limit) {
  switch (body_.write(*stream_, wire, limit)) {
    case BodyWriter::Progress::waiting: return;
    case BodyWriter::Progress::broken:
      return fail_and_cut({Code::internal, Origin::local, "the body is not as long as announced"});
    case BodyWriter::Progress::ended: break;
  }
  out_ = Out::done;
  stream_->mark_departed();
}

// ---- Ends ------------------------------------------------------------------------------------

// Called when one of the two directions may have come to its end.
void Http1Server::settle() {
  if (out_ != Out::done || stream_ == nullptr) return;
  switch (in_) {
    case In::done: return end_exchange();
    case In::held:
      // The upgrade was declined. What came early was meant for the other protocol.
      if (!pending_.empty()) close_ = true;
      return body_complete();
    case In::body:
      if (stream_->released() && (close_said_ || drained_ > kDrain)) cut();
      return;
    case In::tunnel:
      if (stream_->released()) cut();
      return;
    case In::head:
    case In::closed: return;
  }
}

void Http1Server::end_exchange() {
  std::exchange(stream_, nullptr)->codec_closed();
  if (close_) return stop();
  out_ = Out::head;
  in_ = In::head;
  parser_.restart();
  if (retired_ && pending_.empty()) stop();
}

// Answers a request that no handler may see (any more), and ends the connection behind it.
void Http1Server::refuse(const Refusal& why, int status) {
  const bool answered = out_ == Out::head;
  if (answered) answer_ = Answer{status, why};
  const Code code = status == 408 ? Code::request_timeout : why.code;
  // Whoever holds the stream tells of it.
  if (stream_ == nullptr || !accepted_) note_refused({code, why.why, answered ? status : 0});
  fail_and_cut({code, Origin::downstream, why.why});
}

void Http1Server::fail_and_cut(Error why) {
  if (stream_ != nullptr) stream_->fail(std::move(why));
  cut();
}

// Ends the exchange and the connection wherever they are.
void Http1Server::cut() {
  broke_off_ = out_ == Out::body && body_.coding() == Coding::raw;
  if (Stream* stream = std::exchange(stream_, nullptr)) {
    if (accepted_) {
      stream->codec_closed();
    } else {
      stream->discard();
    }
  }
  stop();
}

// pending_ is let go of by those who may be reading from it.
void Http1Server::stop() {
  ready_ = false;
  in_ = In::closed;
  over_ = true;
}

void Http1Server::retire() {
  retired_ = true;
  if (stream_ == nullptr && !parser_.begun()) stop();
}

// The caller has closed its side although it had announced further requests, and nothing was written
// since that would tell whether it is still there.
bool Http1Server::abandoned() const {
  return input_ended_ && pending_.empty() && in_ == In::done && out_ == Out::head &&
         !close_announced_;
}

Codec::Waiting Http1Server::waiting() const {
  if (over_) return Waiting::handlers;
  if (in_ == In::head) return parser_.begun() ? Waiting::head : Waiting::idle;
  if (abandoned()) return Waiting::half_closed;
  if (in_ != In::body || !pending_.empty()) return Waiting::handlers;
  if (stream_->head()->expects_continue && !continued_) return Waiting::handlers;
  return Waiting::body;
}

void Http1Server::timed_out(Waiting what) {
  if (over_) return;
  switch (what) {
    case Waiting::head:
    case Waiting::body:
      if (in_ == In::head && !parser_.begun()) return;
      if (in_ != In::head && in_ != In::body) return;
      return refuse({Code::bad_request, "the request did not come in time"}, 408);
    case Waiting::idle:
      if (stream_ == nullptr) stop();
      return;
    case Waiting::half_closed:
      if (!abandoned()) return;
      return fail_and_cut({Code::closed, Origin::downstream, "the client has closed its connection"});
    case Waiting::handlers: return;
  }
}

}  // namespace tulle
