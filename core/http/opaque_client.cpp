#include "core/http/opaque_client.hpp"

#include <algorithm>
#include <utility>

namespace tulle {

std::unique_ptr<Codec> make_opaque_client(const HttpLimits& limits) {
  return std::make_unique<OpaqueClient>(limits);
}

Stream* OpaqueClient::open() {
  if (over_ || used_) return nullptr;
  used_ = true;
  stream_ = Stream::make(dirty_, false, limits_.stream_inbound, limits_.stream_outbound);
  stream_->set_credit_step(limits_.stream_inbound / 2 + 1);
  return stream_;
}

Result<void> OpaqueClient::read(ByteView wire, Instant) {
  if (over_) return {};
  pending_.append(wire);
  resume_reading();
  return {};
}

void OpaqueClient::end_of_input(const std::optional<Error>& why) {
  if (over_) return;
  input_ended_ = true;
  if (!why) return settle();
  if (stream_ != nullptr) stream_->fail({Code::upstream_reset, Origin::upstream, why->detail});
  cut();
}

bool OpaqueClient::wants_write() const {
  if (!dirty_.list.empty()) return true;
  if (stream_ == nullptr) return false;
  if (stream_->cancelled()) return true;
  if (!begun_) return stream_->departing_head() != nullptr;
  return !output_ended_ && (!stream_->departing_body().empty() || stream_->departing_end());
}

void OpaqueClient::write(Bytes& wire, size_t limit) {
  while (dirty_.take() != nullptr) {}  // recycles; the one open stream is looked at in any case
  if (stream_ != nullptr) {
    stream_->take_credit();
    if (stream_->cancelled()) return cut();
    if (!begun_ && stream_->departing_head() != nullptr) begin();
    if (begun_ && !output_ended_) write_some(wire, limit);
  }
  resume_reading();
}

void OpaqueClient::begin() {
  begun_ = true;
  stream_->mark_head_departed();
  stream_->mark_touched();
  Head& head = stream_->arriving_head();
  head.status = 200;
  stream_->head_arrived();
}

void OpaqueClient::write_some(Bytes& wire, size_t limit) {
  const size_t count = std::min(stream_->departing_body().size(), limit);
  if (count > 0) {
    wire.append(stream_->departing_body().take(count));
    stream_->body_departed(count);
  }
  if (!stream_->departing_end()) return;
  output_ended_ = true;
  stream_->mark_departed();
}

void OpaqueClient::resume_reading() {
  if (over_) return;
  while (dirty_.take() != nullptr) {}
  if (stream_ != nullptr && stream_->cancelled()) return cut();
  while (begun_ && stream_ != nullptr && !pending_.empty()) {
    const size_t room = stream_->inbound_room();
    if (room == 0) break;
    stream_->body_arrived(pending_.take(std::min(room, pending_.size())));
  }
  settle();
}

// The end of the input counts once everything before it has been taken in.
void OpaqueClient::settle() {
  if (!input_ended_ || over_) return;
  if (stream_ == nullptr) return cut();
  if (!begun_ || !pending_.empty()) return;
  stream_->end_arrived();
  if (output_ended_) cut();
}

void OpaqueClient::cut() {
  if (Stream* stream = std::exchange(stream_, nullptr)) stream->codec_closed();
  pending_.clear();
  over_ = true;
}

void OpaqueClient::retire() {
  if (stream_ == nullptr) cut();
}

Codec::Waiting OpaqueClient::waiting() const {
  return over_ || stream_ != nullptr ? Waiting::handlers : Waiting::idle;
}

void OpaqueClient::timed_out(Waiting what) {
  if (what == Waiting::idle && stream_ == nullptr) cut();
}

}  // namespace tulle
