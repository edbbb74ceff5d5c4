#include "core/net/memory_stream.hpp"

#include <algorithm>

namespace tulle {

namespace {

constexpr int kSlicesPerRun = 64;

// What was written in pieces is read in one, as from a socket.
constexpr size_t kReadBuffer = 64 * 1024;
thread_local char read_buffer[kReadBuffer];

}  // namespace

MemoryStream::MemoryStream(Loop& loop, const MemoryStreamOptions& options, Origin peer_is)
    : Task(loop),
      Flusher(loop, Flusher::Stage::write),
      peer_is_(peer_is),
      capacity_(options.capacity),
      slice_(options.slice) {}

MemoryStream::Pair MemoryStream::pair(Loop& loop, const MemoryStreamOptions& options) {
  Pair ends;
  ends.first.reset(new MemoryStream(loop, options, Origin::upstream));
  ends.second.reset(new MemoryStream(loop, options, Origin::downstream));
  ends.first->peer_ = ends.second.get();
  ends.second->peer_ = ends.first.get();
  const Address client = *Address::parse("127.0.0.1", 50000);
  const Address server = *Address::parse("127.0.0.1", 80);
  ends.first->local_address_ = ends.second->peer_address_ = client;
  ends.second->local_address_ = ends.first->peer_address_ = server;
  return ends;
}

MemoryStream::~MemoryStream() {
  if (peer_ == nullptr)
    return;
  if (!inbox_.empty()) {
    peer_->fail();
  } else if (!output_ended_) {
    peer_->input_ended_ = true;
    peer_->wake();
  }
  peer_->abandoned_ = true;
  leave();
}

void MemoryStream::leave() {
  peer_->peer_ = nullptr;
  peer_->unsent_.clear();  // like a kernel's: lost, and the writer does not wait for room
  peer_->wake();
  peer_ = nullptr;
}

void MemoryStream::start(Reader& reader) {
  reader_ = &reader;
  open_told_ = false;
  end_told_ = false;
  lost_told_ = false;
  congested_told_ = false;
  wake();
}

void MemoryStream::want_read(bool wanted) {
  wanted_ = wanted;
  if (wanted)
    wake();
}

void MemoryStream::write(Bytes&& bytes) {
  if (abandoned_ && !bytes.empty())
    fail();
  if (peer_ == nullptr || failure_.has_value() || output_ending_)
    return bytes.clear();
  unsent_.append(std::move(bytes));
  above_mark_ = above_mark_ || backlog() >= kBacklogMark;
  flush_later();
}

void MemoryStream::shutdown() {
  output_ending_ = true;
  flush_later();
}

void MemoryStream::reset() {
  if (peer_ != nullptr)
    peer_->fail();
  fail();
}

void MemoryStream::fail() {
  if (failure_.has_value())
    return;
  failure_ = Error{Code::io_error, peer_is_, "connection reset by peer"};
  unsent_.clear();
  wake();
}

// What fits on the way; the rest goes when the other end has taken some.
void MemoryStream::flush() {
  if (peer_ == nullptr || failure_.has_value())
    return;
  const size_t held = peer_->inbox_.size();
  send(held < capacity_ ? capacity_ - held : 0);
  tell_congested();
  if (!unsent_.empty())
    return;
  if (!output_ending_ || output_ended_)
    return;
  output_ended_ = true;
  peer_->input_ended_ = true;
  peer_->wake();
}

void MemoryStream::tell_congested() {
  if (reader_ == nullptr || congested_told_ == !unsent_.empty())
    return;
  congested_told_ = !congested_told_;
  reader_->on_congested(congested_told_);
}

void MemoryStream::send(size_t max) {
  Bytes part = unsent_.take(max);
  if (part.empty())
    return;
  ++writes_sent_;
  if (tap_ != nullptr)
    *tap_ += part.to_string();
  peer_->inbox_.append(std::move(part));
  peer_->wake();
  if (above_mark_)
    wake();
}

// The remaining bytes go at once, beyond the capacity: nobody is left who could wait.
void MemoryStream::finish_detached(Duration) {
  if (peer_ == nullptr || failure_.has_value())
    return;
  send(SIZE_MAX);
  inbox_.clear();
  if (!output_ended_)
    peer_->input_ended_ = true;
  leave();
}

void MemoryStream::abort_detached() {
  if (peer_ == nullptr)
    return;
  peer_->fail();
  peer_->abandoned_ = true;
  leave();
}

void MemoryStream::run() {
  if (reader_ == nullptr)
    return;
  tell_open();
  tell_congested();
  const bool more = deliver();
  if (above_mark_ && backlog() < kBacklogMark / 2) {
    above_mark_ = false;
    reader_->on_drain();
  }
  if (more)
    return defer();
  tell_end();
}

// True when the run's share was used and more waits.
bool MemoryStream::deliver() {
  for (int i = 0; wanted_ && !inbox_.empty(); ++i) {
    if (i == kSlicesPerRun)
      return true;
    const size_t count = inbox_.copy_to(read_buffer, std::min(slice_, kReadBuffer));
    inbox_.drop(count);
    if (peer_ != nullptr && !peer_->unsent_.empty())
      peer_->flush_later();
    reader_->on_bytes(ByteView(read_buffer, count));
  }
  return false;
}

void MemoryStream::tell_open() {
  if (open_told_)
    return;
  open_told_ = true;
  reader_->on_open();
}

// A paused reader learns of an orderly end when it reads again, of a reset at once.
void MemoryStream::tell_end() {
  if (end_told_)
    return tell_lost();
  const bool orderly = input_ended_ && inbox_.empty() && wanted_;
  if (!orderly && !failure_.has_value())
    return;
  end_told_ = true;
  lost_told_ = failure_.has_value();
  reader_->on_end(failure_);
}

void MemoryStream::tell_lost() {
  if (lost_told_ || !failure_.has_value())
    return;
  lost_told_ = true;
  reader_->on_lost(*failure_);
}

}  // namespace tulle
