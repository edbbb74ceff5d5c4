#include "core/net/simulated_wire.hpp"

#include <algorithm>

namespace tulle {

namespace {

// Arrivals fall on a grid, so that some coincide and are parsed in one turn.
constexpr int64_t kGridNs = 10'000;

constexpr size_t kReadBuffer = 64 * 1024;
thread_local char read_buffer[kReadBuffer];

Instant on_grid(Instant when) {
  return {(when.ns + kGridNs - 1) / kGridNs * kGridNs};
}

Duration up_to(Duration most, Rng& rng) {
  if (most.count() <= 0)
    return Duration::zero();
  return Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>(most.count()) + 1)));
}

}  // namespace

class SimulatedSocket::Linger final : public SimulatedEvent {
 public:
  Linger(SimulatedClock& clock, SimulatedSocket& socket) : SimulatedEvent(clock), socket_(socket) {}

 private:
  void happen() override {
    socket_.other().enqueue(Kind::reset);
    socket_.close();
  }
  SimulatedSocket& socket_;
};

SimulatedSocket::SimulatedSocket(SimulatedClock& clock, SimulatedWire& wire, int side,
                                 Origin peer_is)
    : SimulatedEvent(clock), clock_(clock), wire_(wire), side_(side), peer_is_(peer_is) {}

SimulatedSocket::~SimulatedSocket() = default;

SimulatedSocket& SimulatedSocket::other() const {
  return wire_.socket(1 - side_);
}

void SimulatedSocket::open(SimulatedStream* owner) {
  ASSERT(is_gone() || phase_ == Phase::connecting);
  phase_ = Phase::open;
  stream_ = owner;
}

// ---- output

void SimulatedSocket::write(Bytes&& bytes) {
  if (phase_ == Phase::failed || output_ending_)
    return bytes.clear();
  unsent_.append(std::move(bytes));
}

void SimulatedSocket::shutdown() {
  output_ending_ = true;
}

size_t SimulatedSocket::room() const {
  const size_t capacity = wire_.link().capacity;
  const size_t used = other().arriving_bytes_ + other().inbox_.size();
  return used < capacity ? capacity - used : 0;
}

void SimulatedSocket::push_out() {
  if (phase_ != Phase::open)
    return;
  if (severed_) {
    if (!unsent_.empty())
      enqueue(Kind::reset);
    return unsent_.clear();
  }
  if (Bytes part = unsent_.take(room()); !part.empty())
    other().enqueue(Kind::data, std::move(part));
  if (!unsent_.empty() || !output_ending_ || output_ended_)
    return;
  output_ended_ = true;
  other().enqueue(Kind::end);
  close_when_finished();
}

// The other end has read: what waits here may move on.
void SimulatedSocket::made_room() {
  if (unsent_.empty() && !output_ending_)
    return;
  if (stream_ != nullptr) {
    stream_->flush_later();
  } else {
    push_out();
  }
}

// ---- input

void SimulatedSocket::enqueue(Kind kind, Bytes&& bytes) {
  const LinkOptions& link = wire_.link();
  const ChaosOptions& chaos = wire_.chaos();
  Rng& rng = clock_.rng();
  Instant when = clock_.now() + link.latency + up_to(link.jitter, rng);
  if (rng.chance(chaos.stall))
    when = when + up_to(chaos.stall_for, rng);
  last_arrival_ = std::max(last_arrival_, on_grid(when));
  arriving_bytes_ += bytes.size();
  arriving_.push_back(Segment{kind, last_arrival_, std::move(bytes)});
  reschedule();
}

void SimulatedSocket::forget_arriving() {
  arriving_.clear();
  arriving_bytes_ = 0;
  inbox_.clear();
  unsent_.clear();
}

void SimulatedSocket::resume() {
  reschedule();
}

bool SimulatedSocket::readable() const {
  if (stream_ == nullptr || stream_->reader_ == nullptr || phase_ != Phase::open)
    return false;
  return stream_->wanted_ && (!inbox_.empty() || (end_arrived_ && !stream_->end_told_));
}

// One event stands for both: the next arrival, and data that a reader has left lying.
void SimulatedSocket::reschedule() {
  if (readable())
    return schedule(clock_.now());
  if (arriving_.empty() || wire_.stalls())
    return cancel();
  schedule(arriving_.front().arrives);
}

void SimulatedSocket::wake_reader() {
  if (readable())
    reschedule();
}

void SimulatedSocket::happen() {
  while (!arriving_.empty() && arriving_.front().arrives <= clock_.now() && !wire_.stalls()) {
    Segment next = std::move(arriving_.front());
    arriving_.pop_front();
    take(std::move(next));
  }
  read_some();
}

void SimulatedSocket::take(Segment&& segment) {
  clock_.note("arrival", wire_.id() << 8 | static_cast<uint64_t>(side_) << 4 |
                             static_cast<uint64_t>(segment.kind));
  switch (segment.kind) {
    case Kind::syn:
      return wire_.arrived();
    case Kind::opened:
      if (phase_ != Phase::connecting)
        return;  // its owner has left
      phase_ = Phase::open;
      tell();
      return made_room();
    case Kind::refused:
      return fail(Code::connect_failed, "connect");
    case Kind::data:
      return take_data(std::move(segment.bytes));
    case Kind::end:
      end_arrived_ = true;
      return close_when_finished();
    case Kind::reset:
      return fail(Code::io_error, "read");
  }
}

