#include "core/net/tls_stream.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "core/base/input_block.hpp"
#include "core/base/memory_budget.hpp"
#include "core/net/tls_words.hpp"

namespace tulle {

namespace {

constexpr size_t kRecord = 16 * 1024;             // the most plaintext a record can hold
constexpr size_t kWorthItsOwnRecord = 12 * 1024;  // copying costs more than a second record
constexpr size_t kHandshakeHold = 64 * 1024;      // more than a whole flight with the longest chain
constexpr uint8_t kMaxDatalessRecords = 32;
constexpr Duration kAlertLinger = 1s;

thread_local char thread_gather[kRecord];

// Plaintext on its way to the reader: small records together, a large one by itself, while it is still
// in the cache. Whoever keeps most of a record keeps it where it lies, and with it the whole block:
// that must not be much more, or queues would hold a multiple of what they are allowed to.
constexpr size_t kMostOfRecord = kRecord / 4 * 3;
InputBlock& plaintext_of_thread() {
  static thread_local InputBlock block(kRecord, kMostOfRecord);
  return block;
}
thread_local bool thread_plaintext_taken = false;

// TLS inside TLS decrypts while its own input lies in the thread's block; it gets another one.
class PlaintextLease {
 public:
  PlaintextLease() : owns_thread_block_(!std::exchange(thread_plaintext_taken, true)) {
    if (!owns_thread_block_) other_ = std::make_unique<char[]>(kRecord);
  }
  ~PlaintextLease() {
    if (owns_thread_block_) thread_plaintext_taken = false;
  }
  PlaintextLease(const PlaintextLease&) = delete;
  PlaintextLease& operator=(const PlaintextLease&) = delete;
  // Where to decrypt to; ask again after handing over what was there.
  char* begin() { return owns_thread_block_ ? plaintext_of_thread().begin() : other_.get(); }

 private:
  const bool owns_thread_block_;
  std::unique_ptr<char[]> other_;
};

// The next record's plaintext: a slice as it lies, or small slices copied side by side.
ByteView next_record(const Bytes& plain) {
  const ByteView front = plain.front();
  if (front.size() >= kWorthItsOwnRecord || front.size() == plain.size()) {
    return front.substr(0, kRecord);
  }
  return ByteView(thread_gather, plain.copy_to(thread_gather, kRecord));
}

}  // namespace

std::unique_ptr<ByteStream> make_tls_stream(Loop& loop, std::unique_ptr<ByteStream> inner,
                                            std::shared_ptr<const TlsContext> context) {
  ASSERT(inner != nullptr && context != nullptr);
  // There is one implementation of TlsContext; its factories make nothing else.
  auto ours = std::static_pointer_cast<const OpenSslContext>(std::move(context));
  return std::make_unique<TlsStream>(loop, std::move(inner), std::move(ours));
}

TlsStream::TlsStream(Loop& loop, std::unique_ptr<ByteStream> inner,
                     std::shared_ptr<const OpenSslContext> context)
    : Task(loop),
      Flusher(loop, Flusher::Stage::write),
      inner_(std::move(inner)),
      context_(std::move(context)) {
  account(kSilentCharge);
}

TlsStream::~TlsStream() {
  ASSERT(!calling_reader_);  // readers record; they destroy nothing from inside a call
  account(0);
  // A peer whom we have refused gets to read why: closing now could turn the alert into a reset.
  const bool gone = inner_ended_ && inner_why_.has_value();
  if (phase_ != Phase::failed || session_ == nullptr || gone || inner_ == nullptr)
    return;
  hand_on_records();
  ByteStream::finish(std::move(inner_), kAlertLinger);
}

void TlsStream::account(uint32_t bytes) {
  MemoryMeter::of_thread().charge(MemoryUse::tls, int64_t{bytes} - std::exchange(charged_, bytes));
}

void TlsStream::start(ByteStream::Reader& reader) {
  const bool first = reader_ == nullptr;
  reader_ = &reader;
  if (first)
    return inner_->start(*this);
  open_told_ = false;
  end_told_ = false;
  lost_told_ = false;
  wake();
}

void TlsStream::want_read(bool wanted) {
  if (wanted_ == wanted)
    return;
  wanted_ = wanted;
  // What OpenSSL and the wire still hold comes first; the peer may have nothing more to send.
  if (wanted && (has_undelivered() || end_known_ || inner_ended_)) {
    wake();
  } else {
    update_inner_reading();
  }
}

void TlsStream::write(Bytes&& bytes) {
  if (phase_ == Phase::failed || output_ != Output::on)
    return bytes.clear();
  plain_.append(std::move(bytes));
  if (phase_ == Phase::open)
    flush_later();
  above_mark_ = above_mark_ || backlog() > kBacklogMark;
}

size_t TlsStream::backlog() const {
  return plain_.size() + wire_.out.size() + inner_->backlog();
}

void TlsStream::shutdown() {
  if (output_ != Output::on)
    return;
  output_ = Output::ending;
  if (phase_ == Phase::open)
    flush_later();
}

void TlsStream::finish_detached(Duration linger) {
  if (phase_ == Phase::open && output_ != Output::over) {
    output_ = Output::ending;
    seal();
  }
  hand_on_records();
  ByteStream::finish(std::move(inner_), linger);
}

const PeerIdentity* TlsStream::peer_identity() const {
  return phase_ == Phase::open ? verdict_.identity.get() : nullptr;
}

ByteView TlsStream::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  if (session_ != nullptr)
    SSL_get0_alpn_selected(session_.get(), &name, &size);
  return size > 0 ? ByteView(reinterpret_cast<const char*>(name), size) : ByteView();
}

