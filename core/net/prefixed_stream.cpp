#include "core/net/prefixed_stream.hpp"

#include <utility>

namespace tulle {

PrefixedStream::PrefixedStream(Loop& loop, std::unique_ptr<ByteStream> inner, Bytes prefix)
    : Task(loop), inner_(std::move(inner)), prefix_(std::move(prefix)) {
  inner_->want_read(false);
  inner_->start(*this);
}

void PrefixedStream::start(ByteStream::Reader& reader) {
  reader_ = &reader;
  open_told_ = false;
  end_told_ = false;
  wake();
}

// The inner stream reads on only when the prefix has gone: run() sees to that.
void PrefixedStream::want_read(bool wanted) {
  wanted_ = wanted;
  if (!open_told_ || !prefix_.empty() || ended_) {
    if (wanted) wake();
    return;
  }
  inner_->want_read(wanted);
}

void PrefixedStream::run() {
  if (reader_ == nullptr) return;
  if (!std::exchange(open_told_, true)) reader_->on_open();
  // Slice by slice: a reader that has enough says so in between.
  while (wanted_ && !prefix_.empty()) {
    const Bytes piece = prefix_.take(prefix_.front().size());
    reader_->on_bytes(piece.front());
  }
  if (!prefix_.empty() && !end_why_) return;
  if (prefix_.empty()) inner_->want_read(wanted_);
  tell_end();
}

void PrefixedStream::on_bytes(ByteView bytes) {
  if (prefix_.empty() && open_told_) return reader_->on_bytes(bytes);
  prefix_.append(bytes);
  wake();
}

// A reset does not wait for a reader that is full.
void PrefixedStream::on_end(std::optional<Error> why) {
  ended_ = true;
  end_why_ = std::move(why);
  if (prefix_.empty() && open_told_) return tell_end();
  wake();
}

void PrefixedStream::tell_end() {
  if (!ended_ || std::exchange(end_told_, true)) return;
  if (end_why_) prefix_.clear();
  reader_->on_end(end_why_);
}

void PrefixedStream::on_lost(Error why) {
  if (end_told_) return reader_->on_lost(std::move(why));
  end_why_ = std::move(why);
  wake();
}

void PrefixedStream::on_drain() {
  if (reader_ != nullptr) reader_->on_drain();
}

void PrefixedStream::on_congested(bool congested) {
  if (reader_ != nullptr) reader_->on_congested(congested);
}

}  // namespace tulle
