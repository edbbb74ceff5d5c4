#include "core/http/connection.hpp"

#include <algorithm>
#include <utility>

#include "core/http/http2_preface.hpp"
#include "core/http/roster.hpp"
#include "core/net/loop.hpp"

namespace tulle {
namespace {

// A codec is asked for a little more than the byte stream's mark, so that a codec which stops short
// has put the backlog above the mark, and on_drain() is certain to come.
constexpr size_t kWriteSlack = 64 * 1024;

// What waits for a peer that takes no more, in the backlog and in streams, beyond what it did not take of
// the turn in which that showed.
constexpr size_t kOwed = 16 * 1024;

bool names_http2(ByteView alpn) { return alpn == "h2" || alpn == "tulle-h2"; }
bool names_http1(ByteView alpn) { return alpn == "http/1.1" || alpn == "tulle-http/1.1"; }

}  // namespace

Connection::Connection(Loop& loop, std::unique_ptr<ByteStream> bytes, Options options)
    : Task(loop),
      Flusher(loop, Stage::frame),
      bytes_(std::move(bytes)),
      options_(std::move(options)),
      timer_(*this),
      peer_address_(bytes_->peer_address()),
      opened_at_(loop.now()),
      last_used_(opened_at_),
      watched_since_(opened_at_) {
  bytes_->start(*this);
  settle();
}

Connection::~Connection() {
  if (roster_ != nullptr) roster_->move(*this, Standing::none);
}

// ---- what the byte stream says: recorded, never acted upon -----------------------------------

void Connection::on_open() {
  if (phase_ != Phase::opening) return;
  if (options_.tls != nullptr) {
    // run() begins the handshake. Until then nothing is read: the first bytes are for TLS.
    tls_due_ = true;
    bytes_->want_read(false);
    return wake();
  }
  connected_ = true;
  watched_since_ = loop_.now();
  if (!choose_by_name() && options_.role == Codec::Role::client) install(Protocol::http1);
  settle();
}

void Connection::on_bytes(ByteView bytes) {
  if (phase_ == Phase::opening) {
    if (!detect(bytes)) return settle();
  }
  if (phase_ == Phase::serving) feed(bytes);
}

void Connection::on_end(std::optional<Error> why) {
  end_seen_ = true;
  end_why_ = std::move(why);
  wake();
}

// A half-closed peer has left: its end is looked at again, now with a reason.
void Connection::on_lost(Error why) {
  input_ended_ = false;
  on_end(std::move(why));
}

void Connection::on_drain() {
  if (phase_ == Phase::serving) flush_later();
}

void Connection::on_congested(bool congested) {
  congested_ = congested;
  if (phase_ != Phase::serving) return;
  const size_t backlog = bytes_->backlog();
  codec_->hold_back(!congested ? SIZE_MAX : backlog < kOwed ? (kOwed - backlog) / 2 : 0);
  if (!congested) flush_later();
}

void Connection::feed(ByteView bytes) {
  if (ending_) return;
  if (watching_ == Codec::Waiting::body) watched_since_ = loop_.now();
  const size_t before = codec_->dirty().alive;
  Result<void> outcome = codec_->read(bytes, loop_.now());
  if (!outcome) {
    failure_ = std::move(outcome.error());
    ending_ = true;
  }
  if (codec_->dirty().alive > before) loop_.count_requests(codec_->dirty().alive - before);
  take_accepted();
  if (ending_ || codec_->wants_write() || codec_->finished()) flush_later();
  if (codec_->has_refused()) wake();
  settle();
}

void Connection::take_accepted() {
  if (options_.service == nullptr || accepted_ != nullptr) return;
  accepted_.reset(codec_->accept());
  if (accepted_ != nullptr) wake();
}

// ---- the protocol ----------------------------------------------------------------------------

// What was declared, unless TLS has negotiated: that binds both sides.
bool Connection::choose_by_name() {
  const ByteView alpn = bytes_->alpn();
  if (options_.protocol == Protocol::opaque) {
    install(Protocol::opaque);
  } else if (names_http2(alpn)) {
    install(Protocol::http2);
  } else if (names_http1(alpn)) {
    install(Protocol::http1);
  } else if (options_.protocol != Protocol::negotiated) {
    install(options_.protocol);
  } else {
    return false;
  }
  return true;
}

// Server: looks for the HTTP/2 preface, however it is cut up. False: not yet known.
bool Connection::detect(ByteView bytes) {
  if (options_.role == Codec::Role::client) return false;
  if (choose_by_name()) return true;
  if (sniffed_.empty()) watched_since_ = loop_.now();
  const ByteView expected = kHttp2Preface.substr(sniffed_.size());
  const size_t compared = std::min(expected.size(), bytes.size());
  const bool matches = bytes.substr(0, compared) == expected.substr(0, compared);
  if (matches && compared < expected.size()) {
    sniffed_.append(bytes);
    watching_ = Codec::Waiting::head;
    return false;
  }
  install(matches ? Protocol::http2 : Protocol::http1);
  if (!sniffed_.empty()) {
    const std::string begun = std::exchange(sniffed_, {});
    feed(begun);
  }
  return true;
}

void Connection::install(Protocol protocol) {
  ASSERT(codec_ == nullptr);
  if (protocol == Protocol::opaque) {
    codec_ = make_opaque_client(*options_.limits);
  } else {
    const auto make = protocol == Protocol::http2 ? &make_http2_codec : &make_http1_codec;
    codec_ = make(options_.role, *options_.limits, options_.scheme);
  }
  codec_->dirty().flusher = this;
  codec_->dirty().original = options_.original.get();
  phase_ = Phase::serving;
  opened_at_ = loop_.now();
  watching_ = codec_->waiting();
  watched_since_ = streams_checked_at_ = opened_at_;
  if (retiring_) codec_->retire();
  if (codec_->wants_write()) flush_later();
}

Protocol Connection::protocol() const {
  if (codec_ == nullptr) return options_.protocol;
  return codec_->version() == Version::http2 ? Protocol::http2 : Protocol::http1;
}

// ---- client role -----------------------------------------------------------------------------

bool Connection::available() const {
  return phase_ == Phase::serving && options_.role == Codec::Role::client && !retiring_ &&
         !ending_ && !end_seen_ && !codec_->finished() &&
         codec_->open_streams() < codec_->stream_limit();
}

StreamRef Connection::open() {
  if (!available()) return nullptr;
  StreamRef stream(codec_->open());
  if (stream == nullptr) {  // nor any more
    flush_later();
    settle();
    return nullptr;
  }
  stream->set_reused_connection(streams_opened_ > 0);
  stream->set_peer(peer_identity());
  ++streams_opened_;
  last_used_ = loop_.now();
  settle();
  return stream;
}

size_t Connection::open_streams() const { return codec_ == nullptr ? 0 : codec_->open_streams(); }
size_t Connection::stream_limit() const { return codec_ == nullptr ? 0 : codec_->stream_limit(); }

// ---- the turn --------------------------------------------------------------------------------

void Connection::run() {
  if (phase_ == Phase::over) return;
  if (tls_due_) begin_tls();
  if (timer_.fired()) on_deadline();
  if (end_seen_ && !input_ended_) take_end();
  serve_accepted();
  report_refused();
  conclude();
  settle();
}

void Connection::begin_tls() {
  tls_due_ = false;
  if (phase_ != Phase::opening || end_seen_) return;
  bytes_->want_read(true);
  options_.open_timeout = options_.tls_handshake_timeout;
  watched_since_ = loop_.now();
  bytes_ = make_tls_stream(loop_, std::move(bytes_), std::exchange(options_.tls, nullptr));
  connected_ = true;
  bytes_->start(*this);
}

// Each new stream gets its handler, which runs in the same round: it is behind us in the queue.
void Connection::serve_accepted() {
  while (accepted_ != nullptr) {
    Stream& stream = *accepted_;
    stream.set_peer(peer_identity());
    last_used_ = loop_.now();
    ++streams_opened_;
    std::unique_ptr<Task> handler = options_.service->serve(std::move(accepted_));
    if (handler != nullptr) {
      handler->wake();
      stream.set_handler(std::move(handler));
    }
    accepted_.reset(codec_->accept());
  }
}

void Connection::report_refused() {
  if (codec_ == nullptr || !codec_->has_refused()) return;
  const std::vector<Refused> all = codec_->take_refused();
  if (options_.service == nullptr) return;
  for (const Refused& each : all) options_.service->refused(each, *this);
}

void Connection::take_end() {
  input_ended_ = true;
  if (phase_ == Phase::opening) {
    return abandon(end_why_ ? std::move(*end_why_)
                            : Error{Code::connect_failed, Origin::upstream,
                                    "the peer closed the connection before it was of use"});
  }
  if (phase_ == Phase::closing) {
    wire_lost_ = wire_lost_ || end_why_.has_value();
    return;
  }
  if (end_why_) {
    Error why = named_for_streams(std::move(*end_why_));
    codec_->end_of_input(why);
    wire_lost_ = true;
    return abandon(std::move(why));
  }
  // Half closed: an HTTP/1 client may still read its answer. The codec is finished when all is said.
  codec_->end_of_input(std::nullopt);
  take_accepted();
  flush_later();
}

// Whose fault the loss of the wire is depends on which side of us the peer stands.
Error Connection::named_for_streams(Error why) const {
  const bool server = options_.role == Codec::Role::server;
  return {server ? Code::closed : Code::upstream_reset,
          server ? Origin::downstream : Origin::upstream, std::move(why.detail)};
}

// Also after the wire has ended: then the codec only notices which streams have been let go.
void Connection::flush() {
  if (codec_ == nullptr) return;
  if (phase_ == Phase::serving) {
    write_out();
  } else {
    codec_->write(wire_, SIZE_MAX);
    wire_.clear();
  }
  report_refused();
  conclude();
  settle();
}

void Connection::write_out() {
  const size_t backlog = bytes_->backlog();
  if ((backlog < ByteStream::kBacklogMark && !congested_) || ending_) {
    codec_->write(wire_, ByteStream::kBacklogMark + kWriteSlack - std::min(backlog, ByteStream::kBacklogMark));
    if (!wire_.empty()) {
      if (owed_since_ == kNever) {
        owed_since_ = loop_.now();
        taken_at_mark_ = written_ - backlog;
      }
      written_ += wire_.size();
      bytes_->write(std::move(wire_));
    }
  } else {
    codec_->resume_reading();
  }
  take_accepted();
  if (ending_ || (codec_->must_close_after_flush() && !codec_->wants_write())) return close_politely();
  if (codec_->output_ended()) bytes_->shutdown();
}

// ---- endings ---------------------------------------------------------------------------------

void Connection::retire() {
  if (retiring_) return;
  retiring_ = true;
  if (phase_ == Phase::serving) {
    codec_->retire();
    flush_later();
  } else if (phase_ == Phase::opening && sniffed_.empty()) {
    abandon({Code::draining, Origin::local, "retired before it was of use"});
  }
  settle();
}

void Connection::close_now(Code why) {
  if (phase_ == Phase::opening) return abandon({why, Origin::local, "closed by its owner"});
  if (phase_ != Phase::serving) return;
  failure_ = Error{why, Origin::local, "closed by its owner"};
  codec_->end_of_input(failure_);
  ending_ = true;
  flush_later();
  settle();
}

void Connection::cut_off(Error why) {
  if (phase_ == Phase::over) return;
  wire_lost_ = true;
  if (phase_ == Phase::serving) codec_->end_of_input(why);
  abandon(std::move(why));
}

// Nothing more is sent or read. run() or flush() ends it when the handlers have let go.
void Connection::abandon(Error why) {
  failure_ = std::move(why);
  phase_ = Phase::closing;
  flush_later();  // there the codec notices streams that were let go while nothing could be written
  wake();
}

// The end of output goes out at once. The byte stream itself stays until the handlers have let go,
// because streams show its peer's identity.
void Connection::close_politely() {
  if (codec_->open_streams() > 0) {
    const Error why = failure_ ? *failure_ : Error{Code::draining, Origin::local, "closing"};
    codec_->end_of_input(why);
  }
  if (!codec_->broke_off()) bytes_->shutdown();
  phase_ = Phase::closing;
}

// Over when every stream has been let go and the last byte has left us.
void Connection::conclude() {
  if (phase_ != Phase::closing || accepted_ != nullptr) return;
  if (codec_ != nullptr && codec_->dirty().alive > 0) return;
  if (codec_ != nullptr && !wire_lost_ && !last_bytes_gone()) return;
  phase_ = Phase::over;
  timer_.disarm();
  deadline_ = kNever;
  // A server lets the peer read its last bytes. A client has nothing more to say, and what still
  // comes is unwanted: the server shall notice at once that nobody listens.
  if (codec_ == nullptr || wire_lost_ || options_.role == Codec::Role::client) {
    bytes_.reset();
  } else if (codec_->broke_off()) {
    ByteStream::abort(std::move(bytes_));
  } else {
    ByteStream::finish(std::move(bytes_), options_.limits->linger);
  }
}

// This turn's write stage is waited for in any case: it sends the end of output. A slow peer is
// looked after by the timer. What is left of a cancelled HTTP/1 request is not worth sending.
bool Connection::last_bytes_gone() {
  if (codec_->broke_off()) return true;
  const bool client = options_.role == Codec::Role::client;
  const bool backlog = bytes_->backlog() > 0;
  if ((backlog || client) && !std::exchange(last_bytes_due_, true)) {
    defer();
    return false;
  }
  return !backlog || (client && protocol() == Protocol::http1 && !codec_->owes_output());
}

// ---- after everything that may have changed something ----------------------------------------

void Connection::settle() {
  update_reading();
  update_timer();
  const Standing standing = standing_now();
  if (standing == standing_) return;
  if (roster_ != nullptr) roster_->move(*this, standing);
  const Standing former = std::exchange(standing_, standing);
  if (options_.owner == nullptr) return;
  const bool client = options_.role == Codec::Role::client;
  bool owner_cares = standing == Standing::over || (client && former == Standing::opening);
  if (standing == Standing::available) {
    last_used_ = loop_.now();
    owner_cares = owner_cares || roster_ == nullptr || roster_->awaited ||
                  roster_->available_count() > roster_->keep_available;
  }
  if (owner_cares) options_.owner->wake();
}

Connection::Standing Connection::standing_now() const {
  if (phase_ == Phase::over) return Standing::over;
  if (phase_ == Phase::opening) return Standing::opening;
  return available() ? Standing::available : Standing::occupied;
}

// Only the codec can have enough. Not reading because the peer does not read would be a deadlock
// as soon as both sides do it; what arrives meanwhile is bounded by the codec, which is not asked to
// write while the backlog is high.
void Connection::update_reading() {
  if (phase_ != Phase::serving) return;
  if (codec_->most_per_read() != read_limit_) bytes_->limit_read(read_limit_ = codec_->most_per_read());
  const bool wanted = codec_->wants_read();
  if (wanted == reading_) return;
  reading_ = wanted;
  bytes_->want_read(wanted);
}

}  // namespace tulle