void SimulatedSocket::take_data(Bytes&& bytes) {
  clock_.note("bytes", bytes.size());
  arriving_bytes_ -= bytes.size();
  const ChaosOptions& chaos = wire_.chaos();
  Rng& rng = clock_.rng();
  if (phase_ == Phase::closed) {
    if (!other().is_gone())
      other().enqueue(Kind::reset);
    return;
  }
  if (finishing_ || phase_ != Phase::open)
    return other().made_room();  // read and thrown away
  inbox_.append(std::move(bytes));
  if (rng.chance(chaos.reset))
    return wire_.cut(Cut::reset);
  if (rng.chance(chaos.close))
    return wire_.cut(Cut::close);
  if (rng.chance(chaos.black_hole))
    return wire_.cut(Cut::black_hole);
}

size_t SimulatedSocket::slice_size() {
  const size_t most = std::min(inbox_.size(), kReadBuffer);
  Rng& rng = clock_.rng();
  switch (wire_.link().slicing) {
    case LinkOptions::Slicing::whole:
      return most;
    case LinkOptions::Slicing::bytes:
      return 1;
    case LinkOptions::Slicing::seeded:
      break;
  }
  switch (rng.below(8)) {
    case 0:
      return 1;
    case 1:
      return std::min<size_t>(most, 1 + rng.below(16));
    case 2:
    case 3:
      return 1 + rng.below(most);
    default:
      return most;
  }
}

// One read, as of a socket that was found ready. The turn may end in anything, so nothing of this
// socket is touched after count_read().
void SimulatedSocket::read_some() {
  if (readable() && !inbox_.empty()) {
    const size_t count = inbox_.copy_to(read_buffer, slice_size());
    inbox_.drop(count);
    wire_.count_bytes(count);
    clock_.note("read", count);
    Loop& loop = stream_->loop_;
    tell_open();
    stream_->reader_->on_bytes(ByteView(read_buffer, count));
    tell();
    other().made_room();
    reschedule();
    return loop.count_read();
  }
  tell();
  reschedule();
}

// ---- what the reader hears besides bytes

void SimulatedSocket::tell_open() {
  if (stream_->open_told_ || phase_ != Phase::open)
    return;
  stream_->open_told_ = true;
  stream_->reader_->on_open();
}

void SimulatedSocket::tell() {
  SimulatedStream* stream = stream_;
  if (stream == nullptr || stream->reader_ == nullptr)
    return;
  if (stream->end_told_)
    return tell_lost();
  tell_open();
  const bool orderly = phase_ == Phase::open && end_arrived_ && inbox_.empty() && stream->wanted_;
  if (failure_ == nullptr && !orderly)
    return;
  stream->end_told_ = true;
  stream->lost_told_ = failure_ != nullptr;
  stream->reader_->on_end(failure_ != nullptr ? std::optional(*failure_) : std::nullopt);
}

void SimulatedSocket::tell_lost() {
  if (stream_->lost_told_ || failure_ == nullptr)
    return;
  stream_->lost_told_ = true;
  stream_->reader_->on_lost(*failure_);
}

void SimulatedSocket::fail(Code code, std::string_view what) {
  if (phase_ == Phase::failed || phase_ == Phase::closed)
    return;
  forget_arriving();
  phase_ = Phase::failed;
  const char* reason =
      code == Code::connect_failed ? "connection refused" : "connection reset by peer";
  failure_ = std::make_unique<Error>(
      Error{code, peer_is_, std::string(what) + " " + peer.to_string() + ": " + reason});
  if (finishing_)
    return close();
  tell();  // whoever waits to be accepted is told after that
}

// ---- end

// The owner is gone. Bytes that nobody will read any more make it a reset, as in a kernel.
void SimulatedSocket::close() {
  stream_ = nullptr;
  if (phase_ == Phase::closed)
    return;
  const bool was_alive = phase_ == Phase::open || phase_ == Phase::connecting;
  const bool unread = !inbox_.empty();
  phase_ = Phase::closed;
  inbox_.clear();
  unsent_.clear();
  if (linger_ != nullptr)
    linger_->cancel();
  if (was_alive && !severed_) {
    if (unread) {
      other().enqueue(Kind::reset);
    } else if (!output_ended_) {
      other().enqueue(Kind::end);
    }
  }
  output_ended_ = true;
  wire_.reap_later();
}

void SimulatedSocket::abort() {
  const bool was_alive = phase_ == Phase::open || phase_ == Phase::connecting;
  if (was_alive && !std::exchange(severed_, true))
    other().enqueue(Kind::reset);
  close();
}

void SimulatedSocket::finish(Duration linger) {
  stream_ = nullptr;
  if (phase_ == Phase::failed)
    return close();
  finishing_ = true;
  output_ending_ = true;
  inbox_.clear();
  linger_ = std::make_unique<Linger>(clock_, *this);
  linger_->schedule(clock_.now() + linger);
  push_out();
  other().made_room();
}

void SimulatedSocket::close_when_finished() {
  if (finishing_ && end_arrived_ && output_ended_)
    close();
}

std::string SimulatedSocket::missed_progress() const {
  const std::string who =
      "connection " + std::to_string(wire_.id()) + " side " + std::to_string(side_);
  if (readable() && !scheduled())
    return who + " has bytes for a reader and no event";
  // Towards somebody who has closed nothing more needs to go: a reset or an end is on its way.
  const bool heard = !other().is_gone();
  const bool may_send = heard && phase_ == Phase::open && !unsent_.empty() && room() > 0;
  if (may_send)
    return who + " has bytes to send, room for them and no flush";
  return {};
}

}  // namespace tulle