// ---- the inner stream's reader --------------------------------------------------------------

void TlsStream::on_open() {
  if (phase_ != Phase::waiting)
    return;
  phase_ = Phase::handshaking;
  wake();
}

void TlsStream::on_bytes(ByteView bytes) {
  if (phase_ == Phase::waiting)
    phase_ = Phase::handshaking;
  if (phase_ == Phase::handshaking) {
    wire_.keep(bytes);
    update_inner_reading();
    wake();
    return;
  }
  if (phase_ == Phase::failed || end_known_)
    return;  // after the end nothing counts
  if (has_undelivered()) {
    wire_.keep(bytes);
  } else {
    wire_.lend(bytes);
    pull();
    wire_.keep_rest();
  }
  update_inner_reading();
}

// What has arrived before the end comes before the end, so run() decides.
void TlsStream::on_end(std::optional<Error> why) {
  inner_ended_ = true;
  inner_why_ = std::move(why);
  wake();
}

void TlsStream::on_lost(Error why) {
  inner_why_ = std::move(why);
  wake();
}

void TlsStream::on_drain() {
  inner_above_mark_ = false;
  tell_drain();
}

// All that we were given has been sealed by then.
void TlsStream::on_congested(bool congested) {
  calling_reader_ = true;
  reader_->on_congested(congested);
  calling_reader_ = false;
}

// ---- progress -------------------------------------------------------------------------------

void TlsStream::run() {
  if (phase_ == Phase::handshaking)
    advance_handshake();
  tell_open();
  if (phase_ == Phase::open && has_undelivered())
    pull();
  if (inner_ended_)
    conclude();
  tell_end();
  tell_lost();
  tell_drain();
  update_inner_reading();
  if (!wire_.out.empty())
    flush_later();
}

bool TlsStream::has_undelivered() const {
  if (wire_.unread() > 0)
    return true;
  // Records that OpenSSL has decrypted in part. It reads no further than the record at hand.
  return session_ != nullptr && SSL_pending(session_.get()) > 0;
}

void TlsStream::hand_over(ByteView plain) {
  if (plain.empty())
    return;
  tell_open();
  calling_reader_ = true;
  reader_->on_bytes(plain);
  calling_reader_ = false;
}

// Decrypts until the reader has enough or nothing is left.
void TlsStream::pull() {
  if (end_known_)
    return wire_.discard();
  PlaintextLease lease;
  char* plain = lease.begin();
  size_t filled = 0;
  drop_tls_failures();
  while (wanted_ && has_undelivered()) {
    size_t got = 0;
    const int outcome = SSL_read_ex(session_.get(), plain + filled, kRecord - filled, &got);
    if (outcome == 1) {
      dataless_records_ = 0;
      filled += got;
      if (filled < kMostOfRecord)
        continue;
    } else if (reading_goes_on(outcome)) {
      continue;
    }
    hand_over(ByteView(plain, filled));
    filled = 0;
    if (outcome != 1)
      break;
    plain = lease.begin();
    drop_tls_failures();
  }
  hand_over(ByteView(plain, filled));
  tell_end();
  if (!wire_.out.empty())
    flush_later();
}

// After a read without data: true when the next record may be tried, false when input is used up
// or over. Errors are noted, and told after the data before them was handed over.
bool TlsStream::reading_goes_on(int outcome) {
  switch (SSL_get_error(session_.get(), outcome)) {
    case SSL_ERROR_WANT_READ:
      if (!has_undelivered())
        return false;
      if (++dataless_records_ <= kMaxDatalessRecords)
        return true;
      fail(Error{Code::protocol_error, context_->peer(), "too many TLS records without data"});
      return false;
    case SSL_ERROR_ZERO_RETURN:
      wire_.discard();
      note_end(std::nullopt);
      return false;
    default:
      fail(Error{Code::tls_failed, context_->peer(), take_tls_failure("broken TLS record")});
      return false;
  }
}

// The inner stream has ended. Held data goes first; an error does not wait for a paused reader.
void TlsStream::conclude() {
  if (end_known_ || phase_ == Phase::failed)
    return;
  if (phase_ == Phase::open) {
    if (has_undelivered() && (wanted_ || !inner_why_.has_value()))
      return;
    note_end(inner_why_.has_value() ? inner_why_
                                    : Error{Code::closed, context_->peer(),
                                            "truncated: connection closed without close_notify"});
    return;
  }
  if (phase_ == Phase::waiting && inner_why_.has_value())
    return note_end(inner_why_);
  if (step_deferred_)
    return;  // a flight has arrived whole and may hold an alert
  std::string detail = "connection closed during the TLS handshake";
  if (inner_why_.has_value())
    detail += ": " + inner_why_->detail;
  fail(Error{Code::tls_failed, context_->peer(), std::move(detail)});
}

void TlsStream::note_end(std::optional<Error> why) {
  if (end_known_)
    return;
  end_known_ = true;
  end_why_ = std::move(why);
  if (!calling_reader_)
    wake();
}

void TlsStream::tell_open() {
  if (open_told_ || phase_ != Phase::open)
    return;
  open_told_ = true;
  calling_reader_ = true;
  reader_->on_open();
  calling_reader_ = false;
}

void TlsStream::tell_end() {
  if (!end_known_ || end_told_)
    return;
  if (!wanted_ && !end_why_.has_value())
    return;  // an orderly end waits for the reader
  end_told_ = true;
  lost_told_ = end_why_.has_value();
  calling_reader_ = true;
  reader_->on_end(end_why_);
  calling_reader_ = false;
}

// After an orderly end of TLS the wire can still break.
void TlsStream::tell_lost() {
  if (!end_told_ || lost_told_ || !inner_why_.has_value())
    return;
  lost_told_ = true;
  calling_reader_ = true;
  reader_->on_lost(*inner_why_);
  calling_reader_ = false;
}

// Who is below its mark says nothing when it falls further, so a backlog that the inner stream does
// not announce is told of as soon as it is at the mark.
void TlsStream::tell_drain() {
  if (!above_mark_ || inner_above_mark_ || backlog() > kBacklogMark)
    return;
  above_mark_ = false;
  calling_reader_ = true;
  reader_->on_drain();
  calling_reader_ = false;
}

void TlsStream::update_inner_reading() {
  bool wanted = true;
  switch (phase_) {
    case Phase::waiting:
      break;
    case Phase::handshaking:
      wanted = wire_.unread() < kHandshakeHold;
      break;
    case Phase::open:
      wanted = wanted_ && !end_known_ && !has_undelivered();
      break;
    case Phase::failed:
      break;  // read and dropped, so that the peer can read our alert
  }
  if (wanted == inner_wanted_ || inner_ended_)
    return;
  inner_wanted_ = wanted;
  inner_->want_read(wanted);
}

// ---- the write stage ------------------------------------------------------------------------

void TlsStream::flush() {
  if (step_deferred_) {
    step_deferred_ = false;
    wake();
  }
  if (phase_ == Phase::open)
    seal();
  hand_on_records();
  // Records are longer than what they carry: a backlog that was just below the mark may be above it
  // now, and whoever sees that waits for on_drain().
  if (backlog() > kBacklogMark) {
    above_mark_ = true;
  } else if (above_mark_ && !inner_above_mark_) {
    wake();
  }
}

// Turns everything queued into records, and ends the output when that was asked for.
void TlsStream::seal() {
  drop_tls_failures();
  while (!plain_.empty()) {
    const ByteView record = next_record(plain_);
    size_t taken = 0;
    if (SSL_write_ex(session_.get(), record.data(), record.size(), &taken) != 1) {
      return fail(Error{Code::tls_failed, context_->peer(), take_tls_failure("cannot encrypt")});
    }
    plain_.drop(taken);
  }
  if (output_ != Output::ending)
    return;
  output_ = Output::over;
  SSL_shutdown(session_.get());
  drop_tls_failures();
}

void TlsStream::hand_on_records() {
  if (inner_ended_ && inner_why_.has_value())
    return wire_.out.clear();
  if (!wire_.out.empty()) {
    inner_->write(std::move(wire_.out));
    inner_above_mark_ = inner_above_mark_ || inner_->backlog() > kBacklogMark;
  }
  if (output_ != Output::over)
    return;
  output_ = Output::handed_on;
  inner_->shutdown();
}

}  // namespace tulle
